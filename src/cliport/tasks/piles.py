"""Tasks that push piles of small blocks into a square with a spatula."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cliport.sim.constants import BOUNDS
from cliport.sim.poses import Pose, from_euler
from cliport.sim.shapes import box, zone

from . import language
from .colors import COLORS, draw, palette
from .goal import Goal, Piece, Zone
from .task import Task

if TYPE_CHECKING:
    from cliport.sim.environment import Environment

SIDE = 0.12  # meters: side of the square
BLOCK = 0.01  # meters: side of a block
PATCH = 0.2  # meters: side of the area over which the blocks are scattered
CELLS = 13  # along each side of that area; at most one block lies in a cell


class SweepingPiles(Task):
    """Push fifty blocks into the green square."""

    ee = "spatula"
    max_steps = 20
    blocks = 50

    def build(self, env: Environment) -> None:
        pile = self.add_piles(env, ["blue"])[0]
        self.state_goal(pile, self.add_square(env, "green"), language.SWEEPING_PILES)

    def add_square(self, env: Environment, color: str) -> Pose:
        square = self.free_pose(env, (SIDE, SIDE, 0.0))
        env.add(zone((SIDE, SIDE), COLORS[color]), square, "fixed")
        return square

    def add_piles(self, env: Environment, colors: list[str]) -> list[list[int]]:
        """Scatter blocks over the middle of the table, with each color on its own half, and return the bodies of each pile."""
        low = BOUNDS[:2].mean(1) - PATCH / 2
        # Random cells of a raster, slightly displaced: free of overlaps, so the blocks do not burst apart when the simulation starts.
        centers = np.arange(0.5, CELLS)
        raster = np.stack(np.meshgrid(centers, centers), -1).reshape(-1, 2) * PATCH / CELLS
        halves = [raster] if len(colors) == 1 else [raster[raster[:, 1] < PATCH / 2 - 0.005], raster[raster[:, 1] > PATCH / 2 + 0.005]]
        piles = []
        for color, places in zip(colors, halves, strict=True):
            chosen = places[env.rng.choice(len(places), self.blocks // len(colors), replace=False)]
            shaken = chosen + low + env.rng.uniform(-0.002, 0.002, chosen.shape)
            turns = env.rng.uniform(0, np.pi / 2, len(chosen))
            poses = [from_euler((x, y, BLOCK / 2), yaw=turn) for (x, y), turn in zip(shaken, turns, strict=True)]
            piles.append([env.add(box((BLOCK,) * 3, mass=0.002), at, color=COLORS[color]) for at in poses])
        return piles

    def state_goal(self, pile: list[int], square: Pose, words: str) -> None:
        pieces = [Piece(body, 0.0) for body in pile]
        points = {body: np.zeros((1, 3)) for body in pile}
        self.goals.append(
            Goal(
                pieces,
                [square],
                np.ones((len(pile), 1), bool),
                1.0,
                words,
                replace=True,
                rotations=False,
                zone=Zone(square, (SIDE, SIDE)),
                points=points,
            )
        )


class SeparatingPiles(SweepingPiles):
    """Push the pile of one color into the square of another; a second pile and a second square are distractors."""

    def build(self, env: Environment) -> None:
        block, square, other_block, other_square = draw(env.rng, palette(self.split, self.mode), 4)
        colors = [block, other_block] if env.rng.uniform() < 0.5 else [other_block, block]
        piles = dict(zip(colors, self.add_piles(env, colors), strict=True))
        goal, _ = (self.add_square(env, color) for color in (square, other_square))
        self.state_goal(piles[block], goal, language.SEPARATING_PILES.format(block=block, square=square))
