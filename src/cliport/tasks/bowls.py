"""Blocks into bowls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cliport.sim.poses import pose
from cliport.sim.shapes import bowl, box

from . import language
from .colors import COLORS, draw, palette
from .goal import Goal, Piece, any_to_any
from .task import Task

if TYPE_CHECKING:
    from cliport.sim.environment import Environment

BLOCK_HEIGHT = 0.024  # meters: the center of a block on a bowl's floor


class PutBlockInBowl(Task):
    """Put every block of one color into a bowl of another color, each into its own bowl; other colors are distractors."""

    position_tolerance = 0.05
    things = 9

    def choose_colors(self, rng: np.random.Generator) -> tuple[str, str, list[str]]:
        """The colors of the blocks, the bowls and the distractors."""
        block, basin, *others = draw(rng, palette(self.split, self.mode), 6)
        return block, basin, others

    def instruction(self, block: str, basin: str) -> str:
        return language.PUT_BLOCK_IN_BOWL.format(pick=block, place=basin)

    def build(self, env: Environment) -> None:
        rng = env.rng
        pick, place, others = self.choose_colors(rng)
        bowls = [self.put(env, bowl(), COLORS[place], "fixed") for _ in range(rng.integers(1, 4))]
        blocks = [Piece(self.put(env, box(), COLORS[pick]), 0.0) for _ in range(rng.integers(1, len(bowls) + 1))]
        targets = [pose((*env.pose(body)[0][:2], BLOCK_HEIGHT)) for body in bowls]
        self.goals.append(Goal(blocks, targets, any_to_any(blocks, targets), 1.0, self.instruction(pick, place)))
        for _ in range(self.things - len(bowls) - len(blocks)):
            color = COLORS[others[rng.integers(len(others))]]
            if rng.uniform() < 0.5:
                self.put(env, box(), color)
            else:
                self.put(env, bowl(), color, "fixed")


class PlaceRedInGreen(PutBlockInBowl):
    """Put every red block into a green bowl."""

    def choose_colors(self, rng: np.random.Generator) -> tuple[str, str, list[str]]:
        return "red", "green", [name for name in palette(self.split, self.mode) if name not in ("red", "green")]

    def instruction(self, block: str, basin: str) -> str:
        return language.PLACE_RED_IN_GREEN
