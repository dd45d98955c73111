"""Conversion between pixels of a height map and points of the workspace."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .constants import BOUNDS, IMAGE_SHAPE, PIXEL


def pixel_to_position(pixel: Sequence[int] | np.ndarray, heights: np.ndarray) -> np.ndarray:
    """The point (3,) in meters at a pixel (row, column), with the height that `heights` (H, W) has there in meters.

    Pixel (r, c) is at y_min + r * PIXEL, x_min + c * PIXEL, as in Ravens; `position_to_pixel` returns the same pixel.
    """
    row, column = int(pixel[0]), int(pixel[1])
    return np.array([BOUNDS[0, 0] + column * PIXEL, BOUNDS[1, 0] + row * PIXEL, BOUNDS[2, 0] + float(heights[row, column])])


def position_to_pixel(position: Sequence[float] | np.ndarray) -> tuple[int, int]:
    """The pixel (row, column) nearest to a point in meters; points outside the workspace map to its border."""
    row = round((float(position[1]) - BOUNDS[1, 0]) / PIXEL)
    column = round((float(position[0]) - BOUNDS[0, 0]) / PIXEL)
    return min(max(row, 0), IMAGE_SHAPE[0] - 1), min(max(column, 0), IMAGE_SHAPE[1] - 1)
