"""Settings that all trainings share; importable without PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.settings import setting


def non_finite() -> Any:
    """The field `non_finite` of a training's settings; see `finite.Finite`."""
    return setting(
        "stop",
        "a step whose loss or gradient is not finite: stop ends the run, failed; skip leaves its update out; warn says so once and goes on",
        choices=("stop", "skip", "warn"),
    )


@dataclass(frozen=True)
class Resumable:
    """Which settings a resumed run may have otherwise than the one that it continues. Whatever is not named makes another run."""

    length: str
    """How long it goes on: may have grown, and the learning rate then follows the schedule of the longer run."""
    free: frozenset[str]
    """On which nothing that is learned depends, but for rounding."""
