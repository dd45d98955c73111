"""Weights and views made of names and seeds alone, as those from which the fixtures' numbers come: see `../fixtures/README.md`."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from functools import cache

import numpy as np
import torch
from torch import Tensor

VIEW, GOAL, PICK, ROTATIONS = 11, 12, (137, 61), 3
TEXT = "put the red block on the lightest brown block"
FLOAT32_IN_CLIP = (".bn", ".ln_", "ln_final", "downsample.1.", "embedding", "logit_scale")
"""Parts of the names of what is not half precision in CLIP's own file."""


def generator(name: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))


def tensor(name: str, shape: tuple[int, ...]) -> Tensor:
    """The tensor called `name`: statistics, biases, gains, embeddings and weights each of their usual size."""
    if name.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    if name.endswith("logit_scale"):
        return torch.full(shape, 4.6052)
    if name.endswith("running_var"):
        values = generator(name).uniform(0.5, 1.5, shape)
    elif len(shape) < 2:
        values = 0.05 * generator(name).standard_normal(shape) + name.endswith("weight")
    else:
        values = generator(name).standard_normal(shape)
        values *= 0.02 if "embedding" in name else 0.7 * np.sqrt(2 / np.prod(shape[1:]))
    return torch.from_numpy(np.asarray(values, np.float32))


def frozen_name(key: str) -> str:
    """The name that a tensor of a frozen encoder's copy has in the encoder itself, empty for others.

    Running statistics are each copy's own, as in a checkpoint whose CLIP went on counting them in training.
    """
    own = key.partition("clip_rn50.")[2] or key.partition("text_encoder.")[2]
    return "" if own.endswith(("running_mean", "running_var", "num_batches_tracked")) else own


def checkpoint_tensor(key: str, shape: tuple[int, ...]) -> Tensor:
    """A tensor of a checkpoint of the original by its name there; copies of an encoder share its weights."""
    own = frozen_name(key)
    return frozen(own, shape, "clip_rn50." in key) if own else tensor(key, shape)


@cache
def frozen(name: str, shape: tuple[int, ...], clip: bool) -> Tensor:
    """A frozen encoder's weights by its own name, in the precision that its file has."""
    full = tensor(name, shape)
    return full.half() if clip and not any(part in name for part in FLOAT32_IN_CLIP) else full


def state_dict(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """All tensors of an agent's checkpoint, in the precision that they have there."""
    return {key: checkpoint_tensor(key, shape) for key, shape in shapes.items()}


def view(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Colours uint8 (320, 160, 3) and heights float32 (320, 160) in metres: twelve soft hills of different colours, with noise."""
    rng = np.random.Generator(np.random.PCG64(seed))
    rows, columns = np.mgrid[:320, :160]
    colour, height = np.full((320, 160, 3), 46.0), np.zeros((320, 160))
    for _ in range(12):
        row, column, radius, top = (rng.uniform(*limits) for limits in ((0, 320), (0, 160), (6, 30), (0.01, 0.2)))
        painted = rng.uniform(0, 255, 3)
        share = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * radius**2))
        colour = colour * (1 - share[..., None]) + painted * share[..., None]
        height = np.maximum(height, top * share)
    colour = np.clip(np.rint(colour + rng.normal(0, 4, colour.shape)), 0, 255)
    height = np.clip(height + rng.normal(0, 0.0005, height.shape), 0, 0.28)
    return colour.astype(np.uint8), height.astype(np.float32)
