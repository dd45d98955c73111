"""Tasks that push a pile of small blocks into a square with a spatula."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cliport.sim.poses import Pose, from_euler
from cliport.sim.shapes import MARK_COLOR, box, zone

from . import language
from .colors import COLORS, Color, draw
from .differences import DRAWN_COLORS, Difference
from .goal import Goal, Piece, Zone, any_to_any, box_points
from .task import Task

if TYPE_CHECKING:
    from cliport.sim.environment import Environment

SIDE = 0.12  # meters: side of a square as it is seen
BLOCKS, BLOCK, MASS, FRICTION = 50, 0.01, 0.001, 0.5  # blocks; meters; kilograms; of a block
PATCH = np.array([[0.4, 0.6], [-0.1, 0.1]])  # meters: where the blocks are strewn, x and y
HEIGHT = 0.01  # meters: of their middles, so they fall by half their side
APART = 0.2  # meters: least distance of two squares' middles
PILE = f"{BLOCKS} blocks of {BLOCK} m and {MASS} kg, strewn over x 0.4 to 0.6 and y -0.1 to 0.1, any yaw; they may lie in each other and in"


class SweepingPiles(Task):
    """Push fifty blocks into the green square."""

    ee = "spatula"
    max_steps = 20
    side = SIDE
    """Side of a square as it is placed and as it counts, in meters."""
    scene: tuple[str, ...] = (f"a square of {SIDE} m, painted pure green, anywhere, any yaw", f"{PILE} the square; red")
    aim: tuple[str, ...] = (f"1: all blocks in the square; 1/{BLOCKS} a block",)
    templates: tuple[str, ...] = (language.SWEEPING_PILES,)
    inside = f"the share of blocks whose lower corner is in the square of {SIDE} m, below 0.3 m"

    def build(self, env: Environment) -> None:
        square = self.free_pose(env, (self.side, self.side, 0.0))
        env.add(zone((SIDE, SIDE), MARK_COLOR), square, "fixed")
        self.add_pile(env, COLORS["red"], square, language.SWEEPING_PILES)

    def add_pile(self, env: Environment, color: Color, square: Pose, words: str) -> None:
        """Strew the blocks, and state the goal of having them in a square."""
        shape = box((BLOCK,) * 3, MASS, FRICTION)
        pile = []
        for _ in range(BLOCKS):
            x, y = env.rng.uniform(*PATCH.T)
            pile.append(env.add(shape, from_euler((x, y, HEIGHT), yaw=env.rng.uniform(0, 2 * np.pi)), color=color))
        pieces = [Piece(body, 0.0) for body in pile]
        points = dict.fromkeys(pile, box_points(shape.size))
        self.goals.append(
            Goal(
                pieces,
                [square],
                any_to_any(pieces, [square]),
                1.0,
                words,
                replace=True,
                rotations=False,
                zone=Zone(square, (self.side, self.side)),
                points=points,
            )
        )


class SeparatingPiles(SweepingPiles):
    """Push the pile into the square of the named color; a second square is a distractor."""

    side = 0.15
    scene = (
        f"two squares at least {APART} m apart, anywhere, any yaw; placed as squares of {side} m, but seen as squares of {SIDE} m",
        f"{PILE} a square",
        "three different colours: of the first square, the second, and the blocks",
    )
    clutter = "the other square"
    aim = (f"1: all blocks in the square that is named, either with even chance; 1/{BLOCKS} a block",)
    templates = (language.SEPARATING_PILES,)
    inside = f"the share of blocks whose lower corner is in the square of {side} m, below 0.3 m"
    differs: tuple[Difference, ...] = (DRAWN_COLORS,)

    def build(self, env: Environment) -> None:
        *colors, block = draw(env.rng, self.vocabulary(self.mode)["colours"], 3)
        squares = self.two_places(env)
        for square, color in zip(squares, colors, strict=True):
            env.add(zone((SIDE, SIDE), COLORS[color]), square, "fixed")
        wanted = int(env.rng.integers(2))
        words = language.SEPARATING_PILES.format(block=block, square=colors[wanted])
        self.add_pile(env, COLORS[block], squares[wanted], words)

    def two_places(self, env: Environment) -> list[Pose]:
        """Free places for the squares."""
        first = self.free_pose(env, (self.side, self.side, 0.0))
        while True:
            second = self.free_pose(env, (self.side, self.side, 0.0))
            if np.linalg.norm(second[0] - first[0]) >= APART:
                return [first, second]
