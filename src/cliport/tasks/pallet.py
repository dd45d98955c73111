"""A task that stacks boxes of one size on a pallet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from cliport.sim.poses import Pose, from_euler, multiply
from cliport.sim.shapes import box, pallet

from . import language
from .goal import Goal, Piece
from .task import Task

if TYPE_CHECKING:
    from cliport.sim.environment import Environment

PALLET = (0.3, 0.25, 0.03)  # meters
CELL = (0.19 / 2, 0.19 / 3, 0.19 / 3)
SIZE = tuple(side - gap for side, gap in zip(CELL, (0.01, 0.01, 0.0), strict=True))
BROWN = (0.72, 0.55, 0.36)


def layers(count: int = 3) -> Iterator[Pose]:
    """Poses of the boxes in the frame of the pallet's top, bottom up: six per layer, every other layer rotated by 90 degrees."""
    for layer in range(count):
        turn = from_euler((0, 0, 0), yaw=np.pi / 2 * (layer % 2))
        for x in (-0.5, 0.5):
            for y in (-1.0, 0.0, 1.0):
                yield multiply(turn, from_euler((x * CELL[0], y * CELL[1], (layer + 0.5) * SIZE[2])))


class PalletizingBoxes(Task):
    """Stack eighteen boxes in three crosswise layers. A new box appears when the last one is in place."""

    max_steps = 30

    def build(self, env: Environment) -> None:
        base = env.pose(self.put(env, pallet(PALLET), category="fixed"))
        top = multiply(base, from_euler((0, 0, PALLET[2] / 2)))
        self.targets = [multiply(top, own) for own in layers()]
        self.next_box()

    def next_box(self) -> None:
        """Add a box anywhere on the table, with the next target as its goal."""
        body = self.put(self.env, box(SIZE, mass=0.05), BROWN)
        target = self.targets[len(self.goals)]
        self.goals.append(Goal([Piece(body, np.pi)], [target], np.ones((1, 1), bool), 1 / len(self.targets), language.PALLETIZING_BOXES))

    def scored(self, env: Environment) -> None:
        if self.goal is None and len(self.goals) < len(self.targets):
            self.next_box()
