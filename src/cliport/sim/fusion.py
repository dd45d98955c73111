"""The height map of several views: every pixel's point falls into a cell of the table, and the highest one is what is seen there.

As in Ravens, colours are averaged over the views that see a cell. A view's rays are worked out once: after that a point is its depth
times a ray, and one pass of maxima over (height, pixel) packed into one integer sorts the points into cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from .cameras import CAMERAS, Camera
from .constants import BOUNDS, IMAGE_SHAPE, PIXEL
from .observation import HeightMap, Observation

BELOW = 0.005
"""Metres below the table that still count as the table: depth is not exact."""
CELLS = IMAGE_SHAPE[0] * IMAGE_SHAPE[1]


def fuse(observation: Observation, cameras: Sequence[Camera] = CAMERAS) -> HeightMap:
    """The height map of an observation's views; without segmentation its mask is -1 everywhere.

    Of equally high points in a cell the last one of its view counts, and of equally high views the first.
    """
    total = np.zeros((CELLS, 3), np.uint16)
    views = np.zeros(CELLS, np.uint8)
    height, mask = np.full(CELLS, -1, np.float32), np.full(CELLS, -1, np.int32)
    masks = observation.segmentation or [None] * len(observation.color)
    for camera, color, depth, bodies in zip(cameras, observation.color, observation.depth, masks, strict=True):
        cells, pixels, heights = highest(camera, depth)
        total[cells] += color.reshape(-1, 3)[pixels]
        views[cells] += 1
        above = heights > height[cells]
        height[cells[above]] = heights[above]
        if bodies is not None:
            mask[cells[above]] = bodies.reshape(-1)[pixels[above]]
    seen = np.maximum(views, 1)[:, None]
    color = ((2 * total + seen) // (2 * seen)).astype(np.uint8)
    shape = IMAGE_SHAPE
    return HeightMap(color.reshape(*shape, 3), np.maximum(height, 0).reshape(shape), mask.reshape(shape))


def highest(camera: Camera, depth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The cells that a view sees, and for each the image's pixel of its highest point and that height in metres."""
    across, along, up, (column, row, base) = cell_rays(camera)
    depth = depth.reshape(-1)
    columns = (depth * across + column).astype(np.int32)  # towards zero: what falls outside by less than a cell is dropped below
    rows = (depth * along + row).astype(np.int32)
    heights = depth * up + base
    ceiling = np.float32(BOUNDS[2, 1] - BOUNDS[2, 0])
    inside = (columns > 0) & (columns <= IMAGE_SHAPE[1]) & (rows > 0) & (rows <= IMAGE_SHAPE[0]) & (heights >= -BELOW) & (heights < ceiling)
    pixels = np.flatnonzero(inside)
    cells = (rows[pixels] - 1) * IMAGE_SHAPE[1] + columns[pixels] - 1
    heights = np.maximum(heights[pixels], np.float32(0))
    packed = (heights.view(np.int32).astype(np.int64) << 32) | pixels  # floats from zero upwards sort as their bits do
    best = np.full(CELLS, -1, np.int64)
    np.maximum.at(best, cells, packed)
    found = np.flatnonzero(best >= 0)
    winners = best[found]
    return found, winners & 0xFFFFFFFF, (winners >> 32).astype(np.int32).view(np.float32)


@cache
def cell_rays(camera: Camera) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[np.float32, np.float32, np.float32]]:
    """A camera's rays in cells (columns, rows) and metres (height) per metre of depth, and the same of its position.

    Cells are counted from 1 and their borders lie half a pixel off the grid's points, so that cutting the fraction off is rounding.
    """
    x, y, z = camera.rays
    start = (np.array(camera.position) - BOUNDS[:, 0]) / [PIXEL, PIXEL, 1] + [1.5, 1.5, 0]
    return x / np.float32(PIXEL), y / np.float32(PIXEL), z, tuple(start.astype(np.float32))
