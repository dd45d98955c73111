"""`model.clip_batchnorm=train`: the frozen image encoder normalizes by each batch, and counts its own statistics in every network."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import run, same
from small import agent_of
from support.training import broken_off_at
from torch import Tensor, nn

from cliport.agents import load
from cliport.agents.agent import Agent
from cliport.agents.streams import Colours
from harness.checkpoint import find
from harness.errors import CheckpointError
from harness.report import Recorder

NAME = "clip_lingunet_transporter"
QUICK: dict[str, Any] = {"train__agent": NAME, "train__n_val": 1, "train__debug_images": 0, "train__save_steps": []}


@pytest.fixture
def agent() -> Agent:
    return copy.deepcopy(agent_of(NAME, clip_batchnorm="train"))


def encoders(agent: Agent) -> list[Colours]:
    return [part for part in agent.modules() if isinstance(part, Colours)]


def test_each_network_begins_with_the_encoder_s_own_statistics(agent: Agent) -> None:
    own = {name: value for name, value in agent.trunk.visual.named_buffers() if "running" in name}
    assert len(encoders(agent)) == 3  # to pick, and of the place the map and the kernels
    for part in encoders(agent):
        assert {name.replace("-", "."): value.tolist() for name, value in part.statistics.named_buffers()} == {
            name: value.tolist() for name, value in own.items()
        }


def test_in_training_maps_and_statistics_are_those_of_batch_normalization_in_training(agent: Agent) -> None:
    """Of every stage by PyTorch's own modules in that mode, in a copy; of the first norm by its formula, with its momentum of a tenth."""
    part, image = encoders(agent)[0].train(), torch.rand(2, 6, 64, 32)
    trunk, expected = copy.deepcopy(agent.trunk), image[:, :3]
    seen: list[Tensor] = []
    trunk.visual.bn1.register_forward_pre_hook(lambda _, given: seen.append(given[0].double()))
    for norm in (each for each in trunk.visual.modules() if isinstance(each, nn.BatchNorm2d)):
        norm.train()
    mean, std = torch.tensor([0.48145466, 0.4578275, 0.40821073]), torch.tensor([0.26862954, 0.26130258, 0.27577711])
    expected = (expected - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    before = agent.trunk.statistics()
    with torch.no_grad():
        for found, stage in zip(part(image), trunk.stages(), strict=True):
            expected = stage(expected)
            assert torch.allclose(found, expected, atol=1e-5)
    counted = {name.replace("-", "."): value for name, value in part.statistics.named_buffers()}
    assert all(torch.allclose(value, counted[name]) for name, value in trunk.statistics().items())
    [values] = [each.transpose(0, 1).flatten(1) for each in seen]
    spread = (values - values.mean(1, keepdim=True)).square().sum(1) / (values.shape[1] - 1)
    assert torch.allclose(counted["bn1.running_mean"].double(), 0.9 * before["bn1.running_mean"] + 0.1 * values.mean(1), atol=1e-6)
    assert torch.allclose(counted["bn1.running_var"].double(), 0.9 * before["bn1.running_var"] + 0.1 * spread, atol=1e-6)
    assert all(torch.equal(value, before[name]) for name, value in agent.trunk.statistics().items())  # the shared encoder keeps its own


def test_in_evaluation_it_normalizes_by_what_was_counted_and_counts_no_more(agent: Agent) -> None:
    part, image = encoders(agent)[0], torch.rand(2, 6, 64, 32)
    part.eval()
    unturned = part(image)
    part.train()
    part(torch.rand(2, 6, 64, 32))
    part.eval()
    counted = {name: value.clone() for name, value in part.statistics.named_buffers()}
    first, second = part(image), part(image)
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    assert all(torch.equal(value, counted[name]) for name, value in part.statistics.named_buffers())
    assert not torch.allclose(first[3], unturned[3], atol=1e-3)
    alone = part(image[:1])
    assert torch.allclose(alone[3], first[3][:1], atol=1e-4)  # a sample's maps do not depend on the others


def test_a_training_counts_them_and_its_checkpoint_says_so_and_holds_them(data: Path, tmp_path: Path) -> None:
    report = Recorder()
    final = run(data, tmp_path, report, **QUICK, train__n_steps=1, model__clip_batchnorm="train")
    agent = load(tmp_path / "checkpoints" / "last.ckpt", say=lambda _: None)
    assert agent.config.clip_batchnorm == "train"
    counted = [dict(part.statistics.named_buffers())["bn1-running_mean"] for part in encoders(agent)]
    own = agent.trunk.visual.bn1.running_mean
    assert not any(torch.allclose(one, own) for one in counted)
    assert not torch.allclose(counted[0], counted[2])
    assert sum("statistics" in key for key in final) == 3 * len(agent.trunk.statistics())
    assert not encoders(agent_of(NAME))[0].statistics._buffers  # by default there are none  # noqa: SLF001


def test_a_resumed_training_goes_on_counting_where_it_was_broken_off(data: Path, tmp_path: Path) -> None:
    options = {**QUICK, "train__n_steps": 2, "train__checkpoint_every": 1, "model__clip_batchnorm": "train"}
    unbroken = run(data, tmp_path / "unbroken", **options)
    with broken_off_at(1):
        run(data, tmp_path / "broken", **options)
    assert same(run(data, tmp_path / "broken", resume=find(tmp_path / "broken"), **options), unbroken)
    with pytest.raises(CheckpointError, match=r"model\.clip_batchnorm was train, is now eval"):
        run(data, tmp_path / "broken", resume=find(tmp_path / "broken"), **{**options, "model__clip_batchnorm": "eval"})
