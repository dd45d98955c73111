"""Two geometries of the place: `exact`, and `original`, which is CLIPort's own to the last half pixel.

They differ in the order of the rotations, in the point about which the surroundings of the pick are turned, and in whether the scores
are resampled. The height map's cells differ too: see `cliport.sim.fusion`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from .correlation import correlate
from .rotation import crops, offsets, sample, turned


class Geometry(ABC):
    """How an agent turns what it picks, and scores where to place it."""

    direction: int
    """Whether rotation r of n turns what is picked by 2 pi r / n about z (1), or by as much the other way (-1)."""
    mean_losses: bool
    """Whether cross-entropies are divided by the number of scores, as the original's are."""

    @abstractmethod
    def kernels(self, images: Tensor, pick: Tensor, rotations: int, size: int) -> Tensor:
        """The surroundings (B, R, C, size, size) of picks (B, 2) in images (B, C, H, W), turned; the pick lies on pixel size // 2."""

    @abstractmethod
    def scores(self, maps: Tensor, kernels: Tensor) -> Tensor:
        """Scores (B, R, H, W) by maps (B, C, H + size, W + size), which are padded by size // 2 on all sides, and kernels."""

    def angles(self, rotations: int) -> Tensor:
        """(rotations,) by how much each turns what is picked, about z, in radians, float64."""
        return self.direction * torch.arange(rotations, dtype=torch.float64) * (2 * math.pi / rotations)


class Exact(Geometry):
    """The surroundings turn about the pick itself, and scores are the correlation's."""

    direction, mean_losses = 1, False

    def kernels(self, images: Tensor, pick: Tensor, rotations: int, size: int) -> Tensor:
        return crops(images, pick, self.angles(rotations), size)

    def scores(self, maps: Tensor, kernels: Tensor) -> Tensor:
        size = kernels.shape[-1]
        return correlate(maps, kernels)[..., : maps.shape[2] - size, : maps.shape[3] - size]


class Original(Geometry):
    """What kornia 0.4.1 and the resampling of the scores make of it in CLIPort's own code.

    Pixels become coordinates by one convention of corners and return by the other, so that an image of N pixels, padded as it is when
    it is turned, turns about pivot * N / (N - 1) - 0.5 on each axis. The correlation has one pixel more than the padded image on each
    axis; it is shrunk bilinearly to the image's size before the padding is cut off.
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
    """n + 1 values along an axis to n, as if `margin` more on each side, of which nothing is kept, were resampled with them."""
    count = x.shape[axis] - 1
    share = (torch.arange(count, dtype=torch.float64, device=x.device) + margin + 0.5) / (count + 2 * margin)
    share = share.to(x.dtype).view(-1, *[1] * (-1 - axis))
    return x.narrow(axis, 0, count) * (1 - share) + x.narrow(axis, 1, count) * share


GEOMETRIES: dict[str, Geometry] = {"exact": Exact(), "original": Original()}
