"""A task that stacks boxes of one size on a pallet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cliport.sim.poses import from_euler, multiply, pose
from cliport.sim.shapes import box, pallet

from . import language
from .colors import SHADES, random_brown
from .differences import Difference
from .goal import Goal, Piece, Zone, box_points
from .task import Task

if TYPE_CHECKING:
    from cliport.sim.environment import Environment

PLACE = pose((0.5, 0.25, 0.02))  # the pallet's middle
SIDES, HEIGHT = (0.3, 0.25), 0.0375  # meters: the pallet's
STACK, GAP = 0.19, 0.01  # meters: sides of the cube of boxes, and between boxes
BASE = 0.03  # meters: from the pallet's middle to the boxes
MASS, FRICTION = 0.1, 1.0  # kilograms; of a box
SPAWN = (0.5, -0.25, 0.1)  # meters: where a box appears
WAIT = 480  # steps after a box has appeared
PER_LAYER, LAYERS = 6, 3
COUNT = PER_LAYER * LAYERS
LONG, SHORT = (STACK - GAP) / 2, (STACK - 2 * GAP) / 3  # meters: sides of a box


class PalletizingBoxes(Task):
    """Stack eighteen boxes on a pallet. The next one appears when no box is left on the near half of the table."""

    max_steps = 30
    scene = (
        f"a pallet, {SIDES[0]} x {SIDES[1]} x {HEIGHT} m, fixed at x 0.5, y 0.25, yaw 0",
        f"{COUNT} boxes of {LONG:.2f} x {SHORT:.4f} x {SHORT:.4f} m and {MASS} kg, movable, each in brown times {SHADES[0]} to {SHADES[1]}",
        f"one box at a time appears at x 0.5, y -0.25, z 0.1 with any yaw, when none has y in -0.5..0; then {WAIT} steps are waited for",
    )
    aim = (f"1: all boxes on the pallet, anywhere and in any order; 1/{COUNT} a box. The oracle builds {LAYERS} layers crosswise",)
    templates = (language.PALLETIZING_BOXES,)
    inside = f"the share of all {COUNT} boxes' points (a grid of 0.02 m) above the pallet and less than 0.3 m above its middle"
    ends = f"all goals complete, or all {COUNT} boxes have appeared and an action has been scored"
    differs = (
        Difference(
            "pallet",
            "a mesh that is touched as its convex hull",
            "as large, a closed deck on three beams",
            "the mesh is not part of this project",
        ),
        Difference(
            "boxes that have not appeared", "wait 10 m away, and are in `info`", "do not exist yet", "they would fall from the floor"
        ),
    )

    def build(self, env: Environment) -> None:
        env.add(pallet((*SIDES, HEIGHT)), PLACE, "fixed")
        self.ended = False
        self.sizes = [layer_size(layer) for layer in range(LAYERS) for _ in range(PER_LAYER)]
        self.places = [multiply(PLACE, pose(slot)) for layer in range(LAYERS) for slot in env.rng.permutation(slots(layer))]
        self.next_box(env)

    def next_box(self, env: Environment) -> None:
        """Let a box appear, and make it part of the goal."""
        before = self.goals[0] if self.goals else None
        number = len(before.pieces) if before else 0
        shape = box(self.sizes[number], MASS, FRICTION)
        body = env.add(shape, from_euler(SPAWN, yaw=env.rng.uniform(0, 2 * np.pi)), color=random_brown(env.rng))
        pieces = [*(before.pieces if before else ()), Piece(body, 0.0)]
        points = {**(before.points if before else {}), body: box_points(shape.size)}
        matches = np.eye(len(pieces), dtype=bool)
        zone = Zone(PLACE, SIDES)
        self.goals = [Goal(pieces, self.places[: number + 1], matches, 1.0, language.PALLETIZING_BOXES, zone=zone, points=points)]
        env.simulate(WAIT)

    def score(self, goal: Goal) -> float:
        """The share of all boxes' points: those that have not appeared are outside."""
        return super().score(goal) * len(goal.pieces) / COUNT

    def scored(self, env: Environment) -> None:
        goal = self.goal
        if goal is None:
            return
        if len(goal.pieces) == COUNT:
            self.ended = True
        elif not any(-0.5 <= env.pose(piece.body)[0][1] <= 0 for piece in goal.pieces):
            self.next_box(env)

    def done(self) -> bool:
        return self.ended or super().done()


def layer_size(layer: int) -> tuple[float, float, float]:
    """The extents of a layer's boxes: every other layer lies crosswise."""
    return (LONG, SHORT, SHORT) if layer % 2 else (SHORT, LONG, SHORT)


def slots(layer: int) -> np.ndarray:
    """The middles (PER_LAYER, 3) of a layer's boxes in the pallet's frame."""
    x, y, z = layer_size(layer)
    counts = (2, 3) if layer % 2 else (3, 2)
    columns, rows = np.indices(counts).reshape(2, -1)
    height = BASE + (layer + 0.5) * z + layer * GAP
    return np.stack(
        [(columns + 0.5) * x + columns * GAP - STACK / 2, (rows + 0.5) * y + rows * GAP - STACK / 2, np.full(PER_LAYER, height)], 1
    )
