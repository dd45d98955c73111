"""A training step as CLIPort's own code takes it, around the networks of one of our agents.

Each of three networks has a CLIP of its own and encodes the instruction anew; the whole padded image is turned by every angle, then
cropped; kernels of 64 x 64 are correlated by a padded convolution; labels are dense; pick and place have an optimiser each. Left out
are what would change the result: batch statistics in the frozen CLIP, and the place's scores resized by a pixel.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from cliport.agents.agent import Agent
from cliport.agents.batch import Batch
from cliport.agents.frozen import Frozen
from cliport.agents.fused_streams import FusedStreams
from cliport.agents.language import Language


class OwnClip:
    """A network's own copy of the frozen encoders, which remembers no text."""

    def __init__(self, trunk: Frozen) -> None:
        self.trunk = copy.deepcopy(trunk)

    def pyramid(self, colours: Tensor, statistics: Mapping[str, Tensor]) -> list[Tensor]:
        return self.trunk.pyramid(colours, statistics)

    def language(self, texts: Sequence[str]) -> Language:
        self.trunk.texts.clear()
        return self.trunk.language(texts, torch.device("cpu"))


class TheOriginalsWay:
    """Training steps of one sample at a time.

    Args:
        agent: of which the networks are taken.
        lr: of both optimisers.
    """

    def __init__(self, agent: Agent, lr: float) -> None:
        assert agent.trunk is not None
        self.agent = agent
        self.pick, self.key, self.query = agent.attention.net, agent.transport.key, agent.transport.query
        self.clips = {id(net): OwnClip(agent.trunk) for net in (self.pick, self.key, self.query)}
        for net in (self.pick, self.key, self.query):
            net.two.colours.pyramid = self.clips[id(net)].pyramid  # type: ignore[union-attr]
        self.optimisers = [torch.optim.Adam(module.parameters(), lr=lr) for module in (agent.attention, agent.transport)]

    def encode(self, net: FusedStreams, image: Tensor, texts: Sequence[str]) -> Tensor:
        return net(image, self.clips[id(net)].language(texts))

    def turned(self, image: Tensor, count: int, pivot: tuple[int, int]) -> Tensor:
        """The image (1, C, H, W) turned as a whole by each of `count` angles about the pivot."""
        height, width = image.shape[2:]
        found = []
        for number in range(count):
            angle = 2 * math.pi * number / count
            cosine, sine = math.cos(angle), math.sin(angle)
            row, column = pivot
            # from an output's pixel to the input's, both in [-1, 1]
            x, y = (2 * column + 1) / width - 1, (2 * row + 1) / height - 1
            matrix = torch.tensor([[cosine, sine * height / width, 0.0], [-sine * width / height, cosine, 0.0]], dtype=torch.float64)
            matrix[:, 2] = torch.tensor([x, y], dtype=torch.float64) - matrix[:, :2] @ torch.tensor([x, y], dtype=torch.float64)
            grid = F.affine_grid(matrix[None], [1, 1, height, width], align_corners=False)
            found.append(F.grid_sample(image, grid.float(), align_corners=False))
        return torch.cat(found)

    def pick_logits(self, batch: Batch) -> Tensor:
        height, width = batch.image.shape[2:]
        side = (height - width) // 2
        padded = F.pad(batch.image, (side, side))
        logits = self.encode(self.pick, self.turned(padded, 1, (height // 2, height // 2)), batch.language)
        return logits[:, 0, :, side : side + width]

    def place_logits(self, batch: Batch) -> Tensor:
        config = self.agent.config
        half = config.crop_size // 2
        padded = F.pad(batch.image, (half, half, half, half))
        assert batch.pick is not None
        row, column = (int(pixel) + half for pixel in batch.pick[0])
        crops = self.turned(padded, config.n_rotations, (row, column))[:, :, row - half : row + half, column - half : column + half]
        key, kernels = self.encode(self.key, padded, batch.language), self.encode(self.query, crops, batch.language)
        return F.conv2d(key, kernels, padding=half)[:, :, half : -half - 1, half : -half - 1]

    def step(self, batch: Batch) -> tuple[Tensor, Tensor, float]:
        """One step. Returns the scores of pick (1, H, W) and place (1, R, H, W), and the loss."""
        assert batch.pick is not None
        assert batch.place is not None
        assert batch.place_theta is not None
        assert batch.pick_theta is not None
        rotations = self.agent.config.n_rotations
        turn = round(float(batch.place_theta[0] - batch.pick_theta[0]) * rotations / (2 * math.pi)) % rotations
        pick, place = self.pick_logits(batch), None
        wanted = torch.zeros_like(pick)
        wanted[0, batch.pick[0, 0], batch.pick[0, 1]] = 1
        attn = self.learn(pick, wanted, self.optimisers[0])
        place = self.place_logits(batch)
        wanted = torch.zeros_like(place)
        wanted[0, turn, batch.place[0, 0], batch.place[0, 1]] = 1
        return pick.detach(), place.detach(), attn + self.learn(place, wanted, self.optimisers[1])

    @staticmethod
    def learn(scores: Tensor, wanted: Tensor, optimiser: torch.optim.Optimizer) -> float:
        loss = (-wanted.flatten() * F.log_softmax(scores.flatten(), -1)).sum()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        return float(loss.detach())
