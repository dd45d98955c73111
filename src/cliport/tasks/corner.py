"""A task that aligns a box with a corner marked on the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cliport.sim.poses import from_euler, multiply
from cliport.sim.shapes import box, corner

from . import language
from .goal import Goal, Piece, any_to_any
from .task import Task

if TYPE_CHECKING:
    from cliport.sim.environment import Environment

BROWN = (0.6, 0.45, 0.33)


class AlignBoxCorner(Task):
    """Place a box so that two of its sides lie along the two lines; either side may lie along either line."""

    max_steps = 3

    def build(self, env: Environment) -> None:
        x, y, z = env.rng.uniform([0.05, 0.05, 0.02], [0.15, 0.15, 0.06]).tolist()
        middle = self.free_pose(env, (x, y, 0.0))
        where = multiply(middle, from_euler((-x / 2, -y / 2, 0)))
        env.add(corner((x, y)), where, "fixed")
        piece = Piece(self.put(env, box((x, y, z)), BROWN), np.pi)
        lying = [multiply(where, from_euler((x / 2, y / 2, z / 2))), multiply(where, from_euler((y / 2, x / 2, z / 2), yaw=np.pi / 2))]
        self.goals.append(Goal([piece], lying, any_to_any([piece], lying), 1.0, language.ALIGN_BOX_CORNER))
