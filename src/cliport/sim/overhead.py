"""The table from straight above, without a renderer: rays for what can be touched, outlines for what is occupied."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np
import pybullet

from .constants import BOUNDS, IMAGE_SHAPE, PIXEL
from .pixels import position_to_pixel
from .poses import Pose, apply, from_euler
from .shapes import Shape
from .shapes.geometry import outline

BATCH = 16000  # rays that PyBullet accepts at once
UNDER = 0.01  # meters below the table at which rays end


@cache
def grid() -> np.ndarray:
    """The points (320 * 160, 2) of the table that correspond to the pixels."""
    rows, columns = np.indices(IMAGE_SHAPE)
    return np.stack([BOUNDS[0, 0] + columns.ravel() * PIXEL, BOUNDS[1, 0] + rows.ravel() * PIXEL], 1)


def look_down(client: int, table: int, bodies: Iterable[int]) -> tuple[np.ndarray, np.ndarray]:
    """Heights float32 in meters and body numbers int32, of IMAGE_SHAPE: what a ray from the workspace's ceiling hits first.

    Rays are cast only within the bounding boxes of `bodies`; everywhere else is the `table`.
    """
    heights, names = np.zeros(IMAGE_SHAPE, np.float32), np.full(IMAGE_SHAPE, table, np.int32)
    below = np.zeros(IMAGE_SHAPE, bool)
    for body in bodies:
        low, high = pybullet.getAABB(body, physicsClientId=client)
        (row, column), (last_row, last_column) = position_to_pixel(low), position_to_pixel(high)
        below[max(0, row - 1) : last_row + 2, max(0, column - 1) : last_column + 2] = True
    points = grid()[below.ravel()]
    tops, feet = (np.insert(points, 2, height, axis=1) for height in (BOUNDS[2, 1], BOUNDS[2, 0] - UNDER))
    hits = []
    for start in range(0, len(points), BATCH):
        part = slice(start, start + BATCH)
        hits += pybullet.rayTestBatch(tops[part].tolist(), feet[part].tolist(), numThreads=1, physicsClientId=client)
    shares = np.array([hit[2] for hit in hits])
    heights[below] = np.maximum(BOUNDS[2, 1] - shares * (BOUNDS[2, 1] - BOUNDS[2, 0] + UNDER), 0)
    names[below] = [hit[0] for hit in hits]
    return heights, names


def occupied(things: Iterable[tuple[Shape, Pose]]) -> np.ndarray:
    """bool IMAGE_SHAPE: pixels inside the convex outlines of shapes at poses."""
    taken = np.zeros(len(grid()), bool)
    for shape, place in things:
        points = np.unique(np.round(apply(place, shape.vertices)[:, :2], 6), axis=0)
        corners = points[outline(points)]
        sides = np.roll(corners, -1, 0) - corners
        # A point is inside a convex polygon if it is on the inner side of every edge.
        outwards = np.stack([sides[:, 1], -sides[:, 0]], 1)
        reach = (outwards * corners).sum(1)
        near = np.flatnonzero(((grid() >= corners.min(0)) & (grid() <= corners.max(0))).all(1))
        taken[near] |= (grid()[near] @ outwards.T <= reach + 1e-12).all(1)
    return taken.reshape(IMAGE_SHAPE)


def free_pixels(taken: np.ndarray, radius: float) -> np.ndarray:
    """Pixels (N, 2) around which a circle of `radius` meters meets neither a taken pixel nor the image's border.

    The exact Euclidean distance transform in two passes, first within columns, then across them (Saito, Toriwaki 1994).
    """
    reach = int(np.ceil(radius / PIXEL))
    padded = np.pad(taken, reach + 1, constant_values=True)  # the outside counts as taken
    columns = np.where(padded, 0, np.inf)
    for line in range(1, len(columns)):  # distance to the nearest taken pixel in the same column: above, then below
        columns[line] = np.minimum(columns[line], columns[line - 1] + 1)
    for line in range(len(columns) - 2, -1, -1):
        columns[line] = np.minimum(columns[line], columns[line + 1] + 1)
    inner = slice(reach + 1, -reach - 1)
    squared = columns**2
    nearest = squared[inner, inner].copy()
    width = taken.shape[1]
    for shift in range(1, reach + 1):  # the nearest in each column up to `reach` away; further ones cannot matter
        for start in (reach + 1 - shift, reach + 1 + shift):
            np.minimum(nearest, squared[inner, start : start + width] + shift**2, out=nearest)
    return np.argwhere(nearest > (radius / PIXEL) ** 2)


def random_pose(rng: np.random.Generator, taken: np.ndarray, size: Sequence[float], margin: float) -> Pose | None:
    """A random pose for an object of this size at a free place of the table, with any yaw; None if there is no room."""
    pixels = free_pixels(taken, float(np.hypot(size[0], size[1])) / 2 + margin)
    if not len(pixels):
        return None
    row, column = pixels[rng.integers(len(pixels))]
    position = (BOUNDS[0, 0] + column * PIXEL, BOUNDS[1, 0] + row * PIXEL, size[2] / 2)
    return from_euler(position, yaw=rng.uniform(0, 2 * np.pi))
