"""Checkpoints of CLIPort's own code: what corresponds is found, what does not is named, nothing in them is run."""

from __future__ import annotations

import re
import sys
import types
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numbers_of_original import encoder_widths, shapes_of
from small import batch_of, config_of
from torch import Tensor

from cliport.agents import AgentConfig, build, load
from cliport.agents.agent import Agent
from cliport.agents.blocks import by_running_statistics
from cliport.agents.checkpoint import share, weights_in
from cliport.agents.frozen import MEAN, STD, Weights
from harness.errors import CheckpointError, ParameterError

KINDS = {"conv1": "0", "norm1": "1", "conv2": "3", "norm2": "4"}


HALF = ("conv1.weight", "text_projection")
"""Some of what is half precision in CLIP's own file."""


def published(key: str) -> str:
    """The name that one of our parameters of `cliport` has in CLIPort's own code."""
    key = key.replace("attention.net.fusion.", "attention.fusion.").replace("attention.net.", "attention.attn_stream_")
    key = re.sub(r"transport\.(key|query)\.fusion\.", r"transport.fusion_\1.", key)
    key = re.sub(r"transport\.(key|query)\.(one|two)\.", r"transport.\1_stream_\2.", key)
    key = re.sub(r"\.ups\.(\d)\.(\w+)\.", lambda found: f".up{int(found[1]) + 1}.conv.double_conv.{KINDS[found[2]]}.", key)
    key = re.sub(r"\.decoders\.(\d)\.", lambda found: f".layer{int(found[1]) + 1}.", key)
    key = re.sub(r"\.lateral\.(\d)\.", lambda found: f".lat_fusion{int(found[1]) + 1}.", key)
    key = re.sub(r"\.language\.(\d)\.project\.", lambda found: f".lang_proj{int(found[1]) + 1}.", key)
    return re.sub(r"_two\.conv2\.(weight|bias)$", r"_two.conv2.0.\1", key)


def frozen_copy(agent: Agent, network: str, number: int) -> dict[str, Tensor]:
    """CLIP as each network of the original has it: partly in half precision, its running statistics changed by training."""
    state = {}
    for key, value in agent.trunk.model.state_dict().items():
        changed = value * (1 + 0.1 * number) if key.endswith(("running_mean", "running_var")) else value
        state[f"{network}.clip_rn50.{key}"] = changed.half() if key.endswith(HALF) else changed
    return state


NETWORKS = ("attention.attn_stream_two", "transport.key_stream_two", "transport.query_stream_two")


def state_of(agent: Agent) -> dict[str, Tensor]:
    """The agent's parameters as CLIPort's own code would save them: up blocks have biases before their normalisation."""
    state = {published(key): value for key, value in agent.state_dict().items()}
    for key in [key for key in state if re.search(r"double_conv\.[14]\.weight$", key)]:
        before = key.replace(".1.weight", ".0.bias").replace(".4.weight", ".3.bias")
        state[before] = torch.full_like(state[key], 0.25)
        state[key.replace("weight", "running_mean")] = state[key.replace("weight", "running_mean")] + 0.25
        state[key.replace("weight", "num_batches_tracked")] = torch.tensor(7)
    for number, network in enumerate(NETWORKS, 1):
        state |= frozen_copy(agent, network, number)
    return state


@pytest.fixture(scope="module")
def agent() -> Agent:
    """Of the original's geometry, whose training has moved the running statistics of its up blocks."""
    made = build(config_of(clip="tiny-resnet", rotate="crops", n_rotations=2, geometry="original"), Weights("random"), say=lambda _: None)
    for name, parameter in made.trunk.model.named_parameters():
        if name.endswith(HALF):
            parameter.data = parameter.data.half().float()
    made(batch_of())
    return made


@pytest.fixture(scope="module")
def file(agent: Agent, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Saved by Lightning 1, with a type as a key and NumPy's numbers."""
    path = tmp_path_factory.mktemp("original") / "last.ckpt"
    name = "pytorch_lightning.callbacks.model_checkpoint"
    made = types.ModuleType(name)
    made.ModelCheckpoint = type("ModelCheckpoint", (), {"__module__": name})
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, name, made)
        callbacks = {made.ModelCheckpoint: {"best_model_score": np.float64(0.25), "best_model_path": "best.ckpt"}}
        torch.save({"state_dict": state_of(agent), "callbacks": callbacks, "global_step": 5000}, path)
    return path


def test_its_names_are_the_originals(agent: Agent) -> None:
    """All of those that CLIPort's own code gives to the parts of `cliport`, besides CLIP's own."""
    theirs = {key for key in shapes_of()["cliport"] if ".clip_rn50." not in key}
    with torch.device("meta"):
        faithful = Agent(AgentConfig(geometry="original"), encoder_widths("clip"))
    ours = {published(key) for key in faithful.state_dict()}
    assert {key for key in theirs if not re.search(r"double_conv\.([03]\.bias|[14]\.num_batches_tracked)$", key)} == ours


def test_an_agent_is_what_was_published(agent: Agent, file: Path) -> None:
    said: list[str] = []
    loaded = load(file, agent.config, say=said.append)
    state = {key: value for key, value in loaded.state_dict().items() if ".statistics." not in key}
    assert state.keys() == agent.state_dict().keys()
    assert all(torch.allclose(value, agent.state_dict()[key], atol=1e-6) for key, value in state.items())
    count = len(state_of(agent))
    assert said[-1] == f"{file}: {count} of {count} tensors matched, with 3 copies of CLIP; unmatched: none"
    assert loaded.origin == f"CLIP tiny-resnet has the weights of {file}"


def test_its_geometry_is_the_originals_by_itself(agent: Agent, file: Path) -> None:
    assert load(file, replace(agent.config, geometry="exact"), say=lambda _: None).config.geometry == "original"


def test_running_statistics_are_those_of_the_file(agent: Agent, file: Path) -> None:
    """In validation a bias before the normalisation counts, as part of the running mean."""
    loaded, batch = load(file, agent.config, say=lambda _: None).eval(), batch_of()
    assert not torch.equal(agent.state_dict()["attention.net.two.ups.0.norm1.running_mean"], torch.zeros(64))
    with torch.no_grad():
        plain = loaded.pick_logits(batch)
        with by_running_statistics(loaded):
            assert not torch.allclose(loaded.pick_logits(batch), plain)
        assert torch.equal(loaded.pick_logits(batch), plain)


def test_copies_of_clip_that_differ_are_told(agent: Agent, tmp_path: Path) -> None:
    state = state_of(agent)
    state["transport.query_stream_two.clip_rn50.text_projection"] = state["transport.query_stream_two.clip_rn50.text_projection"] + 1
    torch.save({"state_dict": state}, tmp_path / "last.ckpt")
    with pytest.raises(
        CheckpointError, match=r"transport\.query\.two and attention\.net\.two have different copies of clip.*: text_projection"
    ):
        load(tmp_path / "last.ckpt", agent.config)


def test_each_network_has_its_own_statistics_of_clip(agent: Agent, file: Path) -> None:
    loaded = load(file, agent.config, say=lambda _: None)
    image = batch_of().image
    streams = (loaded.attention.net.two, loaded.transport.key.two, loaded.transport.query.two)
    for number, stream in enumerate(streams, 1):
        statistics = {
            key: value * (1 + 0.1 * number)
            for key, value in agent.trunk.visual.state_dict().items()
            if key.endswith(("running_mean", "running_var"))
        }
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
        colours = (image[:, :3] - mean) / std
        expected = agent.trunk.pyramid(colours, statistics)
        assert all(torch.allclose(one, other) for one, other in zip(stream.colours(image), expected, strict=True))
        assert not torch.allclose(expected[3], agent.trunk.pyramid(colours, {})[3])


def test_names_of_another_kind_of_network_are_described_not_guessed(agent: Agent, file: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"does not state its agent: it contains attention\.attn_stream_one\.\* \(\d+\)"):
        load(file)
    with pytest.raises(CheckpointError, match=r"does not contain the agent transporter .*: it lacks .*attention\.net\.one.*has unmatched "):
        load(file, config_of("transporter"))
    with pytest.raises(CheckpointError, match=r"has other shapes for attention"):
        load(file, config_of(rotate="crops", width=16))
    torch.save({"state_dict": {"backbone.conv.weight": torch.zeros(1), "head.bias": torch.zeros(1)}}, tmp_path / "other.ckpt")
    with pytest.raises(
        CheckpointError, match=r"neither a checkpoint of this project nor of the original: it contains backbone\.conv\.\* \(1\)"
    ):
        load(tmp_path / "other.ckpt")


def test_parameters_that_nothing_corresponds_to_are_listed(agent: Agent, tmp_path: Path) -> None:
    said: list[str] = []
    torch.save({"state_dict": {**state_of(agent), "attention.attn_stream_one.extra.weight": torch.zeros(2)}}, tmp_path / "last.ckpt")
    load(tmp_path / "last.ckpt", agent.config, say=said.append)
    assert any(text.endswith("unmatched: attention.attn_stream_one.extra.weight") for text in said)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 torn"])
def test_a_file_that_is_no_checkpoint_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "last.ckpt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"last\.ckpt"):
        load(tmp_path / "last.ckpt", config_of())


class Harmful:
    """Would write a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.write_text, (self.path, "ran")


def test_nothing_in_a_file_is_run(agent: Agent, tmp_path: Path) -> None:
    torch.save({"state_dict": state_of(agent), "callbacks": Harmful(tmp_path / "proof")}, tmp_path / "last.ckpt")
    with pytest.raises(CheckpointError, match="holds the type"):
        load(tmp_path / "last.ckpt", agent.config)
    assert not (tmp_path / "proof").exists()


def test_finetuning_from_it_keeps_its_parameters_and_its_clip(agent: Agent, file: Path) -> None:
    weights, said = weights_in(file), []
    assert asdict(weights)["clip"] == str(file)
    loaded = load(file, agent.config, say=lambda _: None)
    other = build(replace(agent.config, trans_stream_fusion_type="add"), Weights(str(file)), say=lambda _: None)
    share(other, file, said.append)
    kept = {key: value for key, value in other.state_dict().items() if ".statistics." not in key}
    assert all(torch.allclose(value, agent.state_dict()[key], atol=1e-6) for key, value in kept.items())
    assert len(said) == 1
    assert "not used: transport.key.fusion.conv.1.weight, transport.query.fusion.conv.1.weight" in said[0]
    name = "attention.net.two.colours.statistics.bn1-running_mean"
    assert torch.equal(other.state_dict()[name], loaded.state_dict()[name])


def test_a_checkpoint_with_distilbert_needs_its_words(tmp_path: Path) -> None:
    """They are in none of the original's files; the weights are."""
    stream = "attention.attn_stream_one"
    state = {f"{stream}.text_encoder.embeddings.word_embeddings.weight": torch.zeros(36, 768), f"{stream}.text_fc.bias": torch.zeros(1024)}
    torch.save({"state_dict": state}, tmp_path / "last.ckpt")
    assert weights_in(tmp_path / "last.ckpt") == Weights("", bert_weights=str(tmp_path / "last.ckpt"))
    with pytest.raises(
        ParameterError, match=r"model\.bert=: must be a folder with DistilBERT's vocab\.txt: the checkpoint has its weights"
    ):
        load(tmp_path / "last.ckpt", config_of("transporter_lang"), say=lambda _: None)


def test_taking_it_into_an_exact_agent_is_said(agent: Agent, file: Path) -> None:
    said: list[str] = []
    share(build(replace(agent.config, geometry="exact"), Weights(str(file)), say=lambda _: None), file, said.append)
    assert "has original geometry, and this agent has exact geometry" in said[1]
    assert "model.geometry=original keeps that of the checkpoint" in said[1]
