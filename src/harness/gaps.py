"""Gaps in curves: the steps at which a series was not finite, recorded by a run in words that people can read.

They are in the user property `not_finite` of the run's task, a JSON object that maps `title/series` to a text:
`{"train/loss": "at step 3, at steps 10 to 19, since step 40"}`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

PROPERTY = "not_finite"
MOST = 16
"""The number of stretches that are listed; after them it says `often since step N`. This bounds the property's length."""

_STRETCH = re.compile(r"at steps? (-?\d+)(?: to (-?\d+))?|(often )?since step (-?\d+)")


@dataclass
class Gap:
    """The stretches of steps of one series at which its values were not finite."""

    stretches: list[tuple[int, int]] = field(default_factory=list)
    open: bool = False
    """Whether the last value was not finite, so that the last stretch continues."""
    often: int | None = None
    """The step after which there were too many gaps to list."""

    @classmethod
    def read(cls, text: str) -> Gap:
        gap = cls()
        for first, last, often, since in _STRETCH.findall(text):
            if often:
                gap.often = int(since)
            else:
                gap.stretches.append((int(first or since), int(last or first or since)))
                gap.open = bool(since)
        return gap

    def __str__(self) -> str:
        closed = self.stretches[:-1] if self.open else self.stretches
        said = [f"at step {first}" if first == last else f"at steps {first} to {last}" for first, last in closed]
        said += [f"since step {self.stretches[-1][0]}"] if self.open else []
        return ", ".join(said + ([] if self.often is None else [f"often since step {self.often}"]))

    def see(self, step: int, is_finite: bool) -> None:
        """Record one value. It replaces what was recorded for its step, since a resumed run repeats steps."""
        if self.often is not None:
            return
        if self.open and not is_finite:
            first, last = self.stretches[-1]
            self.stretches[-1] = min(first, step), max(last, step)
            return
        self.stretches = [rest for stretch in self.stretches for rest in _without(step, stretch)]
        self.open = not is_finite and len(self.stretches) < MOST
        if self.open:
            self.stretches.append((step, step))
        elif not is_finite:
            self.often = step


def _without(step: int, stretch: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """A stretch without `step`: if the step lies in it, only the part after it remains, as the steps before belong to the earlier run."""
    first, last = stretch
    if not first <= step <= last:
        yield stretch
    elif step < last:
        yield step + 1, last


class Gaps:
    """The gaps of all series of a run, by `title/series`."""

    def __init__(self, stated: Mapping[str, str] | None = None) -> None:
        """Continue from what the run `stated` before it was interrupted."""
        self.series = {name: Gap.read(text) for name, text in (stated or {}).items()}

    def see(self, name: str, step: int, is_finite: bool) -> bool:
        """Record one value, and return whether this changes the recorded gaps."""
        gap = self.series.get(name)
        if gap is None:
            if is_finite:
                return False
            gap = self.series[name] = Gap()
        before = str(gap)
        gap.see(step, is_finite)
        return str(gap) != before

    def stated(self) -> str:
        """The value of the task's property."""
        return json.dumps({name: str(gap) for name, gap in self.series.items() if gap.stretches or gap.often is not None})


def read(value: str | None) -> dict[str, str]:
    """The texts in a task's property by `title/series`; empty if the task has no such property, or somebody has overwritten it."""
    try:
        stated = json.loads(value or "{}")
    except ValueError:
        return {}
    return {str(name): str(text) for name, text in stated.items()} if isinstance(stated, dict) else {}
