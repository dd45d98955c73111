"""A run ends early when what it watches does not improve, says so, and ends at the same step when it was interrupted."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from runs import run, same
from support.training import broken_off_at

from clip_training.contrastive_module import ContrastiveModule
from harness.checkpoint import find
from harness.errors import CheckpointError
from harness.report import Recorder

STOPS = {"train__patience": 2, "train__monitor": "loss/held out", "train__validate_every": 1, "train__epochs": 8}


def losses(patch: pytest.MonkeyPatch, values: dict[int, float]) -> None:
    """Make runs believe these held-out losses, by step."""
    report = ContrastiveModule.report_evaluation

    def told(module: ContrastiveModule, result: object, _: float, count: int) -> None:
        report(module, result, values[module.global_step], count)

    patch.setattr(ContrastiveModule, "report_evaluation", told)


FALLING_TO_8 = {0: 0.1, 4: 3.0, 8: 2.0, 12: 2.0, 16: 2.5, 20: 1.0}
"""A step's loss; the one before training is lower than all others, but does not count."""


def test_a_run_ends_after_patience_validations_without_improvement(
    squares: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss of step 12 equals the best one, which is no improvement."""
    losses(monkeypatch, FALLING_TO_8)
    report = Recorder()
    run(squares, tmp_path, tiny_model, report, **STOPS)
    assert report.artifacts["result"]["steps"] == 16
    reason = "Monitored metric loss/held out did not improve in the last 2 records. Best score: 2.000. Signaling Trainer to stop."
    assert report.artifacts["result"]["finished early"] == reason
    assert f"step 16: finished early: {reason}" in report.texts
    assert (tmp_path / "weights.pt").exists()
    assert [step for step, _ in report.scalars["loss", "held out"]] == [0, 4, 8, 12, 16]


@pytest.mark.parametrize("step", [8, 10, 16])
def test_an_interrupted_run_ends_at_the_same_step(
    step: int, squares: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when it was interrupted between the checkpoint of a step and that step's validation, and when its last one was not counted."""
    losses(monkeypatch, FALLING_TO_8)
    options = STOPS | {"train__checkpoint_every": 2}
    unbroken = run(squares, tmp_path / "unbroken", tiny_model, **options)
    with broken_off_at(step):
        run(squares, tmp_path, tiny_model, **options)
    report = Recorder()
    assert same(run(squares, tmp_path, tiny_model, report, resume=find(tmp_path), **options), unbroken)
    assert report.artifacts["result"]["steps"] == 16
    assert "finished early" in report.artifacts["result"]


def test_a_run_that_finished_early_stays_finished(squares: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has saved its decision, although no checkpoint was due at step 16."""
    losses(monkeypatch, FALLING_TO_8)
    options = STOPS | {"train__checkpoint_every": 100}
    unbroken = run(squares, tmp_path, tiny_model, **options)
    assert find(tmp_path).name == "step=00000016.ckpt"
    report = Recorder()
    assert same(run(squares, tmp_path, tiny_model, report, resume=find(tmp_path), **options), unbroken)
    assert report.artifacts["result"]["steps"] == 16
    assert ("loss", "train") not in report.scalars
    other = options | {"train__patience": 5, "train__validate_every": 2}
    with pytest.raises(CheckpointError, match=r"train\.validate_every was 1, is now 2; train\.patience was 2, is now 5"):
        run(tmp_path / "nowhere", tmp_path / "other", tiny_model, resume=find(tmp_path), **other)


@pytest.mark.parametrize(("delta", "steps"), [(0.0, 12), (0.5, 8)])
def test_an_improvement_must_exceed_min_delta(
    delta: float, steps: int, squares: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses(monkeypatch, {0: 9.0, 4: 3.0, 8: 2.9, 12: 3.0, 16: 3.0})
    report = Recorder()
    run(squares, tmp_path, tiny_model, report, **STOPS | {"train__patience": 1, "train__min_delta": delta})
    assert report.artifacts["result"]["steps"] == steps


@pytest.mark.parametrize("monitor", ["loss/held out", "recall@1/image to text"])
def test_a_value_that_is_not_finite_ends_the_run(
    monitor: str, squares: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recall is a number even where the embeddings are none: it counts as not finite when the loss is."""
    losses(monkeypatch, {0: 9.0, 4: 3.0, 8: math.nan, 12: 1.0})
    report = Recorder()
    run(squares, tmp_path, tiny_model, report, **STOPS | {"train__patience": 9, "train__monitor": monitor})
    assert report.artifacts["result"]["steps"] == 8
    assert "is not finite" in report.artifacts["result"]["finished early"]


def test_recall_improves_upwards(squares: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its default, early stopping watches the workload's main metric."""
    values = iter([0.0, 0.2, 0.4, 0.3, 0.4, 0.9])
    report = ContrastiveModule.report_evaluation

    def told(module: ContrastiveModule, result: object, loss: float, count: int) -> None:
        result.recall["image to text", 1] = next(values)
        report(module, result, loss, count)

    monkeypatch.setattr(ContrastiveModule, "report_evaluation", told)
    recorder = Recorder()
    run(squares, tmp_path, tiny_model, recorder, train__patience=2, train__validate_every=1, train__epochs=8)
    assert recorder.artifacts["result"]["steps"] == 16
    assert "recall@1/image to text did not improve" in recorder.artifacts["result"]["finished early"]
