"""Fusing several views into a height map: every pixel's point falls into a cell of the table, and the highest point of a cell counts.

As in Ravens, colors are averaged over the views that see a cell. A view's rays are computed once; after that a point is its depth
times a ray, and one pass of maxima over (height, pixel), packed into one integer, assigns the points to cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from .cameras import CAMERAS, Camera
from .constants import BOUNDS, IMAGE_SHAPE, PIXEL
from .observation import HeightMap, Observation

BELOW = 0.005
"""Meters below the table that still count as the table, because depth is not exact."""
UNSEEN = np.float32(-1)
CEILING = np.float32(BOUNDS[2, 1] - BOUNDS[2, 0])
CELLS = IMAGE_SHAPE[0] * IMAGE_SHAPE[1]


def fuse(observation: Observation, cameras: Sequence[Camera] = CAMERAS) -> HeightMap:
    """The height map of an observation; without segmentation its mask is -1 everywhere.

    If points of one view are equally high, the last counts; if views are equally high, the first.
    """
    total = np.zeros((CELLS, 3), np.uint16)
    views = np.zeros(CELLS, np.uint16)
    height, mask = np.full(CELLS, UNSEEN), np.full(CELLS, -1, np.int32)
    masks = observation.segmentation or [None] * len(observation.color)
    for camera, color, depth, bodies in zip(cameras, observation.color, observation.depth, masks, strict=True):
        pixels, heights = highest(camera, depth)
        seen = heights >= 0
        colors = np.take(color.reshape(-1, 3), pixels, axis=0)
        colors[~seen] = 0
        total += colors
        views += seen
        above = heights > height
        height = np.where(above, heights, height)
        if bodies is not None:
            mask = np.where(above, np.take(bodies.reshape(-1), pixels), mask)
    several = np.maximum(views, 1)[:, None]
    color = ((total + several // 2) // several).astype(np.uint8)  # the rounded mean in integers
    return HeightMap(color.reshape(*IMAGE_SHAPE, 3), np.maximum(height, 0).reshape(IMAGE_SHAPE), mask.reshape(IMAGE_SHAPE))


def highest(camera: Camera, depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pixel with the highest point in each cell, and its height in meters; pixel 0 and UNSEEN for cells without a point."""
    rays = rays_to_table(camera)
    depth = depth.reshape(-1)[rays.pixels]
    columns = (depth * rays.across + rays.column).astype(np.int32)  # truncates towards zero, so cells are counted from 1
    rows = (depth * rays.along + rays.row).astype(np.int32)
    heights = depth * rays.up + rays.height
    inside = (columns > 0) & (columns <= IMAGE_SHAPE[1]) & (rows > 0) & (rows <= IMAGE_SHAPE[0]) & (heights >= -BELOW) & (heights < CEILING)
    found = np.flatnonzero(inside)
    cells = (rows[found] - 1) * IMAGE_SHAPE[1] + columns[found] - 1
    heights = np.maximum(heights[found], np.float32(0))
    packed = (heights.view(np.int32).astype(np.int64) << 32) | rays.pixels[found]  # the bits of floats >= 0 sort like the floats
    best = np.full(CELLS, UNSEEN.view(np.int32).astype(np.int64) << 32)
    np.maximum.at(best, cells, packed)
    return best & 0xFFFFFFFF, (best >> 32).astype(np.int32).view(np.float32)


@dataclass(frozen=True)
class Rays:
    """The pixels of a camera that can see the workspace, and their directions.

    The point at depth d is d * (across, along, up) + (column, row, height), in cells, cells and meters. Cells are counted from 1 and
    shifted by half a pixel, so that truncation rounds to the nearest grid point.
    """

    pixels: np.ndarray
    across: np.ndarray
    along: np.ndarray
    up: np.ndarray
    column: np.float32
    row: np.float32
    height: np.float32


@cache
def rays_to_table(camera: Camera) -> Rays:
    """The rays of a camera that pass through the workspace, from `BELOW` the table to the ceiling.

    Most pixels never see the workspace. Dropping them once saves their arithmetic in every fusion.
    """
    start = (np.array(camera.position) - BOUNDS[:, 0]) / [PIXEL, PIXEL, 1]
    x, y, z = camera.rays / np.array([[PIXEL], [PIXEL], [1]])
    corners = np.array([[-0.5, -0.5, -BELOW], [IMAGE_SHAPE[1] - 0.5, IMAGE_SHAPE[0] - 0.5, CEILING]])
    with np.errstate(divide="ignore"):
        sides = np.stack([(corners[:, axis, None] - start[axis]) / ray for axis, ray in enumerate((x, y, z))])  # depths, (3, 2, H * W)
    # The slab method: a ray is in the box between its last entry into, and its first exit from, the three pairs of planes.
    enters, leaves = sides.min(1).max(0), sides.max(1).min(0)
    pixels = np.flatnonzero((enters <= leaves) & (leaves > 0))
    kept = (ray[pixels].astype(np.float32) for ray in (x, y, z))
    return Rays(pixels, *kept, *np.array([start[0] + 1.5, start[1] + 1.5, start[2]], np.float32))
