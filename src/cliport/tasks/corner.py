"""A task that aligns a box with a corner marked on the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cliport.sim.poses import from_euler, multiply
from cliport.sim.shapes import box, corner

from . import language
from .colors import SHADES, random_brown
from .goal import Goal, Piece, any_to_any
from .task import Task

if TYPE_CHECKING:
    from cliport.sim.environment import Environment

SMALLEST, LARGEST = (0.05, 0.05, 0.01), (0.15, 0.15, 0.06)  # meters
MASS = 0.1  # kilograms


class AlignBoxCorner(Task):
    """Place a box so that two of its sides lie along the two strips; either side may lie along either strip."""

    max_steps = 3
    scene = (
        "one box, {} m, movable, {} kg, brown times a random {:g} to {:g}".format(
            " x ".join(f"{low:g} to {high:g}" for low, high in zip(SMALLEST, LARGEST, strict=True)), MASS, *SHADES
        ),
        "two green strips painted on the table, 0.055 x 0.005 m, that meet at a corner of the box's outline",
    )
    aim = ("1: the box in the corner, either side along either strip, either way round: 4 poses",)
    templates = (language.ALIGN_BOX_CORNER,)

    def build(self, env: Environment) -> None:
        x, y, z = env.rng.uniform(SMALLEST, LARGEST).tolist()
        where = self.free_pose(env, (x, y, 0.0))
        env.add(corner((x, y)), where, "fixed")
        piece = Piece(self.put(env, box((x, y, z), MASS), random_brown(env.rng)))
        other = (x - y) / 2, (y - x) / 2, 0.0  # where its middle is if its sides are exchanged
        lying = [multiply(where, from_euler((0, 0, 0) if turn % 2 == 0 else other, yaw=turn * np.pi / 2)) for turn in range(4)]
        self.goals.append(Goal([piece], lying, any_to_any([piece], lying), 1.0, language.ALIGN_BOX_CORNER))
