"""Augmentation: rotating and shifting image, pick and place together."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from .batch import Batch
from .rotation import offsets, sample, turned

TRIES = 100
"""Draws after which a sample is left unchanged."""


@dataclass(frozen=True)
class Motion:
    """A rotation about the image's center, followed by a shift; with the original's geometry the center lies half a pixel off."""

    angle: float
    """Radians, from +column towards +row."""
    shift: tuple[float, float]
    """Rows and columns."""
    geometry: str = "exact"
    resample: str = "nearest"
    """`nearest` or `bilinear`."""

    def points(self, pixels: Tensor, shape: tuple[int, int]) -> Tensor:
        """New positions (N, 2) of pixels of an image of this shape, in float64."""
        centre = self.centre_of(shape)
        angle = torch.tensor([self.angle], dtype=torch.float64)
        return turned(pixels.double() - centre, angle)[0] + centre + torch.tensor(self.shift, dtype=torch.float64)

    def image(self, image: Tensor) -> Tensor:
        """The moved image (1, C, H, W); 0 where the source is outside.

        Sampling goes the other way than the motion: each pixel undoes the shift, then the rotation, to find where it came from. By
        default the nearest pixel is taken, because a mean of two heights at an object's edge would be the height of nothing. The
        original takes the bilinear mean of four.
        """
        shape = (image.shape[2], image.shape[3])
        centre = self.centre_of(shape)
        away = offsets(*shape, centre) - torch.tensor(self.shift, dtype=torch.float64)
        angle = torch.tensor([-self.angle], dtype=torch.float64)
        return sample(image, turned(away, angle) + centre, mode=self.resample)

    def centre_of(self, shape: tuple[int, int]) -> Tensor:
        last = 1 if self.geometry == "exact" else 0
        return torch.tensor([(shape[0] - last) / 2, (shape[1] - last) / 2], dtype=torch.float64)


def draw(rng: np.random.Generator, shape: tuple[int, int], sigma: float, geometry: str = "exact", resample: str = "nearest") -> Motion:
    """A random motion: rotation N(0, sigma degrees), shift N(0, a sixth of the shorter side) along each axis."""
    angle = math.radians(float(rng.normal(0, sigma)))
    row, column = rng.normal(0, min(shape) / 6, 2)
    return Motion(angle, (float(row), float(column)), geometry, resample)


def augmented(item: Batch, rng: np.random.Generator, sigma: float, geometry: str = "exact", resample: str = "nearest") -> Batch:
    """One sample with a random motion that keeps pick and place inside the image; unchanged if TRIES draws do not.

    Args:
        item: a batch of one.
        rng: source of the draws.
        sigma: standard deviation of the rotation, in degrees.
        geometry: of the agent.
        resample: `nearest` or `bilinear`, see `Motion.image`.
    """
    shape = (item.image.shape[2], item.image.shape[3])
    assert item.pick is not None
    assert item.place is not None
    assert item.pick_theta is not None
    assert item.place_theta is not None
    for _ in range(TRIES):
        motion = draw(rng, shape, sigma, geometry, resample)
        pixels = motion.points(torch.cat([item.pick, item.place]), shape).round().long()
        if bool(((pixels >= 0) & (pixels < torch.tensor(shape))).all()):
            # Both angles grow alike: their difference, which is what an agent learns, stays.
            return replace(
                item,
                image=motion.image(item.image),
                goal=None if item.goal is None else motion.image(item.goal),
                pick=pixels[:1],
                place=pixels[1:],
                pick_theta=item.pick_theta + motion.angle,
                place_theta=item.place_theta + motion.angle,
            )
    return item
