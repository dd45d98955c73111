"""What an agent wanted in the episodes that it did not solve, as pictures."""

from __future__ import annotations

from typing import Any, Protocol

from PIL import Image

from harness.torch.pictures import sheet

from .sim.observation import HeightMap

COLUMNS = 2


class Acting(Protocol):
    """An agent."""

    @property
    def origin(self) -> str: ...

    @property
    def cells(self) -> str: ...

    def act(self, view: HeightMap, language: str, goal: HeightMap | None = None) -> Any: ...


class Watched:
    """An agent whose decisions of one episode are kept."""

    def __init__(self, agent: Acting) -> None:
        self.agent = agent
        self.decided: list[tuple[HeightMap, str, Any]] = []

    @property
    def origin(self) -> str:
        return self.agent.origin

    @property
    def cells(self) -> str:
        return self.agent.cells

    def act(self, view: HeightMap, language: str, goal: HeightMap | None = None) -> Any:
        decision = self.agent.act(view, language, goal)
        self.decided.append((view, language, decision))
        return decision

    def forget(self) -> None:
        """Begin another episode."""
        self.decided.clear()

    def picture(self) -> Image.Image | None:
        """Heat maps of every decision of the episode; None if the agent has none."""
        from .agents.overlay import picture_of

        drawn = [picture_of(view, text, decision) for view, text, decision in self.decided if hasattr(decision, "pick_map")]
        return sheet(drawn, COLUMNS) if drawn else None
