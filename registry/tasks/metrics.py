"""What a task has reported: its scalars, which of them matters most, and which are not numbers any more."""

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
    """One scalar of a task, as far as its last values tell."""

    last: float | None = None
    least: float | None = None
    greatest: float | None = None
    gaps: str = ""
    """Where it was not finite: `at step 3, since step 7`."""

    @property
    def diverged(self) -> bool:
        """Whether its last value was not finite: none of the earlier ones stands for the run then."""
        return "since" in self.gaps or self.last is None

    @property
    def said(self) -> str:
        """That it was not finite, and where; nothing of one that always was."""
        return f"not finite {self.gaps}".rstrip() if self.gaps or self.diverged else ""

    def best(self, lower: bool) -> float | None:
        return None if self.diverged else self.least if lower else self.greatest


def reported(task: Task) -> dict[str, Scalar]:
    """A task's scalars by `title/series`, those of the machine left out, those that never were numbers among them."""
    stated = not_finite(task)
    found = {name: Scalar(gaps=text) for name, text in stated.items()}
    for name, item in scalars(task).items():
        values = [item.get(key) for key in ("value", "min_value", "max_value")]
        last, least, greatest = (value if value is not None and finite(value) else None for value in values)
        found[name] = Scalar(last, last if least is None else least, last if greatest is None else greatest, stated.get(name, ""))
    return {name: scalar for name, scalar in found.items() if not name.startswith(":")}


def declared(tasks: Sequence[Task]) -> Metrics:
    """What the tasks' workloads declare, the first task's before the others'."""
    stated = [Metrics.read(properties(task).get(PROPERTY)) for task in tasks]
    return Metrics(*(tuple(dict.fromkeys(name for one in stated for name in getattr(one, key))) for key in ("main", "lower", "higher")))


def not_finite(task: Task) -> dict[str, str]:
    """Where the task's scalars were not finite, in words, by `title/series`."""
    return gaps.read(properties(task).get(gaps.PROPERTY))


def properties(task: Task) -> dict[str, str]:
    """What a task's owner or its run noted: ClearML's user properties."""
    return hyperparameters(task, "properties")
