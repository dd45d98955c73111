"""Tasks that stack six blocks into a pyramid of three rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cliport.sim.poses import Pose, multiply, pose
from cliport.sim.shapes import Shape, box, shape
from cliport.sim.shapes.geometry import box_solid

from . import language
from .colors import COLORS, STAND_BROWNS, draw, palette
from .goal import Goal, Piece, any_to_any
from .language import listed
from .task import Task

if TYPE_CHECKING:
    from cliport.sim.environment import Environment

PITCH, BLOCK, BASE = 0.05, 0.04, 0.01  # meters: distance of the places, side of a block, height of the base
PLACES = [(-1.0, 0), (0.0, 0), (1.0, 0), (-0.5, 1), (0.5, 1), (0.0, 2)]
"""Position along the stand in pitches, and row, of each block."""


def stand() -> Shape:
    """Three squares in a row along y, from the lightest brown to the darkest."""
    squares = [box_solid((PITCH, PITCH, BASE), (0, (number - 1) * PITCH, 0)) for number in range(3)]
    meshes = [solid.mesh().painted(color) for solid, color in zip(squares, STAND_BROWNS.values(), strict=True)]
    return shape("stand", [box_solid((PITCH, 3 * PITCH, BASE))], meshes, mass=0.5)


class StackBlockPyramid(Task):
    """Build the bottom, the middle and the top row; the order of the blocks within a row does not matter."""

    max_steps = 12
    rows: tuple[tuple[int, ...], ...] = ((0, 1, 2), (3, 4), (5,))

    def choose_colors(self, rng: np.random.Generator) -> list[str]:
        return ["purple", "blue", "green", "yellow", "orange", "red"]

    def instructions(self, colors: list[str]) -> list[str]:
        words = [listed([colors[number] for number in row]) + (" blocks" if len(row) > 1 else " block") for row in self.rows]
        return [
            language.STACK_BLOCK_PYRAMID.format(row=row, blocks=f"the {said}")
            for row, said in zip(("bottom", "middle", "top"), words, strict=True)
        ]

    def build(self, env: Environment) -> None:
        colors = self.choose_colors(env.rng)
        where = env.pose(self.put(env, stand(), category="fixed"))
        targets = [target(where, along, row) for along, row in PLACES]
        blocks = [Piece(self.put(env, box((BLOCK,) * 3), COLORS[color]), np.pi / 2) for color in colors]
        for row, words in zip(self.rows, self.instructions(colors), strict=True):
            pieces, spots = [blocks[number] for number in row], [targets[number] for number in row]
            self.goals.append(Goal(pieces, spots, any_to_any(pieces, spots), len(row) / len(blocks), words))


def target(stand: Pose, along: float, row: int) -> Pose:
    """The target of a block on a stand with this pose."""
    return multiply(stand, pose((0, along * PITCH, BASE / 2 + (row + 0.5) * BLOCK)))


class StackBlockPyramidSeq(StackBlockPyramid):
    """The same, one block at a time, as the instructions say."""

    rows = tuple((number,) for number in range(6))

    def choose_colors(self, rng: np.random.Generator) -> list[str]:
        return draw(rng, palette(self.split, self.mode), 6)

    def instructions(self, colors: list[str]) -> list[str]:
        places = [f"the {brown} brown block" for brown in STAND_BROWNS]
        places += [f"the {listed([colors[a], colors[b]])} blocks" for a, b in ((0, 1), (1, 2), (3, 4))]
        return [language.STACK_BLOCK_PYRAMID_SEQ.format(pick=color, place=place) for color, place in zip(colors, places, strict=True)]
