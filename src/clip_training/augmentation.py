"""How training images are varied beyond their random crop: by timm's transforms, with random numbers of their place in the run."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from PIL import Image
from timm.data.transforms_factory import transforms_imagenet_train
from torchvision.transforms import Compose

from .config import AugmentConfig


class Augmentation:
    """Random flips and changes of a square crop.

    Args:
        settings: what may happen to an image.
        size: side of the crop in pixels.
        mean: of the model's normalisation by colour, 0 to 1; it fills what a rotation or a shift leaves empty.
        resample: filter of rotations and shears.
    """

    def __init__(self, settings: AugmentConfig, size: int, mean: tuple[float, ...], resample: Image.Resampling) -> None:
        self.area = settings.area
        (_, *flips), changes, _ = (
            stage.transforms
            for stage in transforms_imagenet_train(
                size,
                hflip=settings.hflip,
                auto_augment=settings.randaugment or None,
                color_jitter=tuple(settings.color_jitter) or None,
                color_jitter_prob=settings.color_jitter_prob if settings.color_jitter else None,
                force_color_jitter=True,  # or RandAugment would silently turn it off
                grayscale_prob=settings.gray_scale_prob,
                interpolation=resample.name.lower(),
                mean=mean,
                separate=True,
            )
        )  # the first step, timm's crop, is left out: `pairs.random_crop_box` takes its place
        self.steps = Compose([*flips, *changes])

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        """Vary a crop (S, S); the same generator state gives the same image in whatever process."""
        if not self.steps.transforms:
            return image
        with drawn_from(int(rng.integers(2**32))):
            varied: Image.Image = self.steps(image)
            return varied


@contextmanager
def drawn_from(seed: int) -> Iterator[None]:
    """Seed the global generators on the CPU, from which timm draws, and restore them afterwards."""
    state = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(state[0])
        np.random.set_state(state[1])
        torch.set_rng_state(state[2])


def varied(settings: AugmentConfig | None) -> dict[str, Any]:
    """The settings that differ from their defaults."""
    default = asdict(AugmentConfig())
    return {f"augment.{key}": value for key, value in asdict(settings or AugmentConfig()).items() if value != default[key]}
