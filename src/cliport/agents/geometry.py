"""The two geometries of placing: `exact`, and `original`, which reproduces CLIPort's own code.

They differ in the direction of the rotations, in the point about which the surroundings of the pick rotate, in whether the scores are
resampled, and in how losses are scaled. The cells of the height map differ as well: see `cliport.sim.fusion`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from .correlation import correlate
from .rotation import crops, offsets, sample, turned


class Geometry(ABC):
    """How an agent rotates what it picks, and scores where to place it."""

    direction: int
    """1 if rotation r of n means an angle of 2 pi r / n about z, -1 if it means the opposite angle."""
    mean_losses: bool
    """Whether cross-entropies are divided by the number of scores."""

    @abstractmethod
    def kernels(self, images: Tensor, pick: Tensor, rotations: int, size: int) -> Tensor:
        """The rotated surroundings (B, R, C, size, size) of picks (B, 2) in images (B, C, H, W); the pick becomes pixel size // 2."""

    @abstractmethod
    def scores(self, maps: Tensor, kernels: Tensor) -> Tensor:
        """Scores (B, R, H, W), given kernels and maps (B, C, H + size, W + size) that are padded by size // 2 on all sides."""

    def angles(self, rotations: int) -> Tensor:
        """(rotations,) the angle about z by which each rotates what is picked, in radians, float64."""
        return self.direction * torch.arange(rotations, dtype=torch.float64) * (2 * math.pi / rotations)


class Exact(Geometry):
    """The surroundings rotate about the pick itself, and the scores are the correlation."""

    direction, mean_losses = 1, False

    def kernels(self, images: Tensor, pick: Tensor, rotations: int, size: int) -> Tensor:
        return crops(images, pick, self.angles(rotations), size)

    def scores(self, maps: Tensor, kernels: Tensor) -> Tensor:
        size = kernels.shape[-1]
        return correlate(maps, kernels)[..., : maps.shape[2] - size, : maps.shape[3] - size]


class Original(Geometry):
    """The rotation of kornia 0.4.1 and the resampled scores of CLIPort's own code.

    kornia converts pixels to normalized coordinates with one convention for corners, and back with the other. On an axis of N pixels, of
    the padded image, this rotates about pivot * N / (N - 1) - 0.5 instead of the pivot. The correlation has one pixel more than the padded
    image on each axis; the original scales it down bilinearly to the image's size before it cuts off the padding.
    """

    direction, mean_losses = -1, True

    def kernels(self, images: Tensor, pick: Tensor, rotations: int, size: int) -> Tensor:
        margin = size // 2
        padded = torch.tensor(images.shape[2:], dtype=torch.float64, device=images.device) + 2 * margin
        pivot = pick.double().to(images.device)[:, None, None] + margin  # (B, 1, 1, 2)
        pixels = pivot + offsets(size, size, torch.full((2,), margin, dtype=torch.float64, device=images.device))
        away = (pixels + 0.5) * (padded - 1) / padded - pivot
        back = turned(away, -self.angles(rotations).to(images.device))  # (R, B, size, size, 2)
        read = (back + pivot) * padded / (padded - 1) - 0.5 - margin
        found = sample(images, read.transpose(0, 1).flatten(1, 2))
        return found.unflatten(2, (rotations, size)).transpose(1, 2)

    def scores(self, maps: Tensor, kernels: Tensor) -> Tensor:
        margin = kernels.shape[-1] // 2
        return shrunk(shrunk(correlate(maps, kernels), margin, -2), margin, -1)


def shrunk(x: Tensor, margin: int, axis: int) -> Tensor:
    """n + 1 values along an axis scaled down to n, as part of an image with `margin` more values on each side, which are not kept."""
    count = x.shape[axis] - 1
    share = (torch.arange(count, dtype=torch.float64, device=x.device) + margin + 0.5) / (count + 2 * margin)
    share = share.to(x.dtype).view(-1, *[1] * (-1 - axis))
    return x.narrow(axis, 0, count) * (1 - share) + x.narrow(axis, 1, count) * share


GEOMETRIES: dict[str, Geometry] = {"exact": Exact(), "original": Original()}
