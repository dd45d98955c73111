"""The fixtures: names and shapes of the original's tensors, the numbers of its agents, and the same of ours."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import original_rule as rule
import torch
from torch import Tensor, nn

from cliport.agents import AgentConfig
from cliport.agents.agent import Agent, Decision
from cliport.agents.batch import Batch, image_of
from cliport.agents.blocks import by_running_statistics
from cliport.agents.catalog import design
from cliport.agents.checkpoint import check_names, load_original
from cliport.agents.frozen import Frozen, Weights
from cliport.agents.original_checkpoint import Translation, translated
from cliport.sim.action import Action
from cliport.sim.observation import HeightMap

FIXTURES = Path(__file__).parents[1] / "fixtures"
STEP = 4
"""Of every map, the fixtures have one row and one column in so many."""


def shapes_of() -> dict[str, dict[str, tuple[int, ...]]]:
    """Name and shape of every tensor, by agent; `clip` has CLIP's own."""
    agents: dict[str, dict[str, tuple[int, ...]]] = {}
    for line in gzip.decompress((FIXTURES / "keys.tsv.gz").read_bytes()).decode().splitlines():
        if line.startswith("# "):
            agents[line[2:]] = found = {}
        elif not line.startswith("name\t"):
            name, shape, *_ = line.split("\t")
            found[name] = () if shape == "scalar" else tuple(map(int, shape.split("x")))
    return agents


class Numbers:
    """What the original's code gave for one agent."""

    other_text = "pack the yoshi figure in the brown box"

    def __init__(self, agent: str) -> None:
        with np.load(FIXTURES / "agents.npz") as stored:
            self.values = {key.partition("/")[2]: stored[key] for key in stored if key.startswith(f"{agent}/")}
        self.maps = [key.removesuffix("/largest") for key in self.values if key.endswith("/largest")]

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def __getitem__(self, key: str) -> np.ndarray:
        return self.values[key]

    def difference(self, key: str, found: np.ndarray) -> float:
        """The largest difference of a map, as a share of its largest absolute value."""
        assert found[..., ::STEP, ::STEP].shape == self[key].shape, key
        return float(np.abs(found[..., ::STEP, ::STEP] - self[key]).max() / self[f"{key}/largest"])


class Widths(Frozen):
    """The widths of frozen encoders without any weights."""

    visual, origin = None, "nothing"

    def __init__(self, channels: tuple[int, ...], sentence: int, word: int, averaged: bool) -> None:
        super().__init__()
        self.channels, self.sentence, self.word, self.averaged = channels, sentence, word, averaged

    def modules(self) -> dict[str, nn.Module]:
        return {}

    def stages(self) -> list[nn.Module]:
        return []

    def encode_text(self, text: str) -> tuple[Tensor, Tensor]:
        raise NotImplementedError


def encoder_widths(trunk: str) -> Frozen | None:
    """Those of CLIP's RN50 or DistilBERT."""
    return {"clip": Widths((256, 512, 1024, 2048), 1024, 512, False), "bert": Widths((), 768, 768, True)}.get(trunk)


KEYS = shapes_of()


def without_values(name: str) -> Agent:
    """An agent of the original's sizes on the meta device."""
    with torch.device("meta"):
        return Agent(AgentConfig(name, geometry="original"), encoder_widths(design(name).trunk))


def matched(name: str) -> tuple[Translation, set[str]]:
    """What a checkpoint with the agent's names and shapes is in our terms, and the names that nothing corresponds to.

    Raises:
        CheckpointError: where a parameter of ours finds none there.
    """
    zero, path = torch.zeros(()), Path("last.ckpt")
    found = translated({key: zero.expand(shape) for key, shape in KEYS[name].items()}, path)
    return found, check_names(without_values(name), found, path)


def made(name: str, folder: Path) -> Agent:
    """An agent with the rule's weights, loaded from them as from a checkpoint; `folder` is for DistilBERT's words."""
    (folder / "vocab.txt").write_text((FIXTURES / "bert_vocab.txt").read_text())
    weights = Weights("", bert=str(folder)) if design(name).trunk == "bert" else None
    config = AgentConfig(name, n_rotations=rule.ROTATIONS)
    return load_original(Path("last.ckpt"), rule.state_dict(KEYS[name]), config, weights, lambda _: None)


@dataclass
class Ran:
    """What an agent with the rule's weights gives for the rule's views."""

    numbers: Numbers
    maps: dict[str, np.ndarray]
    decision: Decision
    action: Action
    tokens: list[int]
    sentences: np.ndarray


@torch.no_grad()
def run(agent: Agent, numbers: Numbers) -> Ran:
    goal = height_map(rule.GOAL) if agent.design.goal else None
    image, pick, maps = image_of(height_map(rule.VIEW)), torch.tensor([rule.PICK]), {}
    batch = Batch(image, [rule.TEXT], goal=None if goal is None else image_of(goal))
    with watched(agent, maps):  # the place first: its crops are those of the rule's pick, not of what `act` picks
        maps["trans"] = agent.eval().place_logits(batch, pick)[0]
        decision = agent.act(height_map(rule.VIEW), rule.TEXT, goal)
    action = decision.action(rule.view(rule.VIEW)[1])
    if "attn_validation" in numbers:
        with by_running_statistics(agent):
            maps["attn_validation"], maps["trans_validation"] = agent.pick_logits(batch)[0], agent.place_logits(batch, pick)[0]
    if "attn_other_text" in numbers:
        other: dict[str, Any] = {}
        with watched(agent, other):
            maps["attn_other_text"] = agent.pick_logits(replace(batch, language=[numbers.other_text]))[0]
        maps["attn_stream_two_other_text"] = other["attn_stream_two"]
    clip = getattr(agent.trunk, "model", None)
    texts = np.load(FIXTURES / "clip.npz")["texts"].tolist() if clip is not None else []
    tokens = [agent.trunk.tokenize([text])[0].tolist() for text in texts]
    sentences = np.stack([agent.trunk.encode_text(text)[0].numpy() for text in texts]) if texts else np.empty(0)
    return Ran(numbers, {key: value.numpy() for key, value in maps.items()}, decision, action, tokens, sentences)


@contextmanager
def watched(agent: Agent, maps: dict[str, Tensor]) -> Iterator[None]:
    """Within, what every stream of an agent first gives goes into `maps`, by the original's names, cropped to the image."""
    parts: list[tuple[str, nn.Module, Callable[[Tensor], Tensor]]] = [("attn", agent.attention, lambda x: x[0])]
    for net, prefix, crop in (
        (agent.attention.net, "attn", lambda x: x[0, 0, :, 80:-80]),
        (agent.transport.key, "key", lambda x: x[0, :, 32:-32:2, 32:-32:2]),
        (agent.transport.query, "query", lambda x: x),
    ):
        if net.two is not None:
            parts += [
                (f"{prefix}_stream_one", net.one, crop),
                (f"{prefix}_stream_two", net.two, crop),
                (f"fusion_{prefix}", net.fusion, crop),
            ]
    handles = [part.register_forward_hook(partial(keep, maps, name, crop)) for name, part, crop in parts]
    yield
    for handle in handles:
        handle.remove()


def keep(maps: dict[str, Tensor], name: str, crop: Callable[[Tensor], Tensor], _: object, __: object, output: Any) -> None:
    maps.setdefault(name, crop(output[0] if isinstance(output, tuple) else output).clone())


def height_map(seed: int) -> HeightMap:
    return HeightMap(*rule.view(seed), np.full((320, 160), -1, np.int32))
