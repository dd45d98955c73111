"""What tests of everything that trains share: a run in a folder, one that is broken off, and the libraries' own warnings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness import Job
from harness.checkpoint import Checkpoints
from harness.report import Recorder
from harness.workload import load

ROOT = Path(__file__).resolve().parents[2]

WARNINGS = (
    "ignore:.*isinstance.treespec, LeafSpec.*is deprecated:FutureWarning",
    "ignore:.*isinstance.treespec, LeafSpec.*is deprecated:DeprecationWarning",
    "ignore:invalid escape sequence:DeprecationWarning",
    "ignore:.*will be deprecated.*:DeprecationWarning:torch.*",
    "ignore::DeprecationWarning:lightning.*",
    "ignore::DeprecationWarning:timm.*",
    "ignore::FutureWarning:torch.*",
    "ignore::UserWarning:torch.*",
)
"""Filters for those that torch, Lightning and timm give each other cause for."""


def ignore_warnings(config: pytest.Config) -> None:
    for line in WARNINGS:
        config.addinivalue_line("filterwarnings", line)


def job_in(
    folder: Path, settings: Any = None, data: Path | None = None, report: Recorder | None = None, seed: int = 0, **paths: Path | None
) -> Job:
    """A job whose files are in `folder`; `paths` are `resume` and `init_from`."""
    folder.mkdir(parents=True, exist_ok=True)
    datasets = {"dataset_id": data} if data else {}
    return Job("test", settings, datasets, folder, seed, report or Recorder(), Checkpoints(folder / "checkpoints"), **paths)


def judged_by(workload: str, report: Recorder) -> tuple[str | None, set[str]]:
    """By its workload.yaml, the main one of the scalars that were reported, and those that are better when they are smaller."""
    metrics, names = load(ROOT / "clearml_tasks" / workload).metrics, [f"{title}/{series}" for title, series in report.scalars]
    return metrics.main_of(names), {name for name in names if metrics.lower_is_better(name)}


def taken(options: dict[str, Any]) -> dict[str, Path]:
    """Take `resume` and `init_from` out of a test's options."""
    return {key: options.pop(key) for key in ("resume", "init_from") if key in options}


class BrokenOffError(Exception):
    """Ends a run in a test."""


@contextmanager
def broken_off_at(step: int) -> Iterator[None]:
    """What trains within is broken off right after it saved the checkpoint of `step`."""
    from harness.torch.callbacks import SaveAndStop

    saved = SaveAndStop.save

    def save_and_break(self: SaveAndStop, trainer: object) -> None:
        saved(self, trainer)
        if self.saved_at == step:
            raise BrokenOffError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SaveAndStop, "save", save_and_break)
        try:
            yield
        except BrokenOffError:
            return
    pytest.fail(f"the run saved no checkpoint of step {step}")
