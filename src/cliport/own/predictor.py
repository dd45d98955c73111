"""An agent, and the workspace in which it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import ParameterError

from ..agents.catalog import design
from ..sim.observation import HeightMap
from .answer import Answer, answer_of
from .view import View, height_map
from .workspace import Workspace

if TYPE_CHECKING:
    from ..agents.agent import Agent

Seen = Sequence[View] | HeightMap
"""Views of calibrated cameras, or an agent's height map: see `Workspace.map`."""


@dataclass(frozen=True)
class Predictor:
    """A trained agent on pictures of one's own."""

    agent: Agent
    workspace: Workspace = Workspace()

    def act(self, seen: Seen, instruction: str = "", goal: Seen | None = None) -> Answer:
        """Where to pick and where to place.

        Args:
            seen: the scene.
            instruction: what to do; for agents that understand one.
            goal: the scene to be reached; for agents that are shown one.

        Raises:
            ParameterError: when the agent needs an instruction or a goal that is missing.
            DataError: naming all that is wrong with the views.
            NotFiniteError: when the agent's scores are not finite.
        """
        if problems := lacking(self.agent, instruction, goal):
            raise ParameterError(problems)
        view, reached = self.map_of(seen), None if goal is None else self.map_of(goal)
        return answer_of(self.agent.act(view, instruction, reached), view, instruction, self.workspace)

    def map_of(self, seen: Seen) -> HeightMap:
        """What the agent sees."""
        return seen if isinstance(seen, HeightMap) else height_map(seen, self.workspace, self.agent.cells)


def understands(agent: Agent) -> bool:
    """Whether an agent's answer depends on the instruction."""
    return any("ling" in stream or "lang" in stream for stream in design(agent.config.agent).streams)


def lacking(agent: Agent, instruction: str, goal: Any) -> list[str]:
    """What an agent needs that it is not given."""
    problems = []
    if understands(agent) and not instruction.strip():
        problems.append(f"the agent {agent.config.agent} needs an instruction")
    if agent.design.goal and goal is None:
        problems.append(f"the agent {agent.config.agent} needs the view of a goal")
    return problems
