"""Validation: how well an agent predicts what the demonstrator did."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from harness.torch.distributed import gather_rows

from .agent import Agent, best, probabilities, turn_of
from .batch import Batch
from .blocks import by_running_statistics
from .geometry import GEOMETRIES, Geometry
from .overlay import overlay

NEAR = 8
"""Pixels of the height map, 2.5 cm: a pick or place within this distance counts as correct."""


@dataclass(frozen=True)
class Result:
    """Means over all samples. Distances are in pixels of the height map (L1), angles in radians."""

    attn: float
    trans: float
    attn_dist_err: float
    attn_theta_err: float
    trans_dist_err: float
    trans_theta_err: float
    attn_near: float
    """Share of the picks within NEAR pixels along each axis."""
    trans_near: float

    @property
    def loss(self) -> float:
        return self.attn + self.trans

    def scalars(self) -> dict[str, float]:
        """The original's names without their prefix `vl/`; its `total_` errors are sums over the samples, these are means."""
        return {
            "loss": self.loss,
            "attn/loss": self.attn,
            "trans/loss": self.trans,
            "attn_dist_err": self.attn_dist_err,
            "attn_theta_err": self.attn_theta_err,
            "trans_dist_err": self.trans_dist_err,
            "trans_theta_err": self.trans_theta_err,
            "attn_near": self.attn_near,
            "trans_near": self.trans_near,
        }


def wrapped(angle: float) -> float:
    """The absolute value of an angle modulo 2 pi, in [0, pi]."""
    return abs((angle + math.pi) % (2 * math.pi) - math.pi)


@torch.no_grad()
def validate(agent: Agent, batches: Iterable[tuple[list[int], Batch]], context: Any, pictures: int = 0) -> tuple[Result, list[Image.Image]]:
    """Compare an agent with demonstrations; the place is judged given the demonstrator's pick.

    Args:
        agent: stays in its mode (training or evaluation).
        batches: this rank's samples with their numbers.
        context: the context in which the agent runs, for mixed precision.
        pictures: number of samples to draw, from number 0.

    Returns:
        The means over the samples of all ranks, and the pictures of this rank's samples.
    """
    training = agent.training
    agent.eval()
    rows: list[Tensor] = [torch.empty(0, 9, dtype=torch.float64)]
    drawn = []
    for numbers, batch in batches:
        moved = batch.to(agent.device)
        assert moved.pick is not None
        with context(), by_running_statistics(agent):
            pick_logits, place_logits = agent.pick_logits(moved), agent.place_logits(moved, moved.pick)
        attn, trans = agent.losses(pick_logits, place_logits, moved)
        for row, number in enumerate(numbers):
            maps = probabilities(pick_logits[row]).cpu(), probabilities(place_logits[row]).cpu()
            errors = errors_of(batch, row, *maps, scale=agent.config.scale, geometry=agent.geometry)
            rows.append(torch.tensor([[number, float(attn[row]), float(trans[row]), *errors]], dtype=torch.float64))
            if number < pictures:
                drawn.append(picture_of(batch, row, *maps, errors))
    agent.train(training)
    return mean_of(torch.cat(rows), agent.device), drawn


def errors_of(
    batch: Batch, row: int, pick_map: Tensor, place_map: Tensor, scale: int, geometry: Geometry = GEOMETRIES["exact"]
) -> list[float]:
    """Distance and angle of the pick, distance and angle of the place, and whether each is near.

    If scores are not finite, the errors are NaN and nothing is near.
    """
    assert batch.pick is not None
    assert batch.place is not None
    pick, place = best(pick_map), best(place_map)
    turn = math.nan if place is None else (place[0] - int(turn_of(batch, len(place_map), geometry)[row])) * 2 * math.pi / len(place_map)
    return [
        distance(pick, batch.pick[row], scale),
        math.nan if pick is None else 0.0,
        distance(place, batch.place[row], scale),
        wrapped(turn),
        float(near(pick_map, batch.pick[row], scale)),
        float(near(place_map, batch.place[row], scale)),
    ]


def distance(index: list[int] | None, pixel: Tensor, scale: int) -> float:
    """L1 distance, in pixels of the height map, from a pixel to the one in the last two places of an index."""
    return math.nan if index is None else float(scale * (pixel - torch.tensor(index[-2:])).abs().sum())


def near(values: Tensor, pixel: Tensor, scale: int) -> bool:
    """Whether the best pixel is within NEAR pixels of another along each axis; if several are equally good, all of them must be."""
    found = (values == values.amax()).nonzero()[:, -2:]
    return len(found) > 0 and bool((scale * (pixel - found).abs() <= NEAR).all())


def mean_of(rows: Tensor, device: torch.device) -> Result:
    """The means over all ranks' rows, summed in the order of the samples, so that the number of ranks does not matter."""
    together = gather_rows(rows.to(device)).cpu()
    together = together[together[:, 0].argsort()]
    return Result(*(float(value) for value in together[:, 1:].mean(0)))


def picture_of(batch: Batch, row: int, pick_map: Tensor, place_map: Tensor, errors: list[float]) -> Image.Image:
    assert batch.pick is not None
    assert batch.place is not None
    truths = [(int(pixel[0]), int(pixel[1])) for pixel in (batch.pick[row], batch.place[row])]
    choices = [None if index is None else (index[-2], index[-1]) for index in (best(pick_map), best(place_map))]
    maps = [pick_map.nan_to_num().numpy(), place_map.sum(0).nan_to_num().numpy()]
    pixels = list(zip(truths, choices, strict=True))
    return overlay(batch.image[row].numpy(), batch.language[row], maps, pixels, [bool(errors[4]), bool(errors[5])])
