"""Tasks that lay a rope of beads along the side of a square."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cliport.sim.constants import BOUNDS
from cliport.sim.poses import apply, pose
from cliport.sim.shapes import square_outline

from ..errors import NoRoomError
from . import language
from .goal import Goal, Piece
from .task import Task

if TYPE_CHECKING:
    from cliport.sim.environment import Environment

BEADS, RADIUS = 20, 0.005
PITCH = 2 * RADIUS * 2**0.5  # meters between neighbors: each bead can bend by up to a right angle
SIDE = (BEADS - 1) * PITCH
CORNERS = {
    "front left tip": (-0.5, -0.5),
    "front right tip": (0.5, -0.5),
    "back left corner": (-0.5, 0.5),
    "back right corner": (0.5, 0.5),
}
"""Positions in units of the square's side; the open front is at -y of its frame."""
DIRECTIONS = (
    ("front left tip", "front right tip"),
    ("front right tip", "back right corner"),
    ("front left tip", "back left corner"),
    ("back right corner", "back left corner"),
)


class AlignRope(Task):
    """Lay the rope from one corner of a three-sided square to another, as the instruction says; either end may be at either corner."""

    max_steps = 20
    position_tolerance = 0.02
    lift = 0.02

    def build(self, env: Environment) -> None:
        side = square_outline((SIDE, SIDE), sides="new")
        square = self.free_pose(env, (*side.size[:2], 0.0))
        env.add(side, square, "fixed")
        start, end = self.choose_direction(env.rng)
        line = np.linspace(CORNERS[start], CORNERS[end], BEADS) * SIDE
        targets = [pose(point) for point in apply(square, np.column_stack([line, np.full(BEADS, RADIUS)]))]
        beads = [Piece(body, 0.0) for body in env.add_rope(curve(env.rng), RADIUS)]
        either = np.eye(BEADS, dtype=bool) | np.eye(BEADS, dtype=bool)[::-1]
        self.goals.append(Goal(beads, targets, either, 1.0, self.instruction(start, end), rotations=False))

    def choose_direction(self, rng: np.random.Generator) -> tuple[str, str]:
        return DIRECTIONS[rng.integers(len(DIRECTIONS))]

    def instruction(self, start: str, end: str) -> str:
        return language.ALIGN_ROPE.format(start=start, end=end)


class ManipulatingRope(AlignRope):
    """Complete the square with the rope."""

    def choose_direction(self, rng: np.random.Generator) -> tuple[str, str]:
        return DIRECTIONS[0]

    def instruction(self, start: str, end: str) -> str:
        return language.MANIPULATING_ROPE


def curve(rng: np.random.Generator, draws: int = 200) -> np.ndarray:
    """The initial position of a rope: points (BEADS, 3) of a smooth curve in the workspace that does not touch itself.

    Raises:
        NoRoomError: when `draws` draws give none.
    """
    for _ in range(draws):
        first, last = rng.uniform(-0.2, 0.2, 2)
        # The curvature changes linearly along the rope: arcs and S-shapes, but no kinks.
        turns = rng.uniform(-np.pi, np.pi) + np.cumsum(np.linspace(first, last, BEADS - 1))
        steps = PITCH * np.stack([np.cos(turns), np.sin(turns)], 1)
        start = rng.uniform(BOUNDS[:2, 0], BOUNDS[:2, 1])
        points = np.concatenate([start[None], start + np.cumsum(steps, 0)])
        apart = np.linalg.norm(points[:, None] - points[None], axis=-1)[np.triu_indices(BEADS, 2)]
        inside = (points > BOUNDS[:2, 0] + 0.03).all() and (points < BOUNDS[:2, 1] - 0.03).all()
        if inside and apart.min() > 4 * RADIUS:
            return np.column_stack([points, np.full(BEADS, RADIUS)])
    raise NoRoomError("no room for the rope")
