"""An agent: where to pick, and where to place what was picked."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.errors import NotFiniteError

from ..sim import poses
from ..sim.action import Action
from ..sim.observation import HeightMap
from ..sim.pixels import pixel_to_position
from .attention import Attention
from .batch import Batch, image_of
from .catalog import design
from .config import AgentConfig
from .encoders import Copies, make_trunk
from .frozen import Frozen, Weights, seeded
from .geometry import GEOMETRIES, Geometry
from .language import Language
from .transport import Transport


@dataclass(frozen=True)
class Decision:
    """Where an agent wants to pick and place. Pixels are row and column of the height map."""

    pick: tuple[int, int]
    place: tuple[int, int]
    angle: float
    """Rotation of the picked object about z, in radians."""
    pick_map: np.ndarray
    """float32 (H, W): probability of picking at each pixel of the agent's image."""
    place_map: np.ndarray
    """float32 (R, H, W): probability of placing at each pixel with each rotation; see `Geometry.angles`."""

    def action(self, heights: np.ndarray) -> Action:
        """The action, given the height map's heights (320, 160) in meters."""
        return Action(
            pick=poses.from_euler(pixel_to_position(self.pick, heights)),
            place=poses.from_euler(pixel_to_position(self.place, heights), yaw=self.angle),
        )


class Agent(nn.Module):
    """Networks for pick and place that share one frozen trunk.

    Args:
        config: its form.
        trunk: frozen encoders; None for an agent without any.
    """

    def __init__(self, config: AgentConfig, trunk: Frozen | None) -> None:
        super().__init__()
        self.config, self.design, self.trunk = config, design(config.agent), trunk
        self.geometry = GEOMETRIES[config.geometry]
        self.attention = Attention(self.design, config, trunk)
        self.transport = Transport(self.design, config, trunk)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Agent:
        if self.trunk is not None:
            self.trunk.apply(lambda module: module._apply(fn))  # noqa: SLF001 - `to` and `half` have no other hook
        moved: Agent = super()._apply(fn, recurse)
        return moved

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @property
    def cells(self) -> str:
        """The geometry of the height maps that the agent expects."""
        return self.config.geometry

    @property
    def origin(self) -> str:
        """Where the frozen weights come from, in words."""
        return "no frozen weights" if self.trunk is None else self.trunk.origin

    def language(self, batch: Batch) -> Language | None:
        """The instructions' features; None for an agent without a trunk."""
        return None if self.trunk is None else self.trunk.language(batch.language, batch.image.device)

    def pick_logits(self, batch: Batch) -> Tensor:
        """Scores (B, H, W) for picking at each pixel."""
        return self.attention(batch.image, self.language(batch), self.goal_of(batch)).float()

    def place_logits(self, batch: Batch, pick: Tensor) -> Tensor:
        """Scores (B, R, H, W) for placing what is picked at `pick` (B, 2), at each pixel and with each rotation."""
        return self.transport(batch.image, self.language(batch), pick, self.goal_of(batch))

    def losses(self, pick_logits: Tensor, place_logits: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """`losses_of` with the agent's geometry."""
        return losses_of(pick_logits, place_logits, batch, self.geometry)

    def goal_of(self, batch: Batch) -> Tensor | None:
        """The goal image, for agents that use it."""
        if self.design.goal and batch.goal is None:
            raise ValueError(f"{self.config.agent} needs a goal image")
        return batch.goal if self.design.goal else None

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The means `attn` and `trans` of a batch's `losses`, and their sum `loss`."""
        assert batch.pick is not None
        attn, trans = (losses.mean() for losses in self.losses(self.pick_logits(batch), self.place_logits(batch, batch.pick), batch))
        return {"loss": attn + trans, "attn": attn, "trans": trans}

    @torch.no_grad()
    def act(self, view: HeightMap, language: str, goal: HeightMap | None = None) -> Decision:
        """The best pick, and the best place given that pick, for a height map (320, 160) and an instruction.

        Raises:
            NotFiniteError: when scores are not finite, so that there is no best pixel.
        """
        training, scale = self.training, self.config.scale
        self.eval()
        goal_image = None if goal is None else image_of(goal, scale)
        batch = Batch(image_of(view, scale), [language], goal=goal_image).to(self.device)
        pick_map = probabilities(self.pick_logits(batch)[0])
        pick = chosen(pick_map, "pick")
        place_map = probabilities(self.place_logits(batch, torch.tensor([pick]))[0])
        turn, *place = chosen(place_map, "place")
        self.train(training)
        row, column = (scale * pixel + scale // 2 for pixel in pick)  # the middle of the height map's pixels that it covers
        return Decision(
            (row, column),
            (scale * place[0] + scale // 2, scale * place[1] + scale // 2),
            float(self.geometry.angles(len(place_map))[turn]),
            pick_map.cpu().numpy(),
            place_map.cpu().numpy(),
        )


def probabilities(logits: Tensor) -> Tensor:
    """Softmax over all logits of one sample, rotations included."""
    return logits.float().flatten().softmax(0).view_as(logits)


def best(values: Tensor) -> list[int] | None:
    """Index of the largest value along each axis; None if a value is not finite, because then no order is meaningful."""
    if not values.isfinite().all():
        return None
    return [int(index) for index in torch.unravel_index(values.argmax(), values.shape)]


def chosen(values: Tensor, what: str) -> list[int]:
    found = best(values)
    if found is None:
        raise NotFiniteError(f"the agent's scores of where to {what} are not finite: its training diverged, or its precision is too low")
    return found


def losses_of(pick_logits: Tensor, place_logits: Tensor, batch: Batch, geometry: Geometry = GEOMETRIES["exact"]) -> tuple[Tensor, Tensor]:
    """Cross-entropy (B,) over all pixels to pick, and (B,) over all pixels and rotations to place.

    Args:
        pick_logits: (B, H, W).
        place_logits: (B, R, H, W).
        batch: contains the demonstrated pick and place.
        geometry: the agent's; the original's divides each loss by the number of scores.
    """
    attn = F.cross_entropy(pick_logits.flatten(1), flat(batch.pick, pick_logits.shape[-1]), reduction="none")
    rotations, height, width = place_logits.shape[1:]
    target = turn_of(batch, rotations, geometry) * height * width + flat(batch.place, width)
    trans = F.cross_entropy(place_logits.flatten(1), target, reduction="none")
    return (attn / pick_logits[0].numel(), trans / place_logits[0].numel()) if geometry.mean_losses else (attn, trans)


def flat(pixels: Tensor | None, width: int) -> Tensor:
    """Flat indices (B,) of pixels given by row and column (B, 2)."""
    assert pixels is not None
    return pixels[:, 0] * width + pixels[:, 1]


def turn_of(batch: Batch, rotations: int, geometry: Geometry) -> Tensor:
    """Index (B,) of the rotation nearest to the demonstrated one."""
    assert batch.place_theta is not None
    assert batch.pick_theta is not None
    turns = (batch.place_theta - batch.pick_theta) * (geometry.direction * rotations / (2 * math.pi))
    return turns.round().long() % rotations


def make(config: AgentConfig, weights: Weights | None, seed: int, say: Callable[[str], Any]) -> Agent:
    """See `cliport.agents.build`."""
    parts = design(config.agent)
    trunk = make_trunk(parts.trunk, parts.untrained, config.clip, weights or Weights(), say)
    agent: Agent = seeded(lambda: Agent(config, trunk), seed)
    return agent


def unfilled(config: AgentConfig, weights: Weights, say: Callable[[str], Any], copies: Copies) -> Agent:
    """An agent whose parameters are on the meta device, to which a complete state dict has to be assigned."""
    parts = design(config.agent)
    trunk = make_trunk(parts.trunk, parts.untrained, config.clip, weights, say, copies)
    with torch.device("meta"):
        return Agent(config, trunk)
