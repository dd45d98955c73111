"""Fusing several views into a height map: every pixel's point falls into a cell of the table, and the highest point of a cell counts.

As in Ravens, colors are averaged over the views that see a cell. The cells have one of two geometries, see GRIDS. A view's rays are
computed once; after that a point is its depth times a ray, and one pass of maxima over (height, pixel), packed into one integer, assigns
the points to cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .cameras import CAMERAS, Camera
from .constants import BOUNDS, IMAGE_SHAPE, PIXEL
from .observation import HeightMap, Observation

BELOW = 0.005
"""Meters below the table that still count as the table, because depth is not exact."""


@dataclass(frozen=True)
class Grid:
    """How pixels become points, and points fall into cells."""

    pixel: float
    """Where in a pixel its ray passes: 0.5 is the center, 0 the upper left corner."""
    cell: float
    """Where in a cell its position lies: 0.5 is the center, 0 the lower corner."""
    below: float
    """Meters below the table that still count as the table."""
    black: bool
    """Whether a view that shows a cell in black counts in the mean of the colors."""

    def mean(self, total: np.ndarray, views: np.ndarray) -> np.ndarray:
        """Mean colors, given their sums (N, 3) over `views` (N,) views; halves round up, or to even where black does not count."""
        several = np.maximum(views, 1)[:, None]
        rounded = (total + several // 2) // several if self.black else np.rint(total / several)  # the first in integers
        return np.asarray(rounded, np.uint8)


GRIDS = {"exact": Grid(0.5, 0.5, BELOW, black=True), "original": Grid(0.0, 0.0, 0.0, black=False)}
"""`exact`: rays pass through the centers of pixels, and a cell contains the points nearest to its position. `original`, as in CLIPort's
own code: rays pass through the corners of pixels, a cell extends upward from its position, black counts as unseen, and points below the
table are dropped."""
UNSEEN = np.float32(-1)
CEILING = np.float32(BOUNDS[2, 1] - BOUNDS[2, 0])
CELLS = IMAGE_SHAPE[0] * IMAGE_SHAPE[1]


def fuse(observation: Observation, cameras: Sequence[Camera] = CAMERAS, geometry: str = "exact") -> HeightMap:
    """The height map of an observation, by one of GRIDS; without segmentation its mask is -1 everywhere.

    If points of one view are equally high, the last counts; if views are equally high, the first.
    """
    grid = GRIDS[geometry]
    total = np.zeros((CELLS, 3), np.uint16)
    views = np.zeros(CELLS, np.uint16)
    height, mask = np.full(CELLS, UNSEEN), np.full(CELLS, -1, np.int32)
    masks = observation.segmentation or [None] * len(observation.color)
    for camera, color, depth, bodies in zip(cameras, observation.color, observation.depth, masks, strict=True):
        pixels, heights = highest(camera, depth, grid)
        seen = heights >= 0
        colors = np.take(color.reshape(-1, 3), pixels, axis=0)
        colors[~seen] = 0
        total += colors
        views += seen if grid.black else colors.any(1)
        above = heights > height
        height = np.where(above, heights, height)
        if bodies is not None:
            mask = np.where(above, np.take(bodies.reshape(-1), pixels), mask)
    color = grid.mean(total, views)
    return HeightMap(color.reshape(*IMAGE_SHAPE, 3), np.maximum(height, 0).reshape(IMAGE_SHAPE), mask.reshape(IMAGE_SHAPE))


def highest(camera: Camera, depth: np.ndarray, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """The pixel with the highest point in each cell, and its height in meters; pixel 0 and UNSEEN for cells without a point."""
    rays = rays_to_table(camera, grid)
    depth = depth.reshape(-1)[rays.pixels]
    columns = (depth * rays.across + rays.column).astype(np.int32)  # truncates towards zero, so cells are counted from 1
    rows = (depth * rays.along + rays.row).astype(np.int32)
    heights = depth * rays.up + rays.height
    inside = (columns > 0) & (columns <= IMAGE_SHAPE[1]) & (rows > 0) & (rows <= IMAGE_SHAPE[0])
    inside &= (heights >= -grid.below) & (heights < CEILING)
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
    shifted by `Grid.cell`, so that truncation finds the cell.
    """

    pixels: np.ndarray
    across: np.ndarray
    along: np.ndarray
    up: np.ndarray
    column: np.float32
    row: np.float32
    height: np.float32


@lru_cache(maxsize=8)  # the three cameras in both geometries, and two of one's own
def rays_to_table(camera: Camera, grid: Grid) -> Rays:
    """The rays of a camera that pass through the workspace, from `grid.below` the table to the ceiling.

    Most pixels never see the workspace. Dropping them once saves their arithmetic in every fusion.
    """
    start = (np.array(camera.position) - BOUNDS[:, 0]) / [PIXEL, PIXEL, 1]
    x, y, z = camera.rays_through(grid.pixel) / np.array([[PIXEL], [PIXEL], [1]])
    corners = np.array([[0, 0, -grid.below], [IMAGE_SHAPE[1], IMAGE_SHAPE[0], CEILING]]) - [grid.cell, grid.cell, 0]
    with np.errstate(divide="ignore"):
        sides = np.stack([(corners[:, axis, None] - start[axis]) / ray for axis, ray in enumerate((x, y, z))])  # depths, (3, 2, H * W)
    # The slab method: a ray is in the box between its last entry into, and its first exit from, the three pairs of planes.
    enters, leaves = sides.min(1).max(0), sides.max(1).min(0)
    pixels = np.flatnonzero((enters <= leaves) & (leaves > 0))
    kept = (ray[pixels].astype(np.float32) for ray in (x, y, z))
    return Rays(pixels, *kept, *np.array([start[0] + 1 + grid.cell, start[1] + 1 + grid.cell, start[2]], np.float32))
