"""An agent's input, and the demonstrated actions to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..sim.observation import HeightMap


@dataclass(frozen=True)
class Batch:
    """B views with their instructions and, for training, the demonstrated actions.

    Pixels are row and column of the image, which may be smaller than the height map.
    """

    image: Tensor
    """float32 (B, 6, H, W): color in [0, 1], then three copies of the height in meters."""
    language: list[str]
    """B instructions."""
    pick: Tensor | None = None
    """int64 (B, 2)"""
    pick_theta: Tensor | None = None
    """float32 (B,): rotation about z in radians."""
    place: Tensor | None = None
    place_theta: Tensor | None = None
    goal: Tensor | None = None
    """The view to be reached, in the same form as `image`."""

    def __len__(self) -> int:
        return len(self.language)

    def to(self, device: torch.device) -> Batch:
        moved = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: value.to(device, non_blocking=True) for name, value in moved.items() if isinstance(value, Tensor)})

    def pin_memory(self) -> Batch:
        """Called by data loaders, for faster copies to a GPU."""
        moved = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: value.pin_memory() for name, value in moved.items() if isinstance(value, Tensor)})

    @classmethod
    def stack(cls, items: Sequence[Batch]) -> Batch:
        """Several batches as one."""
        parts = {}
        for field in fields(cls):
            values = [getattr(item, field.name) for item in items]
            if field.name != "language":
                parts[field.name] = None if values[0] is None else torch.cat(values)
        return cls(language=[text for item in items for text in item.language], **parts)


def image_of(view: HeightMap, scale: int = 1) -> Tensor:
    """A height map as an image (1, 6, 320 / scale, 160 / scale); each pixel is the mean of scale x scale pixels."""
    colour = torch.from_numpy(np.ascontiguousarray(view.color)).permute(2, 0, 1).float() / 255
    height = torch.from_numpy(np.ascontiguousarray(view.height, np.float32))
    image = torch.cat([colour, height.expand(3, -1, -1)])[None]
    return image if scale == 1 else F.avg_pool2d(image, scale)
