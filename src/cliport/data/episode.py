"""A demonstration: the view, action, reward and instruction of each step."""

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
    """One step: the view, the reward that led to it, and the action that follows."""

    view: HeightMap | None
    """None if images were not read."""
    action: Action | None
    """None in the last step."""
    reward: float
    """Reward of the previous action; 0 in the first step."""
    info: Mapping[str, Any]
    """Plain values; `lang_goal` is this step's instruction."""

    @property
    def instruction(self) -> str:
        return str(self.info.get("lang_goal") or NO_INSTRUCTION)


@dataclass(frozen=True)
class Episode:
    """A complete demonstration; the last step has the final view and no action."""

    task: str
    seed: int
    steps: tuple[Step, ...]

    @property
    def actions(self) -> int:
        """Number of actions."""
        return len(self.steps) - 1

    @property
    def reward(self) -> float:
        """The sum of the rewards; 1 for a perfect episode."""
        return float(sum(step.reward for step in self.steps))

    @property
    def solved(self) -> bool:
        return is_solved(self.reward)

    def goal(self, step: int) -> HeightMap | None:
        """The view that the action of `step` should lead to: the next one in a sequential task, otherwise the last."""
        return self.steps[step + 1 if "-seq" in self.task else -1].view

    @cached_property
    def nbytes(self) -> int:
        """Approximate memory use."""
        views = [step.view for step in self.steps if step.view is not None]
        return 2048 * len(self.steps) + sum(view.color.nbytes + view.height.nbytes + view.mask.nbytes for view in views)
