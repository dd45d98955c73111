"""An agent that diverged: its run fails and keeps no such parameters, and no measure calls it right."""

from __future__ import annotations

import math
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from runs import run
from small import agent_of, batch_of, config_of
from support.scores import everywhere

from cliport.agents import build, load
from cliport.agents.agent import best
from cliport.agents.frozen import Weights
from cliport.agents.imitation import Imitation, Validate
from cliport.agents.validation import NEAR, Result, errors_of, validate
from cliport.results import EpisodeResult, best_checkpoint, file_name, summary
from cliport.scoring import is_solved
from cliport.sim.observation import HeightMap
from harness.checkpoint import find
from harness.errors import CheckpointError, NotFiniteError
from harness.files import write_json
from harness.report import Recorder

BRIEF = {"train__n_steps": 4, "train__debug_images": 0, "train__n_val": 1, "train__save_steps": [1, 2, 3], "train__validate_every": 1}


@pytest.mark.parametrize("lr", [1e25, 3e38], ids=["a loss without number", "weights without number"])
def test_a_learning_rate_without_measure_ends_failed(lr: float, data: Path, tmp_path: Path) -> None:
    """Its loss is no number in the second step, or its parameters are none after the first: then there is nothing to keep at all."""
    report = Recorder()
    with pytest.raises(NotFiniteError, match=r"^step [12]: the .* not finite; training ends, and no weights are published"):
        run(data, tmp_path, report, **BRIEF, train__lr=lr, train__lr_decay=0.0, train__checkpoint_every=1)
    assert "result" not in report.artifacts
    for path in tmp_path.rglob("*.ckpt"):
        assert all(value.isfinite().all() for value in torch.load(path, weights_only=True)["state_dict"].values()), path


def spoilt(**options: object) -> torch.nn.Module:
    agent = build(config_of("transporter", **options), Weights("random"), say=lambda _: None)
    for parameter in agent.parameters():
        parameter.data.fill_(math.nan)
    return agent


def test_validation_reports_no_right_answer_of_scores_that_are_no_numbers() -> None:
    """Whatever a measure is called, now or later: every one is a share of 0 or no number; and a picture can be drawn."""
    result, drawn = validate(spoilt(), [([0, 1], batch_of(2))], nullcontext, pictures=2)
    assert len(drawn) == 2
    for name, value in result.scalars().items():
        assert value == 0 if name.endswith("near") else math.isnan(value), name


def test_one_score_that_is_no_number_spoils_its_sample_and_no_other() -> None:
    batch = batch_of(2)
    good, bad = torch.zeros(160, 80), torch.zeros(160, 80)
    good[tuple(batch.pick[0])] = 1.0
    bad[tuple(batch.pick[1])] = 1.0
    bad[0, 0] = math.nan
    turned = torch.zeros(4, 160, 80)
    first, second = (errors_of(batch, row, values, turned, scale=2) for row, values in enumerate((good, bad)))
    assert (first[0], first[4]) == (0, 1)
    assert math.isnan(second[0])
    assert second[4] == 0


def test_a_constant_score_is_near_nothing() -> None:
    """Its first pixel is the corner, which may by chance be near: of several that are equally good all must be."""
    batch = batch_of(1)
    batch.pick[0] = batch.place[0] = torch.tensor([1, 1])
    errors = errors_of(batch, 0, torch.ones(160, 80), torch.ones(4, 160, 80), scale=2)
    assert errors[0] == 4 <= NEAR  # the distance of the pixel that the agent would take
    assert errors[4:] == [0, 0]


def test_an_agent_whose_scores_are_no_numbers_does_not_act() -> None:
    view = HeightMap(np.zeros((320, 160, 3), np.uint8), np.zeros((320, 160), np.float32), np.zeros((320, 160), np.int32))
    with pytest.raises(NotFiniteError, match="scores of where to pick are not finite"):
        spoilt().act(view, "stack it")
    assert best(everywhere(torch.ones(2, 3))) is None


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_validation_loss_that_is_no_number_is_never_the_best(loss: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cliport.agents.imitation.validate", lambda *_: (Result(loss, 0, 0, 0, 0, 0, 0, 0), []))
    training = type("Training", (), {"report": Recorder(), "on_validation_end": lambda *_: None, "finite": None})()
    callback = Validate(lambda: (), tmp_path, training, every=1, keep_at=(), pictures=0)
    module = Imitation(agent_of("transporter"), lr=1e-3, decay=0.0, steps=9, identity={}, description={}, report=Recorder())
    callback.run(type("Trainer", (), {"global_step": 3, "precision_plugin": type("P", (), {"forward_context": None})})(), module)
    assert callback.best == math.inf
    assert not list(tmp_path.iterdir())


def test_parameters_that_are_no_numbers_are_refused_by_name(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path / "run", **{**BRIEF, "train__n_steps": 1})
    content = torch.load(find(tmp_path / "run"), weights_only=True)
    key = next(iter(content["state_dict"]))
    content["state_dict"][key].view(-1)[0] = math.nan
    torch.save(content, tmp_path / "spoilt.ckpt")
    wrong = rf"spoilt\.ckpt holds non-finite weights, .*: {key}"
    with pytest.raises(CheckpointError, match=wrong):
        load(tmp_path / "spoilt.ckpt", say=lambda _: None)
    with pytest.raises(CheckpointError, match=wrong):
        run(data, tmp_path / "other", **BRIEF, init_from=tmp_path / "spoilt.ckpt")


def test_rewards_that_are_no_numbers_solve_nothing(tmp_path: Path) -> None:
    """Nor is their checkpoint the best one: the mean says that it is no number."""
    assert [is_solved(reward) for reward in (math.nan, math.inf, -math.inf, 0.5, 1.0)] == [False, False, False, False, True]
    entry = summary([[EpisodeResult(math.nan, {}), EpisodeResult(1.0, {})]], "none")
    assert math.isnan(entry["mean_reward"])
    assert entry["success"] == 0.5
    name = file_name("stack", "cliport", 2, "val", False)
    write_json(tmp_path / name, {"first.ckpt": entry, "second.ckpt": {"mean_reward": 0.25, "episodes": []}})
    assert best_checkpoint(tmp_path, "stack", "cliport", False) == "second.ckpt"
