"""A short evaluation for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.training import job_in, taken

from clip_training.config import EvaluateConfig
from clip_training.evaluate import evaluate
from harness.report import Recorder
from harness.settings import merge


def evaluated(folder: Path, output: Path, model: Path, report: Recorder | None = None, **options: Any) -> dict[str, Any]:
    """Evaluate, and return the results. `options` are settings with `__` for the dot, and `init_from`."""
    paths = taken(options)
    stated = {"model.name": str(model), "data.workers": 0, **{key.replace("__", "."): value for key, value in options.items()}}
    settings = merge(EvaluateConfig, None, stated.items())
    return evaluate(job_in(output, settings, folder, report, **paths))
