"""The table from straight above, without a renderer: rays for what can be touched, triangles for what is covered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np
import pybullet

from .constants import BOUNDS, IMAGE_SHAPE, PIXEL
from .pixels import position_to_pixel
from .poses import Pose, apply, from_euler
from .shapes import Shape

BATCH = 16000  # rays that PyBullet accepts at once
UNDER = 0.01  # meters below the table at which rays end
TINY = 1e-12


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


def footprint(shape: Shape, place: Pose) -> np.ndarray:
    """bool IMAGE_SHAPE: pixels that a shape at a pose covers, seen from above."""
    taken = np.zeros(len(grid()), bool)
    for mesh in shape.meshes:
        corners = apply(place, shape.scale * mesh.vertices)[mesh.triangles][..., :2]
        for triangle in covering(np.unique(np.round(corners, 6), axis=0)):
            sides = np.roll(triangle, -1, 0) - triangle
            # A point is inside if it is on the inner side of every edge.
            outwards = np.stack([sides[:, 1], -sides[:, 0]], 1)
            near = between(triangle.min(0), triangle.max(0))
            taken[near] |= (grid()[near] @ outwards.T <= (outwards * triangle).sum(1) + TINY).all(1)
    return taken.reshape(IMAGE_SHAPE)


def covering(triangles: np.ndarray) -> np.ndarray:
    """Those of the triangles (T, 3, 2) that may cover a pixel's point: most of a scan's are smaller than a pixel.

    Faces that point down lie below others, and those on edge cover nothing.
    """
    sides = np.roll(triangles, -1, 1) - triangles
    upwards = sides[:, 0, 0] * sides[:, 1, 1] - sides[:, 0, 1] * sides[:, 1, 0] >= TINY
    first = np.ceil((triangles.min(1) - BOUNDS[:2, 0]) / PIXEL - TINY)
    last = np.floor((triangles.max(1) - BOUNDS[:2, 0]) / PIXEL + TINY)
    return np.asarray(triangles[upwards & (first <= last).all(1)])


def between(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Numbers of the pixels whose points lie in the rectangle from `low` to `high` (2,) in meters."""
    first = np.maximum(np.ceil((low - BOUNDS[:2, 0]) / PIXEL - TINY), 0).astype(int)
    last = np.minimum(np.floor((high - BOUNDS[:2, 0]) / PIXEL + TINY), np.array(IMAGE_SHAPE[::-1]) - 1).astype(int)
    columns, rows = (np.arange(a, b + 1) for a, b in zip(first, last, strict=True))
    return (rows[:, None] * IMAGE_SHAPE[1] + columns).ravel()


def free_pixels(taken: np.ndarray, side: float) -> np.ndarray:
    """Pixels (N, 2) around which a square of `side` meters meets neither a taken pixel nor the image's border.

    The square has a whole number of pixels, rounded to the nearest even number where it is halfway; if that number is even, the square has
    one pixel more before its middle than after it. As in the original, which erodes the free pixels with OpenCV.
    """
    width = round(side / PIXEL)
    blocked = taken.copy()
    blocked[[0, -1]] = blocked[:, [0, -1]] = True
    before = width // 2
    # Beyond the border there is nothing: a square may stick out where its middle could not be free anyway.
    padded = np.pad(blocked, ((before, width), (before, width)))
    summed = np.pad(padded.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    rows, columns = (slice(0, extent) for extent in taken.shape)
    far_rows, far_columns = (slice(width, width + extent) for extent in taken.shape)
    counts = summed[far_rows, far_columns] - summed[rows, far_columns] - summed[far_rows, columns] + summed[rows, columns]
    return np.argwhere((counts == 0) & ~blocked)


def random_pose(rng: np.random.Generator, taken: np.ndarray, size: Sequence[float]) -> Pose | None:
    """A random pose for an object of this size at a free place of the table, with any yaw; None if there is no room."""
    pixels = free_pixels(taken, float(np.hypot(size[0], size[1])))
    if not len(pixels):
        return None
    row, column = pixels[rng.integers(len(pixels))]
    position = (BOUNDS[0, 0] + column * PIXEL, BOUNDS[1, 0] + row * PIXEL, size[2] / 2)
    return from_euler(position, yaw=rng.uniform(0, 2 * np.pi))
