"""Where to place, and with which rotation."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .catalog import Design
from .config import AgentConfig
from .frozen import Frozen
from .fused_streams import FusedStreams
from .geometry import GEOMETRIES
from .language import Language
from .rotation import crops
from .streams import Setup

CHANNELS = 3
"""Channels of the maps that are correlated."""


class Transport(nn.Module):
    """A score for every pixel and rotation to place at (Zeng et al. 2020, section 3.2).

    The surroundings of the pick, rotated by each angle, are encoded into kernels, and the whole image, padded by half a kernel, into a
    map; the scores are their cross-correlation. With `rotate=features` the surroundings are encoded once and their features are
    rotated: a different model that is much cheaper.
    """

    def __init__(self, design: Design, config: AgentConfig, trunk: Frozen | None) -> None:
        super().__init__()
        self.size, self.features = config.crop_size, config.rotate == "features"
        self.rotations, self.geometry = config.n_rotations, GEOMETRIES[config.geometry]
        rows = 1 if self.features else config.n_rotations

        def pathway(rows: int) -> FusedStreams:
            return FusedStreams(design, Setup(config, trunk, CHANNELS, rows), config.trans_stream_fusion_type, mixed=False)

        self.key, self.query = pathway(1), pathway(rows)
        if design.goal:
            self.goal = pathway(1)

    def forward(self, image: Tensor, language: Language | None, pick: Tensor, goal: Tensor | None) -> Tensor:
        """Logits (B, R, H, W) of placing what is picked at `pick` (B, 2), rotated by each angle."""
        margin = self.size // 2
        padding = (margin, margin, margin, margin)
        key, kernels = self.key(F.pad(image, padding), language), self.kernels(self.query, image, language, pick)
        if goal is not None:
            key = key + self.goal(F.pad(goal, padding), language)
            kernels = kernels + self.kernels(self.goal, goal, language, pick)
        return self.geometry.scores(key, kernels)

    def kernels(self, net: FusedStreams, image: Tensor, language: Language | None, pick: Tensor) -> Tensor:
        """The kernels (B, R, C, size, size) around `pick` (B, 2)."""
        if not self.features:
            turned = self.geometry.kernels(image, pick, self.rotations, self.size)
            return net(turned.flatten(0, 1), language).unflatten(0, (len(image), -1))
        angles = self.geometry.angles(self.rotations)
        # Wide enough for the square at every rotation, and a multiple of 16, as all crops are.
        wide = 16 * math.ceil(self.size * math.sqrt(2) / 16)
        encoded = net(crops(image, pick, angles[:1], wide)[:, 0], language)
        centre = torch.full((len(image), 2), wide // 2, device=image.device)
        return crops(encoded.float(), centre, angles, self.size)
