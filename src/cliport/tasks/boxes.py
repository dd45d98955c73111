"""Tasks with boxes that fill a container."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cliport.sim.poses import Pose, multiply, pose
from cliport.sim.shapes import box, container

from ..errors import NoRoomError
from . import language
from .colors import ALL, COLORS, draw, palette
from .goal import Goal, Piece, Zone, box_points
from .task import Task

if TYPE_CHECKING:
    from cliport.sim.environment import Environment

GAP, WALL = 0.01, 0.005  # meters: space between neighbors, and thickness of the container's walls
SMALLEST = 0.05  # meters: smallest side of a cell
MOST = 15  # largest number of cells, whose boxes still find room on the table

Cell = tuple[np.ndarray, np.ndarray]
"""Center and sides (2,) of a rectangle in meters, in the container's frame."""


def cells(rng: np.random.Generator, sides: Sequence[float], smallest: float = SMALLEST, most: int = MOST) -> list[Cell]:
    """Cells of a rectangle around the origin: a random cell is cut across its longer side until there are `most` or all are small."""
    found: list[Cell] = [(np.zeros(2), np.array(sides, float))]
    while len(found) < most:
        large = [number for number, (_, extent) in enumerate(found) if extent.max() >= 2 * smallest]
        if not large:
            break
        middle, extent = found.pop(large[rng.integers(len(large))])
        axis = int(extent.argmax())  # across the longer side, so that cells do not become slivers
        cut = rng.uniform(smallest, extent[axis] - smallest)
        for offset, length in ((cut / 2, cut), ((extent[axis] + cut) / 2, extent[axis] - cut)):
            part = middle.copy(), extent.copy()
            part[0][axis] += offset - extent[axis] / 2
            part[1][axis] = length
            found.append(part)
    return found


def add_container(task: Task, env: Environment, inside: Sequence[float]) -> Pose:
    """Add a container with inner extents `inside` (x, y, z), and return the pose of its floor's center."""
    outer = (inside[0] + 2 * WALL, inside[1] + 2 * WALL, inside[2] + WALL)
    body = task.put(env, container(outer, WALL), category="fixed")
    return multiply(env.pose(body), pose((0, 0, WALL - outer[2] / 2)))


class PackingBoxes(Task):
    """Pack all boxes into the container, which they fill."""

    max_steps = 20

    def build(self, env: Environment) -> None:
        inside = (*env.rng.uniform(SMALLEST, 0.3, 2), 0.05)
        floor = add_container(self, env, inside)
        packed, targets, points = self.add_boxes(env, inside, floor)
        matches = np.eye(len(packed), dtype=bool)
        self.goals.append(Goal(packed, targets, matches, 1.0, self.instruction(), zone=Zone(floor, inside[:2]), points=points))

    def add_boxes(self, env: Environment, inside: Sequence[float], floor: Pose) -> tuple[list[Piece], list[Pose], dict[int, np.ndarray]]:
        """Add one box for each cell of the container, anywhere on the table."""
        packed, targets, points = [], [], {}
        for middle, sides in cells(env.rng, inside[:2]):
            size = (*(sides - GAP), inside[2] - GAP)
            body = self.put(env, box(size), COLORS[self.choose_color(env.rng)])
            packed.append(Piece(body, np.pi))
            targets.append(multiply(floor, pose((*middle, size[2] / 2))))
            points[body] = box_points(size)
        return packed, targets, points

    def choose_color(self, rng: np.random.Generator) -> str:
        return ALL[rng.integers(len(ALL))]

    def instruction(self) -> str:
        return language.PACKING_BOXES


class PackingBoxesPairs(PackingBoxes):
    """Pack the boxes of one or two named colors; boxes of other colors are distractors."""

    distractors = 4

    def build(self, env: Environment) -> None:
        self.colors = draw(env.rng, palette(self.split, self.mode), 6)
        self.wanted = self.colors[: env.rng.integers(1, 3)]
        super().build(env)
        for _ in range(self.distractors):
            size = (*env.rng.uniform(SMALLEST - GAP, 0.08, 2), 0.04)
            self.put(env, box(size), COLORS[self.colors[env.rng.integers(len(self.wanted), 6)]])

    def add_boxes(self, env: Environment, inside: Sequence[float], floor: Pose) -> tuple[list[Piece], list[Pose], dict[int, np.ndarray]]:
        self.shown: list[str] = []
        added = super().add_boxes(env, inside, floor)
        if len(set(self.shown)) < len(self.wanted):
            raise NoRoomError("not every color in the instruction is shown")
        return added

    def choose_color(self, rng: np.random.Generator) -> str:
        self.shown.append(self.wanted[rng.integers(len(self.wanted))])
        return self.shown[-1]

    def instruction(self) -> str:
        return language.PACKING_BOXES_PAIRS.format(colors=language.listed(self.wanted))
