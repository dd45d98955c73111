"""Tasks that lay a rope of beads along the side of a square."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cliport.sim.poses import apply, pose
from cliport.sim.shapes import square_outline

from . import language
from .colors import COLORS, Color
from .goal import Goal, Piece
from .task import Task

if TYPE_CHECKING:
    from cliport.sim.environment import Environment

BEADS, HALF = 20, 0.005  # and half of a bead's side in meters
PITCH = 2 * HALF * 2**0.5  # meters between neighbors: each bead can bend by up to a right angle
SIDE = BEADS * PITCH
LINE = 0.01  # meters: width of the square's lines
START = (0.1, 0.1, 0.1)  # meters: what is kept free for the heap
FALL = 480  # steps
PALE: Color = (1.0, 1.0, 1.0)
DIRECTIONS = {
    ("front left tip", "front right tip"): ((0.5, 0.5), (-0.5, 0.5)),
    ("front right tip", "back right corner"): ((0.5, 0.5), (0.5, -0.5)),
    ("front left tip", "back left corner"): ((-0.5, 0.5), (-0.5, -0.5)),
    ("back right corner", "back left corner"): ((-0.5, -0.5), (0.5, -0.5)),
}
"""Names of a line's ends, and where the line begins and ends, in units of the square's side; the open side is at +y of its frame.

The names do not fit each other: in the frame, the first line runs from the right tip to the left one if the second is right. They are the
original's, and its agents learned them.
"""
OPEN_SIDE = ("front left tip", "front right tip")


class AlignRope(Task):
    """Lay the rope from one corner of a three-sided square to another, as the instruction says; either end may be at either corner."""

    max_steps = 20
    position_tolerance = 0.02
    lift = 0.02
    scene: tuple[str, ...] = (
        f"a square with sides of {SIDE:.4f} m, three of them painted as lines of {LINE} m; the side at +y is open",
        f"a rope: {BEADS} boxes of {2 * HALF} m and 0.1 kg, seen as balls of {3 * HALF} m, tied {PITCH:.4f} m apart; red with pale ends",
        f"the rope starts as a vertical stack at a random place and falls for {FALL} steps into a heap, which may lie on the lines",
    )
    aim: tuple[str, ...] = (
        f"1: the rope along one of four sides, with even chance: {BEADS} targets, half a pitch in from the corners; bead i at target i "
        f"or {BEADS - 1} - i, each for itself; any yaw; 1/{BEADS} a bead",
    )
    templates: tuple[str, ...] = tuple(language.ALIGN_ROPE.format(start=start, end=end) for start, end in DIRECTIONS)

    def build(self, env: Environment) -> None:
        square = self.free_pose(env, (SIDE, SIDE, 0.0))
        env.add(square_outline((SIDE - LINE, SIDE - LINE), LINE, sides="sew"), square, "fixed")
        ends = self.choose_line(env.rng)
        position = self.free_pose(env, START)[0]
        stack = position + np.arange(1, BEADS + 1)[:, None] * [0, 0, PITCH]
        colors = [PALE, *[COLORS["red"]] * (BEADS - 2), PALE]
        beads = [Piece(body, 0.0) for body in env.add_rope(stack, HALF, colors)]
        either = np.eye(BEADS, dtype=bool) | np.eye(BEADS, dtype=bool)[::-1]
        self.goals.append(
            Goal(beads, [pose(point) for point in targets(square, ends)], either, 1.0, self.instruction(ends), rotations=False)
        )
        env.simulate(FALL)

    def choose_line(self, rng: np.random.Generator) -> tuple[str, str]:
        return list(DIRECTIONS)[rng.integers(len(DIRECTIONS))]

    def instruction(self, ends: tuple[str, str]) -> str:
        return language.ALIGN_ROPE.format(start=ends[0], end=ends[1])


class ManipulatingRope(AlignRope):
    """Complete the square with the rope."""

    aim = (
        f"1: the rope along the open side: {BEADS} targets, half a pitch in from the corners; bead i at target i or {BEADS - 1} - i, each "
        f"for itself; any yaw; 1/{BEADS} a bead",
    )
    templates = (language.MANIPULATING_ROPE,)

    def choose_line(self, rng: np.random.Generator) -> tuple[str, str]:
        return OPEN_SIDE

    def instruction(self, ends: tuple[str, str]) -> str:
        return language.MANIPULATING_ROPE


def targets(square: tuple[np.ndarray, np.ndarray], ends: tuple[str, str]) -> np.ndarray:
    """The targets (BEADS, 3) of the beads along a line of the square."""
    start, end = (np.array([*corner, 0.0]) * SIDE for corner in DIRECTIONS[ends])
    shares = (np.arange(BEADS)[:, None] + 0.5) / BEADS
    return apply(square, start + shares * (end - start))
