"""Settings that all trainings share; importable without PyTorch."""

from __future__ import annotations

from typing import Any

from harness.settings import setting


def non_finite() -> Any:
    """The field `non_finite` of a training's settings; see `finite.Finite`."""
    return setting(
        "stop",
        "a step whose loss or gradient is not finite: stop ends the run, failed; skip leaves its update out; warn says so once and goes on",
        choices=("stop", "skip", "warn"),
    )
