"""Agents: every one is built and learns, around one frozen trunk that nothing changes."""

from __future__ import annotations

import copy
import math
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small import agent_of, batch_of, config_of
from support.torchscript import scripted
from torch import nn

from cliport.agents import FUSIONS, STREAM_FUSIONS, AgentConfig, build, design, names
from cliport.agents.agent import Agent, losses_of
from cliport.agents.clip import Clip
from cliport.agents.frozen import Frozen, Weights
from cliport.agents.rotation import angles, rotate
from cliport.sim.observation import HeightMap
from harness.errors import CheckpointError, ParameterError

STATED = [
    "cliport",
    "two_stream_clip_lingunet_lat_transporter",
    "two_stream_clip_unet_lat_transporter",
    "two_stream_clip_lingunet_transporter",
    "two_stream_clip_unet_transporter",
    "two_stream_clip_woskip_transporter",
    "two_stream_clip_film_lingunet_lat_transporter",
    "two_stream_full_rn50_bert_lingunet_lat_transporter",
    "two_stream_full_rn50_bert_unet_transporter",
    "two_stream_full_rn50_bert_lingunet_transporter",
    "two_stream_full_untrained_rn50_bert_lingunet_transporter",
    "transporter",
    "clip_unet_transporter",
    "clip_lingunet_transporter",
    "transporter_lang",
    "image_goal_transporter",
]


def test_the_agents_are_the_originals() -> None:
    assert set(names()) == set(STATED)
    assert design("cliport") == design("two_stream_clip_lingunet_lat_transporter")


def test_an_unknown_agent_gets_the_nearest_and_all_right_names() -> None:
    with pytest.raises(ParameterError, match=r"did you mean transporter_lang\?.*: cliport, clip_lingunet_transporter"):
        build(config_of("transporter_language"))


@pytest.mark.parametrize("name", STATED)
def test_every_agent_learns_with_all_its_parameters(name: str) -> None:
    agent = agent_of(name)
    losses = agent(batch_of(goal=True))
    losses["loss"].backward()
    idle = [key for key, parameter in agent.named_parameters() if parameter.grad is None or not parameter.grad.isfinite().all()]
    agent.zero_grad()
    assert not idle
    assert float(losses["loss"].detach()) == pytest.approx(float((losses["attn"] + losses["trans"]).detach()))


@pytest.mark.parametrize("kind", STREAM_FUSIONS)
def test_streams_are_fused_in_every_way(kind: str) -> None:
    agent = agent_of("two_stream_clip_unet_transporter", attn_stream_fusion_type=kind, trans_stream_fusion_type=kind)
    batch = batch_of()
    assert agent.pick_logits(batch).shape == (2, 160, 80)
    assert agent.place_logits(batch, batch.pick).shape == (2, 4, 160, 80)


@pytest.mark.parametrize("kind", FUSIONS)
def test_instructions_are_fused_in_every_way(kind: str) -> None:
    agent, batch = agent_of("clip_lingunet_transporter", lang_fusion_type=kind), batch_of()
    other = replace(batch, language=batch.language[::-1])
    assert not torch.allclose(agent.pick_logits(batch), agent.pick_logits(other))


@pytest.mark.parametrize("name", ["transporter", "two_stream_clip_unet_lat_transporter", "image_goal_transporter"])
def test_agents_without_language_do_not_listen(name: str) -> None:
    agent, batch = agent_of(name), batch_of(goal=True)
    other = replace(batch, language=batch.language[::-1])
    assert torch.equal(agent.pick_logits(batch), agent.pick_logits(other))


def test_the_goals_image_counts_for_pick_and_place() -> None:
    agent, batch = agent_of("image_goal_transporter"), batch_of(goal=True)
    other = replace(batch, goal=batch.goal.flip(0))
    assert not torch.allclose(agent.pick_logits(batch), agent.pick_logits(other))
    assert not torch.allclose(agent.place_logits(batch, batch.pick), agent.place_logits(other, batch.pick))
    with pytest.raises(ValueError, match="image_goal_transporter needs a goal image"):
        agent.pick_logits(batch_of())


@pytest.mark.parametrize("rotate", ["crops", "features"])
def test_a_sample_does_not_depend_on_the_others_in_its_batch(rotate: str) -> None:
    agent, batch = agent_of(rotate=rotate), batch_of()
    place = agent.place_logits(batch, batch.pick)
    alone = replace(batch, image=batch.image[1:], language=batch.language[1:], pick=batch.pick[1:])
    assert torch.allclose(agent.place_logits(alone, alone.pick)[0], place[1], atol=1e-4)
    assert torch.allclose(agent.pick_logits(alone)[0], agent.pick_logits(batch)[1], atol=1e-5)


@pytest.mark.parametrize("rotate", ["crops", "features"])
def test_training_and_evaluation_mode_compute_the_same(rotate: str) -> None:
    agent, batch = agent_of(rotate=rotate), batch_of()
    before = agent.train().place_logits(batch, batch.pick)
    assert torch.equal(agent.eval().place_logits(batch, batch.pick), before)


class TestTheFrozenTrunk:
    def test_it_is_in_no_checkpoint_and_in_no_optimiser(self) -> None:
        agent = agent_of()
        owned = {id(parameter) for parameter in agent.parameters()}
        frozen = [parameter for module in agent.trunk.modules().values() for parameter in module.parameters()]
        assert frozen
        assert not any(id(parameter) in owned or parameter.requires_grad for parameter in frozen)
        shapes = {tuple(value.shape) for value in agent.state_dict().values()}
        assert tuple(agent.trunk.model.token_embedding.weight.shape) not in shapes
        assert not any("statistics" in key for key in agent.state_dict())

    def test_training_leaves_all_of_it_as_it_was(self) -> None:
        agent = agent_of().train()
        before = {key: value.clone() for key, value in agent.trunk.model.state_dict().items()}
        agent(batch_of())["loss"].backward()
        agent.zero_grad()
        assert not any(module.training for module in agent.trunk.model.modules())
        assert all(torch.equal(value, before[key]) for key, value in agent.trunk.model.state_dict().items())

    def test_it_moves_with_the_agent(self) -> None:
        agent = build(config_of(), Weights("random"), say=lambda _: None).double()
        batch = batch_of()
        assert agent.trunk.model.visual.conv1.weight.dtype == torch.float64
        assert agent.trunk.pyramid(batch.image[:, :3].double(), {})[3].dtype == torch.float64

    def test_random_weights_are_the_same_every_time_and_say_that_they_are_random(self) -> None:
        said: list[str] = []
        agents = [build(config_of(), Weights("random"), seed=seed, say=said.append) for seed in (0, 1)]
        assert agents[0].trunk.fingerprint() == agents[1].trunk.fingerprint()
        assert not torch.equal(*(next(agent.parameters()) for agent in agents))
        assert all("RANDOM" in text for text in [*said, agents[0].origin])

    def test_random_features_neither_vanish_nor_explode(self) -> None:
        for features in agent_of().trunk.pyramid(torch.randn(2, 3, 160, 80), {}):
            assert 0.1 < float(features.std()) < 10

    def test_a_text_is_encoded_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        trunk, encoded = agent_of().trunk, []
        encode = trunk.encode_text
        monkeypatch.setattr(trunk, "encode_text", lambda text: encoded.append(text) or encode(text))
        trunk.texts.clear()
        one = trunk.language(["put it there", "stack", "put it there"], torch.device("cpu"))
        other = trunk.language(["stack", "put it there"], torch.device("cpu"))
        assert sorted(encoded) == ["put it there", "stack"]
        assert torch.equal(one.sentence[1], other.sentence[0])
        assert one.mask.sum(1).tolist() == [5, 3, 5]  # words, begin and end

    def test_an_unknown_model_or_weights_get_the_nearest_and_all_right_names(self) -> None:
        with pytest.raises(ParameterError, match=r"model.clip=RN5: open_clip has no such ResNet \(did you mean RN50\?\).*tiny"):
            build(config_of(clip="RN5"), Weights("random"))
        with pytest.raises(ParameterError, match=r"model.clip=ViT-B-32: open_clip has no such ResNet"):
            build(config_of(clip="ViT-B-32"), Weights("random"))
        with pytest.raises(ParameterError, match=r"clip_weights=opena: neither a file nor one of random, openai.*did you mean openai"):
            build(config_of(clip="RN50-quickgelu"), Weights("opena"))

    def test_weights_that_cannot_be_fetched_are_random_and_the_log_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def unreachable(*_: object, pretrained: str | None = None, **__: object) -> nn.Module:
            if pretrained:
                raise OSError("no route to host")
            return original("tiny-resnet")

        import open_clip

        original, said = open_clip.create_model, []
        monkeypatch.setattr(open_clip, "create_model", unreachable)
        trunk = Clip("RN50", "openai", said.append)
        assert "'openai' cannot be downloaded: OSError no route to host; use a file: model.clip_weights=PATH" in said[0]
        assert "RANDOM" in trunk.origin

    def test_weights_come_from_a_file(self, tmp_path: Path) -> None:
        trunk = Clip("tiny-resnet", "random", print)
        state = {key: value + 0.5 if value.is_floating_point() else value for key, value in trunk.model.state_dict().items()}
        torch.save(state | {"visual.attnpool.c_proj.bias": torch.zeros(3)}, tmp_path / "clip.pt")
        other = Clip("tiny-resnet", str(tmp_path / "clip.pt"), print)
        assert torch.equal(other.model.text_projection, trunk.model.text_projection + 0.5)
        assert other.origin == f"CLIP tiny-resnet has the weights of {tmp_path / 'clip.pt'}"

    def test_they_come_from_a_torchscript_archive_as_openais_is(self, tmp_path: Path) -> None:
        trunk = Clip("tiny-resnet", "random", print)
        scripted(copy.deepcopy(trunk.model).half(), tmp_path / "clip.pt")
        other = Clip("tiny-resnet", str(tmp_path / "clip.pt"), print)
        assert torch.equal(other.model.text_projection, trunk.model.text_projection.half().float())
        assert not other.random

    def test_a_file_without_clip_is_described(self, tmp_path: Path) -> None:
        torch.save({"a.weight": torch.zeros(1)}, tmp_path / "clip.pt")
        with pytest.raises(CheckpointError, match=r"contains no CLIP, but a\.weight"):
            Clip("tiny-resnet", str(tmp_path / "clip.pt"), print)


class NoWeights(Frozen):
    """The widths of CLIP's RN50, without it."""

    channels, sentence, word, visual, origin = (256, 512, 1024, 2048), 1024, 512, None, "nothing"

    def modules(self) -> dict[str, nn.Module]:
        return {}

    def stages(self) -> list[nn.Module]:
        return []

    def encode_text(self, text: str) -> tuple[torch.Tensor, torch.Tensor]:
        raise NotImplementedError


def test_the_faithful_sizes_are_the_originals() -> None:
    """92.3 million parameters in each of the three networks."""
    with torch.device("meta"):
        agent = Agent(AgentConfig(), NoWeights())
    for network in (agent.attention, agent.transport.key, agent.transport.query):
        assert sum(parameter.numel() for parameter in network.parameters()) == pytest.approx(92.3e6, rel=1e-3)


def test_sizes_that_do_not_go_together_are_told_at_once() -> None:
    with pytest.raises(ParameterError) as wrong:
        AgentConfig(height=200, width=6, crop_size=40)
    assert [problem.partition("=")[0] for problem in wrong.value.problems] == ["model.height", "model.width", "model.crop_size"]


def test_the_loss_is_the_cross_entropy_over_all_pixels_and_rotations() -> None:
    batch = batch_of()
    pick, place = torch.randn(2, 160, 80), torch.randn(2, 4, 160, 80)
    attn, trans = losses_of(pick, place, batch)
    for row in range(2):
        turn = round(float(batch.place_theta[row] - batch.pick_theta[row]) / (math.pi / 2)) % 4
        y, x = batch.pick[row]
        assert float(attn[row]) == pytest.approx(float(pick[row].exp().sum().log() - pick[row, y, x]), rel=1e-5)
        y, x = batch.place[row]
        assert float(trans[row]) == pytest.approx(float(place[row].exp().sum().log() - place[row, turn, y, x]), rel=1e-5)


def view(seed: int = 0) -> HeightMap:
    rng = np.random.default_rng(seed)
    height = rng.random((320, 160), np.float32) / 10
    return HeightMap(rng.integers(0, 256, (320, 160, 3), np.uint8), height, np.zeros((320, 160), np.int32))


def test_acting_is_taking_the_likeliest_pick_then_the_likeliest_place() -> None:
    agent = agent_of().train()
    decision = agent.act(view(), "put the red block in the green bowl")
    assert agent.training
    assert decision.pick_map.shape == (160, 80)
    assert decision.place_map.shape == (4, 160, 80)
    assert decision.pick_map.sum() == pytest.approx(1, abs=1e-4)
    row, column = np.unravel_index(decision.pick_map.argmax(), (160, 80))
    assert decision.pick == (2 * row + 1, 2 * column + 1)
    turn, row, column = np.unravel_index(decision.place_map.argmax(), (4, 160, 80))
    assert decision.place == (2 * row + 1, 2 * column + 1)
    assert decision.angle == turn * math.pi / 2


def test_a_decision_becomes_poses_at_the_maps_height() -> None:
    seen = view()
    decision = replace(agent_of().act(seen, "stack it"), angle=math.pi / 2)
    action = decision.action(seen.height)
    for pose, (row, column) in ((action.pick, decision.pick), (action.place, decision.place)):
        expected = [0.25 + column * 0.003125, -0.5 + row * 0.003125, seen.height[row, column]]
        assert np.allclose(pose[0], expected)
    assert np.allclose(action.pick[1], [0, 0, 0, 1])
    assert np.allclose(action.place[1], [0, 0, math.sqrt(0.5), math.sqrt(0.5)])


def test_the_kernels_angle_is_the_objects_rotation() -> None:
    """A kernel cut around a thing matches the same thing, turned by the angle of its index, where that stands."""
    from cliport.agents.correlation import correlate
    from cliport.agents.rotation import crops

    scene = torch.zeros(1, 1, 64, 64)
    scene[0, 0, 14:18, 10:22], scene[0, 0, 10:18, 10:14] = 1, 1  # an L around (16, 16)
    goal = rotate(scene, angles(8)[3:4], torch.tensor([[16, 16]])).roll((20, 24), (2, 3))
    kernels = crops(scene, torch.tensor([[16, 16]]), angles(8), 32)
    scores = correlate(torch.nn.functional.pad(goal, (16, 16, 16, 16)), kernels)[0]
    turn, row, column = torch.unravel_index(scores.argmax(), scores.shape)
    assert (int(turn), int(row), int(column)) == (3, 36, 40)


def test_names_and_settings_import_without_torch() -> None:
    program = "import sys, cliport.agents, cliport.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.fixture(autouse=True)
def silent(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    """`print` is what an agent is built with unless told otherwise."""
    yield
    capsys.readouterr()
