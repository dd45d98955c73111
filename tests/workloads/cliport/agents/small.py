"""Small agents for tests."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch

from cliport.agents import SIZES, AgentConfig, build, resnet_bert
from cliport.agents.agent import Agent
from cliport.agents.batch import Batch
from cliport.agents.frozen import Weights

resnet_bert.make_bert, resnet_bert.make_resnet = (
    lru_cache(resnet_bert.make_bert),
    lru_cache(resnet_bert.make_resnet),
)  # 90 million random numbers: drawn once


def config_of(agent: str = "cliport", **options: Any) -> AgentConfig:
    """The small sizes with few rotations."""
    return AgentConfig(agent=agent, **{**SIZES["small"], "n_rotations": 4, **options})


@lru_cache(maxsize=2)
def agent_of(agent: str = "cliport", **options: Any) -> Agent:
    """An agent with random weights; the same one for the same options."""
    return build(config_of(agent, **options), Weights("random"), say=lambda _: None)


def batch_of(count: int = 2, height: int = 160, goal: bool = False) -> Batch:
    """Noise, with two instructions in turn."""
    generator = torch.Generator().manual_seed(0)
    image, reached = torch.rand(2, count, 6, height, height // 2, generator=generator)
    pixels = torch.stack([torch.randint(side, (2, count), generator=generator) for side in (height, height // 2)], -1)
    thetas = torch.randn(2, count, generator=generator)
    texts = ["put the red block in the green bowl", "stack it"]
    language = [texts[number % 2] for number in range(count)]
    return Batch(image, language, pixels[0], thetas[0], pixels[1], thetas[1], reached if goal else None)
