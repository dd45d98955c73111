"""The objects' shapes, made procedurally: a closed mesh for rendering, and a convex body or a ring of them for collisions.

All shapes are defined at size 1: about one unit wide, origin at half their height, z up. A size in meters scales them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pybullet

SEGMENTS = 32  # around the axis: few enough for a software renderer, many enough to look round


@dataclass(frozen=True)
class Mesh:
    """Triangles with a normal per vertex."""

    vertices: np.ndarray  # (V, 3)
    normals: np.ndarray  # (V, 3), unit length
    triangles: np.ndarray  # (T, 3) indices, counter-clockwise seen from outside


def revolve(profile: list[tuple[float, float]], smooth: bool, segments: int = SEGMENTS) -> Mesh:
    """The surface of revolution of a profile of (radius, z) points, ordered from the bottom to the top.

    A profile that does not touch the axis must be closed; the outside is to the right of its direction. If it is not smooth, each band
    has its own vertices, so that edges remain sharp under interpolated shading.
    """
    points = np.asarray(profile, float)
    bands = [points] if smooth else [points[i : i + 2] for i in range(len(points) - 1)]
    angle = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    vertices: list[np.ndarray] = []
    normals: list[np.ndarray] = []
    triangles: list[np.ndarray] = []
    offset = 0
    for band in bands:
        # The normal of a profile is its tangent turned by a right angle; around the axis it only rotates.
        slope = np.gradient(band, axis=0)
        outward = np.stack([slope[:, 1], -slope[:, 0]], axis=1)
        outward /= np.linalg.norm(outward, axis=1, keepdims=True).clip(1e-12)
        for grid, into in ((band, vertices), (outward, normals)):
            around = [grid[:, :1] * np.cos(angle), grid[:, :1] * np.sin(angle), np.repeat(grid[:, 1:], segments, axis=1)]
            into.append(np.stack(around, axis=-1).reshape(-1, 3))
        # Between two rings of vertices lies a strip of quadrilaterals, two triangles each.
        low = offset + np.arange(len(band) - 1)[:, None] * segments
        here, there = np.arange(segments), np.roll(np.arange(segments), -1)
        a, b, c, d = low + here, low + there, low + segments + there, low + segments + here
        triangles += [np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)]
        offset += len(band) * segments
    return Mesh(np.concatenate(vertices), np.concatenate(normals), np.concatenate(triangles))


def faceted(mesh: Mesh) -> Mesh:
    """The same surface with flat faces: each triangle has its own vertices."""
    corners = mesh.vertices[mesh.triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    kept = length[:, 0] > 1e-9
    vertices = corners[kept].reshape(-1, 3)
    return Mesh(vertices, np.repeat((normals / length.clip(1e-12))[kept], 3, axis=0), np.arange(len(vertices)).reshape(-1, 3))


def prism(outline: np.ndarray, height: float) -> Mesh:
    """A flat figure with vertical sides. All of its counter-clockwise outline (N, 2) must be visible from the origin."""
    count = len(outline)
    rim = [np.column_stack([outline, np.full(count, z)]) for z in (-height / 2, height / 2)]
    vertices = np.concatenate([*rim, [[0, 0, -height / 2], [0, 0, height / 2]]])
    here = np.arange(count)
    there = np.roll(here, -1)
    below, above = np.full(count, 2 * count), np.full(count, 2 * count + 1)
    sides = [(here, there, there + count), (here, there + count, here + count)]
    triangles = np.concatenate([np.stack(each, 1) for each in (*sides, (there, here, below), (here + count, there + count, above))])
    return faceted(Mesh(vertices, np.zeros_like(vertices), triangles))


def box_mesh() -> Mesh:
    """A cube of side 1 with flat faces."""
    vertices: list[np.ndarray] = []
    normals: list[np.ndarray] = []
    triangles: list[np.ndarray] = []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            u, v = (np.roll(np.eye(3)[axis], shift) for shift in (1, 2))
            corners = [sign * np.eye(3)[axis] + s * u + t * sign * v for s, t in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
            triangles += [np.array([0, 1, 2]) + len(vertices), np.array([0, 2, 3]) + len(vertices)]
            vertices += [corner / 2 for corner in corners]
            normals += [sign * np.eye(3)[axis]] * 4
    return Mesh(np.array(vertices), np.array(normals), np.array(triangles))


@dataclass(frozen=True)
class Shape:
    """One kind of object."""

    name: str
    height: float
    radius: float
    """Half of the largest horizontal extent."""
    build: Callable[[], Mesh]
    hollow: bool = False
    """Objects can lie in it."""
    flat_top: bool = False
    """Objects can stand on it."""

    @cached_property
    def mesh(self) -> Mesh:
        return self.build()

    def collision(self, client: int, size: float) -> int:
        """A PyBullet collision shape. A bowl is a floor and a ring of boxes, because moving parts have to be convex."""
        if self.hollow:
            return bowl_collision(client, size)
        return int(pybullet.createCollisionShape(pybullet.GEOM_MESH, vertices=(self.mesh.vertices * size).tolist(), physicsClientId=client))

    def visual(self, client: int, size: float, rgb: tuple[float, float, float]) -> int:
        mesh = self.mesh
        return int(
            pybullet.createVisualShape(
                pybullet.GEOM_MESH,
                vertices=(mesh.vertices * size).tolist(),
                normals=mesh.normals.tolist(),
                uvs=np.zeros((len(mesh.vertices), 2)).tolist(),
                indices=mesh.triangles.ravel().tolist(),
                rgbaColor=[*rgb, 1],
                specularColor=[0.15, 0.15, 0.15],
                physicsClientId=client,
            )
        )


BOWL_HEIGHT, BOWL_WALL = 0.5, 0.1


def bowl_profile() -> list[tuple[float, float]]:
    """The outside from the foot up, then the inside down: a round wall around a flat floor."""
    low, top = -BOWL_HEIGHT / 2, BOWL_HEIGHT / 2
    rise = np.linspace(0, np.pi / 2, 7)
    outside = [(0.35 + 0.35 * np.sin(t), low + BOWL_HEIGHT * (1 - np.cos(t))) for t in rise]
    floor = low + BOWL_WALL
    inside = [(0.25 + 0.35 * np.sin(t), floor + (top - floor) * (1 - np.cos(t))) for t in rise[::-1]]
    return [(0, low), *outside, *inside, (0, floor)]


def bowl_collision(client: int, size: float) -> int:
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    floor = np.array([0.3, 0.3, BOWL_WALL / 2]) * size
    wall = np.array([0.06, 0.17, BOWL_HEIGHT / 2]) * size
    ring = [[0.56 * size * np.cos(angle), 0.56 * size * np.sin(angle), 0] for angle in angles]
    return int(
        pybullet.createCollisionShapeArray(
            shapeTypes=[pybullet.GEOM_BOX] * (1 + len(ring)),
            halfExtents=[floor.tolist(), *[wall.tolist()] * len(ring)],
            collisionFramePositions=[[0, 0, (BOWL_WALL - BOWL_HEIGHT) / 2 * size], *ring],
            collisionFrameOrientations=[[0, 0, 0, 1], *(pybullet.getQuaternionFromEuler([0, 0, angle]) for angle in angles)],
            physicsClientId=client,
        )
    )


def ball() -> Mesh:
    return revolve([(0.5 * np.sin(t), -0.5 * np.cos(t)) for t in np.linspace(0, np.pi, 17)], smooth=True)


def plate() -> Mesh:
    return revolve([(0, -0.08), (0.5, -0.08), (0.85, 0.08), (0.75, 0.08), (0.5, -0.02), (0, -0.02)], smooth=False)


def bottle() -> Mesh:
    body = [(0, -0.8), (0.36, -0.8), (0.36, 0.2), (0.33, 0.32), (0.16, 0.48), (0.14, 0.55), (0.14, 0.72)]
    return revolve([*body, (0.18, 0.72), (0.18, 0.8), (0, 0.8)], smooth=False)


def cup() -> Mesh:
    """Open at the top, but its collision shape is solid."""
    return revolve([(0, -0.5), (0.38, -0.5), (0.48, 0.5), (0.41, 0.5), (0.32, -0.4), (0, -0.4)], smooth=False)


def ring() -> Mesh:
    return revolve([(0.5 + 0.18 * np.sin(t), -0.18 * np.cos(t)) for t in np.linspace(0, 2 * np.pi, 17)], smooth=True)


def star() -> Mesh:
    angle = np.pi / 2 + np.pi / 5 * np.arange(10)
    return prism(np.stack([np.cos(angle), np.sin(angle)], 1) * np.where(np.arange(10) % 2, 0.34, 0.78)[:, None], 0.34)


def cross() -> Mesh:
    arm = np.array([[0.22, 0.22], [0.22, 0.7], [-0.22, 0.7]])
    turns = [np.array([[0, -1], [1, 0]])] * 4
    corners = [arm @ np.linalg.matrix_power(turn, count).T for count, turn in enumerate(turns)]
    return prism(np.concatenate(corners), 0.34)


SHAPES = {
    shape.name: shape
    for shape in (
        Shape("cube", 1.0, 0.71, box_mesh, flat_top=True),
        Shape("ball", 1.0, 0.5, ball),
        Shape("cylinder", 1.2, 0.45, lambda: revolve([(0, -0.6), (0.45, -0.6), (0.45, 0.6), (0, 0.6)], smooth=False), flat_top=True),
        Shape("cone", 1.3, 0.6, lambda: revolve([(0, -0.65), (0.6, -0.65), (0, 0.65)], smooth=False)),
        Shape("bowl", BOWL_HEIGHT, 0.7, lambda: revolve(bowl_profile(), smooth=False), hollow=True),
        Shape("plate", 0.16, 0.85, plate, flat_top=True),
        Shape("pyramid", 1.0, 0.72, lambda: faceted(revolve([(0, -0.5), (0.72, -0.5), (0, 0.5)], smooth=False, segments=4))),
        Shape("bottle", 1.6, 0.36, bottle),
        Shape("cup", 1.0, 0.48, cup),
        Shape("ring", 0.36, 0.68, ring),
        Shape("star", 0.34, 0.78, star),
        Shape("cross", 0.34, 0.73, cross),
    )
}

COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.86, 0.12, 0.12),
    "green": (0.13, 0.62, 0.2),
    "blue": (0.12, 0.3, 0.86),
    "yellow": (0.98, 0.84, 0.1),
    "purple": (0.52, 0.18, 0.68),
    "orange": (0.98, 0.5, 0.08),
    "cyan": (0.15, 0.78, 0.85),
    "white": (0.97, 0.97, 0.97),
}
"""RGB in [0, 1], chosen so that they remain distinguishable under shading."""

SIZES = {"small": 0.058, "large": 0.08}
"""The sizes, and the length of a shape's unit in meters."""
