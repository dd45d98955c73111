"""The towers of Hanoi with three rings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from cliport.sim.poses import Pose, multiply, pose
from cliport.sim.shapes import Shape, hanoi_disk, shape
from cliport.sim.shapes.geometry import box_solid, cylinder_solid

from . import language
from .colors import COLORS, STAND_BROWNS, draw, palette
from .goal import Goal, Piece
from .task import Task

if TYPE_CHECKING:
    from cliport.sim.environment import Environment

SIDES = ("lighter brown side", "middle of the stand", "darker brown side")
"""What instructions call the three parts of the stand."""
PITCH, BASE, ROD = 0.12, 0.01, 0.06  # meters: distance of the rods, height of the base, height of the rods
DIAMETERS, HEIGHT = (0.11, 0.09, 0.07), 0.02  # meters: diameters of the rings from the largest, and their height


def stand() -> Shape:
    """A base of three browns with three rods along y. Origin: the center of the base."""
    parts = [box_solid((PITCH, PITCH, BASE), (0, (number - 1) * PITCH, 0)) for number in range(3)]
    rods = [cylinder_solid(0.01, ROD, (0, (number - 1) * PITCH, (BASE + ROD) / 2)) for number in range(3)]
    meshes = [solid.mesh().painted(color) for solid, color in zip(parts + rods, [*STAND_BROWNS.values()] * 2, strict=True)]
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

    def choose_colors(self, rng: np.random.Generator) -> list[str]:
        return ["red", "green", "blue"]

    def instruction(self, color: str, place: str) -> str:
        return language.TOWERS_OF_HANOI

    def build(self, env: Environment) -> None:
        colors = self.choose_colors(env.rng)
        base = stand()
        where = self.free_pose(env, (*base.size[:2], BASE))
        env.add(base, where, "fixed")
        towers: list[list[int]] = [[0, 1, 2], [], []]
        rings = [
            Piece(env.add(hanoi_disk(diameter, HEIGHT), multiply(where, level(0, number)), color=COLORS[colors[number]]), 0.0)
            for number, diameter in enumerate(DIAMETERS)
        ]
        solution = list(moves(len(rings), 0, 2))
        for ring, rod in solution:
            next(tower for tower in towers if ring in tower).remove(ring)
            target = multiply(where, level(rod, len(towers[rod])))
            towers[rod].append(ring)
            words = self.instruction(colors[ring], SIDES[rod])
            self.goals.append(Goal([rings[ring]], [target], np.ones((1, 1), bool), 1 / len(solution), words))


def level(rod: int, below: int) -> Pose:
    """The pose of a ring in the stand's frame, with `below` rings under it."""
    return pose((0, (rod - 1) * PITCH, BASE / 2 + (below + 0.5) * HEIGHT))


class TowersOfHanoiSeq(TowersOfHanoi):
    """The same, move by move as the instructions say."""

    def choose_colors(self, rng: np.random.Generator) -> list[str]:
        return draw(rng, palette(self.split, self.mode), 3)

    def instruction(self, color: str, place: str) -> str:
        return language.TOWERS_OF_HANOI_SEQ.format(color=color, place=place)
