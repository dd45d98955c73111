"""Samples per second are those of training: neither validation nor what an earlier process did counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from diverging import Line
from support.training import job_in
from torch import Tensor
from torch.utils.data import DataLoader

from harness.report import Recorder
from harness.torch.callbacks import ReportTraining, SaveAndStop
from harness.torch.finite import Finite
from harness.torch.trainer import make_trainer

SAMPLES, STEP, VALIDATION = 8, 2.0, 100.0


class Timed(Line):
    """A clock of its own: a training step takes STEP seconds, a validation VALIDATION."""

    now = 0.0

    def training_step(self, batch: Tensor, number: int) -> Tensor:
        self.now += STEP
        return super().training_step(batch, number)

    def validation_step(self, batch: Tensor, number: int) -> None:
        self.now += VALIDATION


def speeds(folder: Path, monkeypatch: pytest.MonkeyPatch, *, steps: int = 6, resume: Path | None = None, **options: Any) -> list[Any]:
    """Step and samples per second at every second step."""
    report, module = Recorder(), Timed(steps=6)
    job = job_in(folder, report=report)
    finite = Finite(job, "stop")
    callbacks = [finite, ReportTraining(report, 2, SAMPLES, finite), SaveAndStop(job.checkpoints, 1, finite, {})]
    usual = {"epochs": 1, "validate_every": 1, "precision": "fp32", "deterministic": False}
    trainer = make_trainer(**usual, output=folder, callbacks=callbacks, max_steps=steps, **options)
    monkeypatch.setattr("harness.torch.callbacks.time.perf_counter", lambda: module.now)
    loaders = [DataLoader([module.batch(step) for step in range(count)], batch_size=None) for count in (6, 1)]
    trainer.fit(module, *loaders, ckpt_path=resume, weights_only=True)
    monkeypatch.undo()
    return report.scalars["samples per second", "train"]


def test_validation_does_not_slow_the_curve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the third step, between two points, and one after the sixth."""
    assert speeds(tmp_path, monkeypatch, val_check_interval=3) == [(step, SAMPLES / STEP) for step in (2, 4, 6)]


def test_steps_before_a_resume_do_not_count_as_fast_ones_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert speeds(tmp_path, monkeypatch, steps=3) == [(2, SAMPLES / STEP)]
    checkpoint = tmp_path / "checkpoints/step=00000003.ckpt"
    assert speeds(tmp_path, monkeypatch, resume=checkpoint) == [(step, SAMPLES / STEP) for step in (4, 6)]
