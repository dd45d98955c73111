"""Meshes from Wavefront files."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np

from ...errors import AssetError
from .geometry import Mesh, Texture, hull_solid
from .shape import Shape, shape

THINNEST = 1e-4  # meters
DIRECTIONS = 64
"""Of the points in which the convex hull of a mesh is taken: its error is about a hundredth of the mesh's size."""


def textured(name: str, file: Path, image: Path, mass: float, friction: float) -> Shape:
    """The mesh of a Wavefront file with an image on it. It collides as its convex hull; its origin is the file's.

    Raises:
        AssetError: when the file cannot be read as triangles with a place in the image for each corner.
    """
    mesh = read_mesh(file, image)
    return shape(name, [hull_solid(extremes(np.unique(mesh.vertices, axis=0)))], [mesh], mass=mass, friction=friction)


def read_mesh(file: Path, image: Path) -> Mesh:
    """A mesh from a Wavefront file: its `v` and `vt` lines, and its `f` lines, polygons as fans. Normals are computed; materials and all
    else are not looked at.
    """
    positions, places, faces = [], [], []
    try:
        for line in file.read_text(errors="replace").splitlines():
            kind, *words = line.split() or [""]
            if kind == "v":
                positions.append([float(word) for word in words[:3]])
            elif kind == "vt":
                places.append([float(word) for word in words[:2]])
            elif kind == "f":
                polygon = [corner_of(word, len(positions), len(places)) for word in words]
                faces += [(polygon[0], b, c) for b, c in itertools.pairwise(polygon[1:])]
        corners, triangles = np.unique(np.array(faces, int).reshape(-1, 2), axis=0, return_inverse=True)
        vertices, spots = np.array(positions)[corners[:, 0]], np.array(places)[corners[:, 1]]
        if not (np.isfinite(vertices).all() and np.isfinite(spots).all()):
            raise ValueError("numbers that are not finite")
        if np.ptp(vertices, axis=0).min() < THINNEST:
            raise ValueError(f"it is less than {THINNEST} m thick")
    except (OSError, ValueError, IndexError) as error:
        raise AssetError(f"{file} is not a Wavefront file of a mesh with `v`, `vt` and `f` lines: {error}") from error
    numbers = triangles.reshape(-1, 3)
    return Mesh(vertices, smooth_normals(vertices, corners[:, 0], numbers), numbers, (1.0, 1.0, 1.0), Texture(image, spots))


def corner_of(word: str, positions: int, places: int) -> tuple[int, int]:
    """Numbers from 0 of a corner's position and place in the image, from "1/2" or "1/2/3"; negative ones count from the last line.

    Raises:
        ValueError: without a place, or for a line that there is not.
    """
    found = []
    for part, count in zip(word.split("/")[:2], (positions, places), strict=True):
        number = int(part)
        found.append(number - 1 if number > 0 else count + number)
        if not 0 <= found[-1] < count:
            raise ValueError(f"a face with {word}, of {positions} positions and {places} places in the image")
    return found[0], found[1]


def smooth_normals(vertices: np.ndarray, positions: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Normals (V, 3): the mean of the triangles around a vertex, by area; vertices with the same of `positions` (V,) share theirs."""
    a, b, c = (vertices[triangles[:, side]] for side in range(3))
    summed = np.zeros((positions.max() + 1, 3))
    for side in range(3):
        np.add.at(summed, positions[triangles[:, side]], np.cross(b - a, c - a))
    normals = summed[positions]
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.where(lengths > 0, normals / np.maximum(lengths, 1e-20), [0.0, 0.0, 1.0])


def extremes(points: np.ndarray) -> np.ndarray:
    """The points (N, 3) that are farthest in DIRECTIONS evenly spread directions, and along the axes.

    Directions on a Fibonacci lattice (González: Measurement of Areas on a Sphere, 2010).
    """
    number = np.arange(DIRECTIONS) + 0.5
    height, turn = 1 - 2 * number / DIRECTIONS, np.pi * (1 + 5**0.5) * number
    around = np.sqrt(1 - height**2)
    directions = np.concatenate([np.stack([around * np.cos(turn), around * np.sin(turn), height], 1), np.eye(3), -np.eye(3)])
    return np.asarray(points[np.unique((points @ directions.T).argmax(0))])
