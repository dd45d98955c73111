"""Tasks that stack six blocks into a pyramid of three rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cliport.sim.poses import multiply, pose
from cliport.sim.shapes import Shape, box, shape
from cliport.sim.shapes.geometry import box_solid

from . import language
from .colors import COLORS, STAND_BROWNS, draw
from .differences import SHUFFLED_COLORS
from .goal import Goal, Piece, any_to_any
from .task import Task

if TYPE_CHECKING:
    from cliport.sim.environment import Environment

PITCH, BASE = 0.05, 0.005  # meters: distance of the places, height of the base
BLOCK, MASS = 0.04, 0.01  # meters, kilograms
PLACES = ((0, -0.05, 0.03), (0, 0, 0.03), (0, 0.05, 0.03), (0, -0.025, 0.08), (0, 0.025, 0.08), (0, 0, 0.13))
"""The target of each block in the stand's frame, in meters. Heights have a centimeter of room: what is placed is let down."""
ROWS = ("bottom", "middle", "top")
BLOCK_COLORS = ("purple", "blue", "green", "yellow", "orange", "red")


def stand() -> Shape:
    """Three squares in a row along y, from the lightest brown to the darkest."""
    squares = [box_solid((PITCH, PITCH, BASE), (0, (number - 1) * PITCH, 0)) for number in range(3)]
    meshes = [solid.mesh().painted(color) for solid, color in zip(squares, STAND_BROWNS.values(), strict=True)]
    return shape("stand", [box_solid((PITCH, 3 * PITCH, BASE))], meshes, mass=0.5)


class StackBlockPyramid(Task):
    """Build the bottom, the middle and the top row; the order of the blocks within a row does not matter."""

    max_steps = 12
    rows: tuple[tuple[int, ...], ...] = ((0, 1, 2), (3, 4), (5,))
    scene: tuple[str, ...] = (
        f"one stand, {PITCH} x {3 * PITCH:g} x {BASE} m, in three browns along y, the lightest at -y, fixed, anywhere",
        f"six blocks of {BLOCK} m, movable, {MASS} kg, anywhere",
        f"the blocks' colours: {', '.join(BLOCK_COLORS)}",
    )
    aim: tuple[str, ...] = tuple(
        f"{row}, {len(numbers)}/6: {', '.join(BLOCK_COLORS[number] for number in numbers)} at any place of this row; yaw modulo 90 degrees"
        for row, numbers in zip(ROWS, rows, strict=True)
    )
    templates: tuple[str, ...] = language.STACK_BLOCK_PYRAMID

    def choose_colors(self, rng: np.random.Generator) -> list[str]:
        return list(BLOCK_COLORS)

    def instructions(self, colors: list[str]) -> tuple[str, ...]:
        return language.STACK_BLOCK_PYRAMID

    def build(self, env: Environment) -> None:
        colors = self.choose_colors(env.rng)
        where = env.pose(self.put(env, stand(), category="fixed"))
        targets = [multiply(where, pose(place)) for place in PLACES]
        blocks = [Piece(self.put(env, box((BLOCK,) * 3, MASS), COLORS[color]), np.pi / 2) for color in colors]
        for row, words in zip(self.rows, self.instructions(colors), strict=True):
            pieces, spots = [blocks[number] for number in row], [targets[number] for number in row]
            self.goals.append(Goal(pieces, spots, any_to_any(pieces, spots), len(row) / len(blocks), words))


class StackBlockPyramidSeq(StackBlockPyramid):
    """The same, one block at a time, as the instructions say."""

    rows = tuple((number,) for number in range(6))
    scene = (*StackBlockPyramid.scene[:2], "each block in another colour")
    aim = (
        "6 in order, 1/6 each: a block at its place, bottom row from -y, middle row from -y, top; yaw modulo 90 degrees",
        f"{{place}}: {', '.join(f'the {brown} brown block' for brown in STAND_BROWNS)}, then the {{a}} and {{b}} blocks below",
    )
    templates = (language.STACK_BLOCK_PYRAMID_SEQ,)
    differs = (SHUFFLED_COLORS,)

    def choose_colors(self, rng: np.random.Generator) -> list[str]:
        return draw(rng, self.vocabulary(self.mode)["colours"], len(PLACES))

    def instructions(self, colors: list[str]) -> tuple[str, ...]:
        places = [f"the {brown} brown block" for brown in STAND_BROWNS]
        places += [f"the {colors[a]} and {colors[b]} blocks" for a, b in ((0, 1), (1, 2), (3, 4))]
        return tuple(language.STACK_BLOCK_PYRAMID_SEQ.format(pick=color, place=place) for color, place in zip(colors, places, strict=True))
