"""Other values of settings, for tests of what a resumed run may have otherwise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from harness import Job
from harness.errors import CheckpointError
from harness.report import Recorder
from harness.settings import flat
from harness.torch.config import Resumable
from harness.torch.resume import check


def other(value: Any) -> Any:
    """A value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return {str: f"{value}x", list: [*(value or []), 7], dict: {"a": 1}}.get(type(value), 3)


def with_setting(settings: Any, key: str, value: Any) -> Any:
    first, _, rest = key.partition(".")
    return replace(settings, **{first: with_setting(getattr(settings, first), rest, value) if rest else value})


def refused(job: Job, resumable: Resumable) -> tuple[set[str], set[str]]:
    """Of all settings, changed one at a time against a checkpoint of them, those that are refused by name, and those that are told."""
    first, told = set(), set()
    for key, value in flat(job.settings).items():
        report = Recorder()
        try:
            check(replace(job, settings=with_setting(job.settings, key, other(value)), report=report), resumable, str)
        except CheckpointError as error:
            if f"{key}{' over all processes' * (key == 'train.batch_size')} was {value}, is now {other(value)};" in str(error):
                first.add(key)
        if any(f"{key} was {value}, is now {other(value)}" in text for text in report.texts):
            told.add(key)
    return first, told


def checkpoint_of(settings: dict[str, Any], path: Path) -> Path:
    """As far as it is looked at before data are read."""
    torch.save({"state_dict": {"a": torch.ones(1)}, "optimizer_states": [], "settings": settings}, path)
    return path


def without_identity(path: Path, *keys: str) -> Path:
    """A copy of a checkpoint that does not say these things of its run."""
    content = torch.load(path, weights_only=True)
    for key in keys:
        del content["identity"][key]
    older = path.with_name("older.ckpt")
    torch.save(content, older)
    return older
