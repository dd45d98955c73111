"""Tasks with boxes that fill a container."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cliport.sim.poses import Pose, multiply, pose
from cliport.sim.shapes import box, container

from . import language
from .colors import ALL, COLORS, draw
from .goal import Goal, Piece, Zone, box_points
from .task import Task

if TYPE_CHECKING:
    from cliport.sim.environment import Environment

GAP = 0.01  # meters: between neighbors, and from the container's outline
DEPTH = 0.05  # meters: height of a container, and of the boxes in it
SMALLEST, LARGEST = 0.05, 0.3  # meters: sides of a container
MASS, FRICTION = 0.1, 1.0  # kilograms; of a box

Cell = tuple[np.ndarray, np.ndarray]
"""Center and sides (2,) of a rectangle in meters, in the container's frame."""


def cells(rng: np.random.Generator, sides: Sequence[float], smallest: float = SMALLEST) -> list[Cell]:
    """Cells of a container with outline `sides` (x, y), by random cuts, as in the original.

    A cell is cut across one of its sides that are longer than twice `smallest`, drawn evenly, at an even place that leaves `smallest` on
    both sides of the cut; half of GAP is then taken from each part.
    """
    reach = np.array(sides, float) / 2 - GAP
    return divided(rng, -reach, reach, smallest)


def divided(rng: np.random.Generator, low: np.ndarray, high: np.ndarray, smallest: float) -> list[Cell]:
    """The cells of a rectangle with corners `low` and `high` (2,)."""
    long = np.flatnonzero(high - low > 2 * smallest)
    if not len(long):
        return [((low + high) / 2, high - low)]
    axis = long[rng.integers(len(long))]
    cut = rng.uniform(low[axis] + smallest, high[axis] - smallest)
    before, after = high.copy(), low.copy()
    before[axis], after[axis] = cut - GAP / 2, cut + GAP / 2
    return [*divided(rng, low, before, smallest), *divided(rng, after, high, smallest)]


def add_container(task: Task, env: Environment, sides: Sequence[float]) -> Pose:
    """Add a fixed container with outline `sides` (x, y), and return the pose of its middle."""
    return env.pose(task.put(env, container((*sides, DEPTH)), category="fixed", size=(*sides, DEPTH)))


class PackingBoxes(Task):
    """Pack all boxes into the container, which they fill."""

    max_steps = 20
    top = 0.08
    """Height above the container's middle below which points count, in meters."""
    scene: tuple[str, ...] = (
        f"a brown container, {SMALLEST} to {LARGEST} m wide and deep, {DEPTH} m high, with walls of 0.002 m, fixed",
        f"1 to 25 boxes (5 on average, rarely more than 17) of {MASS} kg, movable, {DEPTH} m high: the container's inside, {GAP} m less at "
        f"each side, cut at random; {GAP} m between parts",
    )
    aim: tuple[str, ...] = ("1: all boxes in the container, each by its share of all boxes' points",)
    templates: tuple[str, ...] = (language.PACKING_BOXES,)
    inside = f"the share of the boxes' points (a grid of 0.02 m) in the container and less than {top} m above its middle"

    def vocabulary(self, mode: str) -> dict[str, Sequence[str]]:
        return {"colours": [name for name in ALL if name != "brown"]}

    def build(self, env: Environment) -> None:
        sides = env.rng.uniform(SMALLEST, LARGEST, 2).tolist()
        middle = add_container(self, env, sides)
        parts = cells(env.rng, sides)
        colors = self.choose_colors(env.rng, len(parts))
        packed, targets, points = [], [], {}
        for (center, extent), color in zip(parts, colors, strict=True):
            shape = box((*extent, DEPTH), MASS, FRICTION)
            body = self.put(env, shape, COLORS[color])
            packed.append(Piece(body, 0.0))
            targets.append(multiply(middle, pose((*center, DEPTH / 2))))
            points[body] = box_points(shape.size)
        self.add_others(env, parts)
        zone = Zone(middle, (sides[0], sides[1]), self.top)
        self.goals.append(Goal(packed, targets, np.eye(len(packed), dtype=bool), 1.0, self.instruction(), zone=zone, points=points))

    def choose_colors(self, rng: np.random.Generator, count: int) -> list[str]:
        """The color of each box."""
        return [str(name) for name in rng.choice(self.vocabulary(self.mode)["colours"], count)]

    def add_others(self, env: Environment, parts: Sequence[Cell]) -> None:
        """Add what is not to be packed."""

    def instruction(self) -> str:
        return language.PACKING_BOXES


class PackingBoxesPairs(PackingBoxes):
    """Pack the boxes of one or two named colors; boxes of other colors are distractors."""

    distractors = 4
    top = 0.0525
    scene = (*PackingBoxes.scene, "two different colours (one, if there is a single box): each box has either, so one may be absent")
    clutter = f"{distractors} boxes with the sizes of random ones of the container's, in colours of the list other than those two; movable"
    aim = ("1: all boxes of the two colours in the container, each by its share of these boxes' points",)
    templates = (language.PACKING_BOXES_PAIRS,)
    inside = f"the share of these boxes' points (a grid of 0.02 m) in the container and less than {top} m above its middle"

    def vocabulary(self, mode: str) -> dict[str, Sequence[str]]:
        return Task.vocabulary(self, mode)

    def choose_colors(self, rng: np.random.Generator, count: int) -> list[str]:
        self.wanted = draw(rng, self.vocabulary(self.mode)["colours"], min(2, count))
        return [str(name) for name in rng.choice(self.wanted, count)]

    def add_others(self, env: Environment, parts: Sequence[Cell]) -> None:
        others = [name for name in self.vocabulary(self.mode)["colours"] if name not in self.wanted]
        for number in env.rng.integers(len(parts), size=self.distractors).tolist():
            color = others[env.rng.integers(len(others))]
            self.put(env, box((*parts[number][1], DEPTH), MASS, FRICTION), COLORS[color])

    def instruction(self) -> str:
        return language.PACKING_BOXES_PAIRS.format(colors=language.listed(self.wanted))
