"""A demonstration: what was seen, done, earned and said, step by step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..scoring import is_solved
from ..sim.action import Action
from ..sim.observation import HeightMap

NO_INSTRUCTION = "task completed."
"""The original's instruction for a step that has none."""


@dataclass(frozen=True)
class Step:
    """One moment: the view, what led to it, and what is done about it."""

    view: HeightMap | None
    """None where images were left out."""
    action: Action | None
    """None in the last step."""
    reward: float
    """Earned by the action before this step; 0 in the first."""
    info: Mapping[str, Any]
    """Plain values; `lang_goal` is the instruction of this step."""

    @property
    def instruction(self) -> str:
        return str(self.info.get("lang_goal") or NO_INSTRUCTION)


@dataclass(frozen=True)
class Episode:
    """A whole demonstration; the last step holds the final view and no action."""

    task: str
    seed: int
    steps: tuple[Step, ...]

    @property
    def actions(self) -> int:
        """How many actions were taken."""
        return len(self.steps) - 1

    @property
    def reward(self) -> float:
        """The sum of the rewards; 1 is a solved task."""
        return float(sum(step.reward for step in self.steps))

    @property
    def solved(self) -> bool:
        return is_solved(self.reward)

    def goal(self, step: int) -> HeightMap | None:
        """The view that the action of `step` leads towards: the next one in a sequential task, else the last."""
        return self.steps[step + 1 if "-seq" in self.task else -1].view

    @cached_property
    def nbytes(self) -> int:
        """About how much memory it takes."""
        views = [step.view for step in self.steps if step.view is not None]
        return 2048 * len(self.steps) + sum(view.color.nbytes + view.height.nbytes + view.mask.nbytes for view in views)
