"""Settings that every training has; importable without PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.settings import setting

PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
"""Lightning's names by ours."""


def precision() -> Any:
    """The field `precision` of a command's settings."""
    return setting("fp32", "precision of activations; bf16 and fp16 are mixed precision", choices=tuple(PRECISIONS))


def non_finite() -> Any:
    """The field `non_finite` of a training's settings; see `finite.Finite`."""
    return setting(
        "stop",
        "action when a step's loss or gradient is not finite: stop fails the run, skip omits the update, warn logs it once and continues",
        choices=("stop", "skip", "warn"),
    )


@dataclass(frozen=True)
class Resumable:
    """Which settings may differ between a resumed run and the run that it continues. A change of any other setting is refused."""

    length: str
    """The setting of the run's length, which may grow; the learning rate then follows the longer run's schedule."""
    free: frozenset[str]
    """Settings that do not change what is learned, except for rounding."""
    limits: frozenset[str] = frozenset()
    """Settings that cut the run short, which may grow too; 0 is no limit."""
