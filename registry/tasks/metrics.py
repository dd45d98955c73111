"""The scalars that a task has reported, which of them is the main one, and which are no longer finite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness import gaps
from harness.metrics import PROPERTY, Metrics
from harness.numbers import finite

from ..backends import hyperparameters, scalars

Task = Mapping[str, Any]


@dataclass(frozen=True)
class Scalar:
    """A scalar of a task: its last, least and greatest value."""

    last: float | None = None
    least: float | None = None
    greatest: float | None = None
    gaps: str = ""
    """The steps at which it was not finite: `at step 3, since step 7`."""

    @property
    def diverged(self) -> bool:
        """Whether its last value is not finite. Earlier values then do not represent the run."""
        return "since" in self.gaps or self.last is None

    @property
    def said(self) -> str:
        """A text that says where it was not finite; empty if it always was."""
        return f"not finite {self.gaps}".rstrip() if self.gaps or self.diverged else ""

    def best(self, lower: bool) -> float | None:
        return None if self.diverged else self.least if lower else self.greatest


def reported(task: Task) -> dict[str, Scalar]:
    """A task's scalars by `title/series`, without the machine's, and including those that were never finite."""
    stated = not_finite(task)
    found = {name: Scalar(gaps=text) for name, text in stated.items()}
    for name, item in scalars(task).items():
        values = [item.get(key) for key in ("value", "min_value", "max_value")]
        last, least, greatest = (value if value is not None and finite(value) else None for value in values)
        found[name] = Scalar(last, last if least is None else least, last if greatest is None else greatest, stated.get(name, ""))
    return {name: scalar for name, scalar in found.items() if not name.startswith(":")}


def declared(tasks: Sequence[Task]) -> Metrics:
    """The metrics that the tasks' workloads declare, the first task's first."""
    stated = [Metrics.read(properties(task).get(PROPERTY)) for task in tasks]
    return Metrics(*(tuple(dict.fromkeys(name for one in stated for name in getattr(one, key))) for key in ("main", "lower", "higher")))


def not_finite(task: Task) -> dict[str, str]:
    """The steps at which a task's scalars were not finite, in words, by `title/series`."""
    return gaps.read(properties(task).get(gaps.PROPERTY))


def properties(task: Task) -> dict[str, str]:
    """A task's user properties, which its owner or its run has set."""
    return hyperparameters(task, "properties")
