"""Triangle meshes for rendering and convex solids for collisions."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from ..poses import UPRIGHT, apply, pose

SEGMENTS = 32  # around an axis: few enough for a software renderer, many enough to look round

ON_PLANE = 1e-7  # meters
FLAT = 1e-12  # square meters

Color = tuple[float, float, float]


@dataclass(frozen=True)
class Texture:
    """An image that is drawn on a mesh."""

    file: Path
    places: np.ndarray
    """(V, 2): each vertex's place in the image, from (0, 0) at its lower left to (1, 1)."""


@dataclass(frozen=True)
class Mesh:
    """Triangles with a normal per vertex and one color, None for the body's, or a texture."""

    vertices: np.ndarray
    """(V, 3) in meters."""
    normals: np.ndarray
    """(V, 3), unit length, outwards."""
    triangles: np.ndarray
    """(T, 3) indices, counter-clockwise seen from outside."""
    color: Color | None = None
    texture: Texture | None = None

    def moved(self, position: Sequence[float] = (0, 0, 0), quaternion: Sequence[float] = UPRIGHT) -> Mesh:
        place = pose(position, quaternion)
        normals = apply(pose(quaternion=quaternion), self.normals)
        return replace(self, vertices=apply(place, self.vertices), normals=normals)

    def painted(self, color: Color | None) -> Mesh:
        return replace(self, color=color)


@dataclass(frozen=True)
class Solid:
    """A convex solid. Extents are full widths in its own frame: a cylinder's axis is z, a sphere's extents are equal."""

    kind: str
    """ "box", "cylinder", "sphere" or "hull"."""
    size: tuple[float, float, float]
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    quaternion: tuple[float, float, float, float] = UPRIGHT
    points: tuple[tuple[float, float, float], ...] = ()
    """The corners of a hull, in its own frame."""

    def mesh(self) -> Mesh:
        """The solid's surface in the shape's frame."""
        return surface(self)

    def scaled(self, factor: float) -> Solid:
        """The solid enlarged about the origin of the shape's frame."""
        points = tuple(triple(factor * value for value in point) for point in self.points)
        return replace(
            self, size=triple(factor * extent for extent in self.size), position=triple(factor * at for at in self.position), points=points
        )


@lru_cache(maxsize=4096)
def surface(solid: Solid) -> Mesh:
    if solid.kind == "box":
        own = box_mesh(solid.size)
    elif solid.kind == "cylinder":
        radius, half = solid.size[0] / 2, solid.size[2] / 2
        own = revolved([(0, -half), (radius, -half), (radius, half), (0, half)])
    elif solid.kind == "sphere":
        radius, turns = solid.size[0] / 2, np.linspace(0, np.pi, SEGMENTS // 2 + 1)
        own = revolved([(radius * np.sin(turn), -radius * np.cos(turn)) for turn in turns], smooth=True)
    else:
        own = hull_mesh(np.array(solid.points))
    return own.moved(solid.position, solid.quaternion)


def triple(values: Iterable[float]) -> tuple[float, float, float]:
    x, y, z = map(float, values)
    return x, y, z


def box_solid(size: Sequence[float], position: Sequence[float] = (0, 0, 0), yaw: float = 0.0) -> Solid:
    return Solid("box", triple(size), triple(position), (0.0, 0.0, float(np.sin(yaw / 2)), float(np.cos(yaw / 2))))


def cylinder_solid(diameter: float, height: float, position: Sequence[float] = (0, 0, 0)) -> Solid:
    return Solid("cylinder", (diameter, diameter, height), triple(position))


def hull_solid(points: np.ndarray) -> Solid:
    """The convex hull of points (N, 3)."""
    points = np.asarray(points, float)
    return Solid("hull", triple(np.ptp(points, axis=0)), points=tuple(map(tuple, points.tolist())))


def flat(triangles: np.ndarray, color: Color | None = None) -> Mesh:
    """A mesh of facets (T, 3, 3), each with its own normal."""
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    kept = lengths[:, 0] > 1e-14
    normals = np.repeat((normals / lengths.clip(1e-20))[kept], 3, axis=0)
    return Mesh(triangles[kept].reshape(-1, 3), normals, np.arange(3 * kept.sum()).reshape(-1, 3), color)


def merged(meshes: Sequence[Mesh]) -> Mesh:
    """Several meshes as one, with the color of the first."""
    offsets = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.normals for mesh in meshes]),
        np.concatenate([mesh.triangles + offset for mesh, offset in zip(meshes, offsets[:-1], strict=True)]),
        meshes[0].color,
    )


def box_mesh(size: Sequence[float]) -> Mesh:
    """A box with extents `size` around the origin."""
    corners = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)]) * size
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    return flat(np.array([[corners[q[i]] for i in part] for q in quads for part in ((0, 1, 2), (0, 2, 3))]))


def revolved(profile: Sequence[tuple[float, float]], smooth: bool = False) -> Mesh:
    """The surface of revolution of a profile of (radius, z) points, ordered from the axis at the bottom over the outside to the top.

    If it is not smooth, each band has its own vertices, so that edges remain sharp under interpolated shading.
    """
    points = np.asarray(profile, float)
    bands = [points] if smooth else [points[i : i + 2] for i in range(len(points) - 1)]
    angle = np.linspace(0, 2 * np.pi, SEGMENTS, endpoint=False)
    meshes = []
    for band in bands:
        slope = np.gradient(band, axis=0)
        outward = np.stack([slope[:, 1], -slope[:, 0]], axis=1)
        outward /= np.linalg.norm(outward, axis=1, keepdims=True).clip(1e-12)
        grids = [
            np.stack([grid[:, :1] * np.cos(angle), grid[:, :1] * np.sin(angle), np.repeat(grid[:, 1:], SEGMENTS, axis=1)], -1)
            for grid in (band, outward)
        ]
        # Between two rings of vertices lies a strip of quadrilaterals, two triangles each.
        low = np.arange(len(band) - 1)[:, None] * SEGMENTS
        here, there = np.arange(SEGMENTS), np.roll(np.arange(SEGMENTS), -1)
        a, b, c, d = low + here, low + there, low + SEGMENTS + there, low + SEGMENTS + here
        triangles = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
        meshes.append(Mesh(grids[0].reshape(-1, 3), grids[1].reshape(-1, 3), triangles))
    return merged(meshes)


def prism(outline: np.ndarray, height: float) -> Mesh:
    """A simple counter-clockwise polygon (N, 2) with vertical walls, from z = -height / 2 to height / 2."""
    outline = np.asarray(outline, float)
    top = np.concatenate([outline, np.full((len(outline), 1), height / 2)], axis=1)
    bottom = top - [0, 0, height]
    ears = triangulated(outline)
    following = np.roll(np.arange(len(outline)), -1)
    here = np.arange(len(outline))
    facets = [top[ears], bottom[ears[:, ::-1]]]
    facets += [np.stack([bottom[here], bottom[following], top[following]], 1), np.stack([bottom[here], top[following], top[here]], 1)]
    return flat(np.concatenate(facets))


def triangulated(outline: np.ndarray) -> np.ndarray:
    """Indices (N - 2, 3) of triangles that fill a simple counter-clockwise polygon (N, 2), by ear clipping (Meisters 1975)."""
    left, triangles = list(range(len(outline))), []
    while len(left) > 3:
        ear = next((i for i in range(len(left)) if is_ear(outline, left, i)), 0)
        triangles.append((left[ear - 1], left[ear], left[(ear + 1) % len(left)]))
        del left[ear]
    return np.array([*triangles, tuple(left)])


def is_ear(outline: np.ndarray, left: list[int], i: int) -> bool:
    """Whether corner `i` of the remaining polygon is convex and its triangle contains no other corner."""
    a, b, c = (outline[left[k]] for k in (i - 1, i, (i + 1) % len(left)))
    if cross(b - a, c - b) <= 1e-14:
        return False
    others = (outline[k] for k in left if k not in (left[i - 1], left[i], left[(i + 1) % len(left)]))
    return not any(cross(b - a, p - a) >= 0 and cross(c - b, p - b) >= 0 and cross(a - c, p - c) >= 0 for p in others)


def cross(a: np.ndarray, b: np.ndarray) -> float:
    """The z component of the cross product of two vectors (2,)."""
    return float(a[0] * b[1] - a[1] * b[0])


def hull_mesh(points: np.ndarray) -> Mesh:
    """The surface of the convex hull of a few points (N, 3): the planes through three of them with all others on one side.

    Brute force in O(N^4), which is fast enough for the dozen corners of a solid and handles coplanar corners exactly.
    """
    triples = points[np.array(list(itertools.combinations(range(len(points)), 3)))]
    normals = np.cross(triples[:, 1] - triples[:, 0], triples[:, 2] - triples[:, 0])
    lengths = np.linalg.norm(normals, axis=1)
    proper = lengths > 1e-12
    normals = normals[proper] / lengths[proper, None]
    sides = normals @ points.T - (normals * triples[proper, 0]).sum(1, keepdims=True)
    faces: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}
    for sign in (1, -1):
        for plane in np.flatnonzero((sign * sides).max(1) < ON_PLANE):
            corners = abs(sides[plane]) < ON_PLANE
            faces.setdefault(corners.tobytes(), (corners, sign * normals[plane]))
    return flat(np.concatenate([fan(points[corners], normal) for corners, normal in faces.values()]))


def fan(points: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Triangles (T, 3, 3) of the convex hull of points in a plane, counter-clockwise about its `normal`."""
    right = np.cross(normal, np.eye(3)[np.abs(normal).argmin()])
    ordered = points[outline(np.stack([points @ right, points @ np.cross(normal, right)], 1))]
    return np.stack([np.repeat(ordered[:1], len(ordered) - 2, 0), ordered[1:-1], ordered[2:]], 1)


def outline(points: np.ndarray) -> np.ndarray:
    """Indices of the points (N, 2) that are corners of their convex hull, counter-clockwise.

    Andrew: Another Efficient Algorithm for Convex Hulls in Two Dimensions, 1979.
    """
    order = np.lexsort((points[:, 1], points[:, 0])).tolist()
    corners: list[int] = []
    for sequence in (order, order[::-1]):
        chain: list[int] = []
        for point in sequence:
            while len(chain) > 1 and cross(points[chain[-1]] - points[chain[-2]], points[point] - points[chain[-1]]) <= FLAT:
                chain.pop()
            chain.append(point)
        corners += chain[:-1]
    return np.array(corners)
