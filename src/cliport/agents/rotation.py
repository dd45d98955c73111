"""Rotating images by bilinear sampling, exactly for images of any shape.

A rotation by a positive angle goes from +column towards +row: with columns along x and rows along y, that is the rotation about z.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def angles(count: int) -> Tensor:
    """Angles (count,) in radians, evenly spaced around the circle from 0, in float64."""
    return torch.arange(count, dtype=torch.float64) * (2 * math.pi / count)


def offsets(height: int, width: int, centre: Tensor) -> Tensor:
    """Row and column (height, width, 2) of every pixel relative to `centre` (2,), in float64 on its device."""
    rows, columns = (torch.arange(size, dtype=torch.float64, device=centre.device) for size in (height, width))
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij"), -1) - centre


def turned(points: Tensor, angle: Tensor) -> Tensor:
    """Offsets (..., 2) of row and column rotated by angles (R,): (R, ..., 2), in float64."""
    angle = angle.double().view(-1, *[1] * (points.ndim - 1))
    row, column = points.double().unbind(-1)
    # The usual matrix with (x, y) = (column, row): +column turns towards +row.
    return torch.stack([row * angle.cos() + column * angle.sin(), column * angle.cos() - row * angle.sin()], -1)


def sample(images: Tensor, points: Tensor, mode: str = "bilinear") -> Tensor:
    """Images (B, C, H, W) sampled at points (B, h, w, 2) of row and column; 0 outside. Returns (B, C, h, w).

    With align_corners=False pixel i of n lies at (2 i + 1) / n - 1. Rows are scaled by H and columns by W: one factor for both would
    shear every image that is not square. All in float64, because rounding pixels to float32 first costs accuracy.
    """
    size = torch.tensor(images.shape[2:], dtype=torch.float64, device=points.device)
    grid = ((2 * points.double() + 1) / size - 1).flip(-1).to(images.dtype)
    return F.grid_sample(images, grid, mode=mode, padding_mode="zeros", align_corners=False)


def rotate(images: Tensor, angle: Tensor, pivot: Tensor) -> Tensor:
    """Images (B, C, H, W) rotated by angles (B,) in radians about pivots (B, 2) of row and column; 0 where the source is outside.

    Each pixel is read where it came from: at the pivot plus its offset rotated back.
    """
    height, width = images.shape[2:]
    pairs = zip(angle.to(images.device), pivot.double().to(images.device), strict=True)
    return sample(images, torch.stack([turned(offsets(height, width, centre), -one[None])[0] + centre for one, centre in pairs]))


def crops(images: Tensor, pivot: Tensor, angle: Tensor, size: int) -> Tensor:
    """Squares around pivots (B, 2) of images (B, C, H, W), rotated by each angle (R,): (B, R, C, size, size).

    The pivot is at pixel (size // 2, size // 2). Only the squares are computed, not the rest of the rotated images.
    """
    centre = torch.full((2,), size // 2, dtype=torch.float64, device=images.device)
    grid = turned(offsets(size, size, centre), -angle.to(images.device))  # (R, size, size, 2)
    points = pivot.double().to(images.device)[:, None, None, None] + grid
    found = sample(images, points.flatten(1, 2))  # (B, C, R * size, size)
    return found.unflatten(2, (len(angle), size)).transpose(1, 2)
