"""Observations: the cameras' images, and the height map fused from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Observation:
    """The images of the front, left and right camera, in this order; empty tuples if they were not requested."""

    color: tuple[np.ndarray, ...] = ()
    """uint8 (480, 640, 3) each."""
    depth: tuple[np.ndarray, ...] = ()
    """float32 (480, 640) each: meters along the camera's axis."""
    segmentation: tuple[np.ndarray, ...] = ()
    """int32 (480, 640) each: PyBullet's body numbers, -1 for none."""


@dataclass(frozen=True)
class HeightMap:
    """The workspace from above; row = (y - y_min) / PIXEL, column = (x - x_min) / PIXEL.

    A cell's middle lies on these whole numbers, or, with the original's geometry, its lower corner: see `fusion.GRIDS`.
    """

    color: np.ndarray
    """uint8 (320, 160, 3); black where no camera sees."""
    height: np.ndarray
    """float32 (320, 160): meters above the table, 0 where no camera sees."""
    mask: np.ndarray
    """int32 (320, 160): the highest body, -1 where no camera sees."""
