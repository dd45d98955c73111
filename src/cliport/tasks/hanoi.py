"""The towers of Hanoi with three rings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from cliport.sim.poses import Pose, apply, multiply, pose
from cliport.sim.shapes import Shape, hanoi_disk, shape
from cliport.sim.shapes.geometry import box_solid, cylinder_solid

from . import language
from .colors import COLORS, STAND_BROWNS, draw
from .differences import DRAWN_COLORS
from .goal import Goal, Piece
from .task import Task

if TYPE_CHECKING:
    from cliport.sim.environment import Environment

SIDES = ("lighter brown side", "middle of the stand", "darker brown side")
"""What instructions call the three parts of the stand."""
PITCH, BASE = 0.12, 0.01  # meters: distance of the rods, height of the base
ROD, THICK, ROD_MIDDLE = 0.05, 0.01, 0.03  # meters: length and diameter of a rod, and height of its middle above that of the base
DIAMETERS, HEIGHT, HOLE = (0.08, 0.07, 0.06), 0.01, 0.03  # meters: of the rings from the largest, their height, and their holes
MASS = 0.1  # kilograms
APART = 0.015  # meters: distance of the rings along the rod before they fall
RING_COLORS = ("green", "yellow", "red")
"""From the largest ring."""
COUNT = 2 ** len(DIAMETERS) - 1
"""Number of moves."""


def stand() -> Shape:
    """A base of three browns with three rods along y. Origin: the center of the base."""
    parts = [box_solid((PITCH, PITCH, BASE), (0, (number - 1) * PITCH, 0)) for number in range(3)]
    rods = [cylinder_solid(THICK, ROD, (0, (number - 1) * PITCH, ROD_MIDDLE)) for number in range(3)]
    meshes = [part.mesh().painted(color) for part, color in zip(parts, STAND_BROWNS.values(), strict=True)]
    meshes += [rod.mesh().painted(STAND_BROWNS["middle"]) for rod in rods]
    return shape("hanoi stand", [box_solid((PITCH, 3 * PITCH, BASE)), *rods], meshes, mass=0.5)


def moves(rings: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The moves (ring, rod) that take a tower from rod `start` to rod `end`; ring 0 is the largest.

    The classic recursion: the smaller rings to the spare rod, the largest to its end, the smaller ones onto it.
    """
    if rings:
        spare, top = 3 - start - end, rings - 1
        smaller = [(ring + 1, rod) for ring, rod in moves(top, start, spare)]
        yield from smaller
        yield 0, end
        yield from ((ring + 1, rod) for ring, rod in moves(top, spare, end))


class TowersOfHanoi(Task):
    """Move three rings from the lighter side to the darker one, one at a time, never a larger one onto a smaller one."""

    max_steps = 14
    scene: tuple[str, ...] = (
        f"one stand, {PITCH} x {3 * PITCH:g} x {BASE} m, in three browns along y, the lightest at -y, fixed, anywhere",
        f"three rods on it, {ROD} m long and {THICK} m wide, {PITCH} m apart",
        f"three rings on the rod of the lightest side, {', '.join(map(str, DIAMETERS))} m wide from the bottom, {HEIGHT} m high, "
        f"hole {HOLE} m, movable, {MASS} kg",
        f"the rings' colours from the bottom: {', '.join(RING_COLORS)}",
    )
    aim: tuple[str, ...] = (f"{COUNT} in order, 1/{COUNT} each, the shortest solution: a ring at a rod, at any height and yaw",)
    templates: tuple[str, ...] = (language.TOWERS_OF_HANOI,)

    def choose_colors(self, rng: np.random.Generator) -> list[str]:
        return list(RING_COLORS)

    def instruction(self, color: str, place: str) -> str:
        return language.TOWERS_OF_HANOI

    def build(self, env: Environment) -> None:
        colors = self.choose_colors(env.rng)
        where = self.free_pose(env, (PITCH, 3 * PITCH, BASE))
        env.add(stand(), where, "fixed")
        rings = [
            Piece(env.add(hanoi_disk(diameter, HEIGHT, HOLE, MASS), beginning(where, number), color=COLORS[colors[number]]), 0.0)
            for number, diameter in enumerate(DIAMETERS)
        ]
        for ring, rod in moves(len(rings), 0, 2):
            target = pose(apply(where, middle(rod)))
            words = self.instruction(colors[ring], SIDES[rod])
            self.goals.append(Goal([rings[ring]], [target], np.ones((1, 1), bool), 1 / COUNT, words))


def middle(rod: int) -> tuple[float, float, float]:
    """The middle of a rod in the stand's frame."""
    return 0.0, (rod - 1) * PITCH, ROD_MIDDLE


def beginning(stand: Pose, ring: int) -> Pose:
    """Where a ring begins to fall along the first rod; ring 0 is the lowest."""
    x, y, z = middle(0)
    return multiply(stand, pose((x, y, z + APART * (ring - 1))))


class TowersOfHanoiSeq(TowersOfHanoi):
    """The same, move by move as the instructions say."""

    scene = (*TowersOfHanoi.scene[:3], "each ring in another colour")
    aim = (*TowersOfHanoi.aim, f"{{loc}}: {', '.join(SIDES)}")
    templates = (language.TOWERS_OF_HANOI_SEQ,)
    differs = (DRAWN_COLORS,)

    def choose_colors(self, rng: np.random.Generator) -> list[str]:
        return draw(rng, self.vocabulary(self.mode)["colours"], len(DIAMETERS))

    def instruction(self, color: str, place: str) -> str:
        return language.TOWERS_OF_HANOI_SEQ.format(obj=color, loc=place)
