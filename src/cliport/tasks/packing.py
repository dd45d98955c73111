"""Tasks that pack chosen objects into a container: flat shapes and named objects.

The named objects are the original's scans where their folder is given, else stand-ins, see `objects`; tasks with stand-ins say so in
every `info`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cliport.sim.poses import Pose, multiply, pose
from cliport.sim.shapes import letter, scaled

from ..errors import NoRoomError
from . import language
from .boxes import DEPTH, GAP, add_container, cells
from .colors import COLORS, draw, palette
from .differences import Difference
from .goal import ORIGIN, Goal, Piece, Zone, box_points
from .kits import OUTLINES, shapes
from .objects import STAND_INS, named_object, objects
from .task import Task

if TYPE_CHECKING:
    from cliport.sim.environment import Environment

TILT = pose(quaternion=(-0.1736482, 0.0, 0.0, 0.9848078))  # 20 degrees about the object's x axis
DROP, FALL = 0.05, 480  # meters above its place from which an object falls, and steps in which it comes to rest
SMALLEST_CELL = 0.08  # meters
SCALE = 5.0  # of a scan, per meter of its cell's longest side


@dataclass(frozen=True)
class Dropped:
    """A named object on the table."""

    name: str
    body: int
    points: np.ndarray
    """(P, 3) in its own frame: the grid of a box with its extents, wherever its origin is."""


class PackingShapes(Task):
    """Pack the one of five shapes that the instruction names."""

    max_steps = 1
    count = 5
    room = (0.08, 0.08, 0.02)  # meters: what is kept free for a shape
    sizes = (0.1, 0.15)
    """Least and largest side of the container in meters."""
    scene = (
        f"a brown container, {sizes[0]} to {sizes[1]} m wide and deep, {DEPTH} m high, fixed",
        f"{count} different shapes, each in another colour, movable",
    )
    clutter = f"the other {count - 1} shapes"
    aim = ("1: the first shape in the container",)
    templates = (language.PACKING_ONE.format(thing="{shape}"),)
    inside = "whether the shape's origin is in the container, less than 0.3 m above its middle"
    differs = (OUTLINES,)

    def vocabulary(self, mode: str) -> dict[str, Sequence[str]]:
        return {"shapes": shapes(mode), "colours": palette("unseen", mode)}

    def build(self, env: Environment) -> None:
        words = self.vocabulary(self.mode)
        names, colors = (draw(env.rng, words[kind], self.count) for kind in ("shapes", "colours"))
        sides = env.rng.uniform(*self.sizes, 2).tolist()
        middle = add_container(self, env, sides)
        bodies = [self.put(env, letter(name), COLORS[color], size=self.room) for name, color in zip(names, colors, strict=True)]
        wanted = {bodies[0]: ORIGIN}
        self.goals.append(pack(wanted, middle, sides, 1.0, language.PACKING_ONE.format(thing=names[0])))


class PackingObjectsSeq(Task):
    """Pack named objects one at a time, in the order of the instructions; other objects are distractors."""

    sizes = (0.2, 0.35)
    """Least and largest side of the container in meters."""
    max_steps = 9
    steps = "goals + 1"
    scene: tuple[str, ...] = (
        f"a brown container, {sizes[0]} to {sizes[1]} m wide and deep, {DEPTH} m high, fixed",
        f"its inside, {GAP} m less at each side, is cut at random into n = 4 to 9 cells, none narrower than {SMALLEST_CELL - GAP / 2} m",
        f"n objects of 0.1 kg, {SCALE:g} times as large as in life per meter of their cell's longest side; movable",
        f"they are dropped from {DROP} m with a tilt of 20 degrees and have {FALL} steps to come to rest; one without room is left out",
    )
    clutter = "the n - k objects that are not asked for"
    aim: tuple[str, ...] = (
        "k, from 1 to n - 1 evenly: one object each in the container, in order; 1/k each, complete at 1 - 0.01 k of it",
    )
    templates: tuple[str, ...] = (language.PACKING_ONE.format(thing="{object}"),)
    inside = (
        "the share of the objects' points (a grid of 0.02 m in what it extends over) in the container, less than 0.3 m above its middle"
    )

    def vocabulary(self, mode: str) -> dict[str, Sequence[str]]:
        return {"objects": objects(self.split, mode)}

    @property
    def differs(self) -> tuple[Difference, ...]:  # type: ignore[override]
        return () if self.assets else (STAND_INS,)

    def build(self, env: Environment) -> None:
        sides = env.rng.uniform(*self.sizes, 2).tolist()
        middle = add_container(self, env, sides)
        parts = cells(env.rng, sides, SMALLEST_CELL)
        names = self.choose(env.rng, len(parts))
        tried = [self.drop(env, name, extent) for name, (_, extent) in zip(names, parts, strict=True)]
        self.state_goals(env.rng, [found for found in tried if found is not None], middle, sides)
        env.simulate(FALL)

    def choose(self, rng: np.random.Generator, count: int) -> list[str]:
        """The names of the objects, in order."""
        return draw(rng, self.vocabulary(self.mode)["objects"], count)

    def drop(self, env: Environment, name: str, cell: np.ndarray) -> Dropped | None:
        """Add an object as large as its cell (2,) allows, above a free place of the cell's size; None if there is no such place."""
        place = env.random_pose((*cell, DEPTH))
        if place is None:
            return None
        shape = scaled(named_object(name, self.assets), SCALE * max(*cell, DEPTH))
        body = env.add(shape, multiply(pose((0, 0, DROP)), multiply(place, TILT)))
        return Dropped(name, body, box_points(shape.size) + shape.middle)

    def state_goals(self, rng: np.random.Generator, dropped: Sequence[Dropped], middle: Pose, sides: Sequence[float]) -> None:
        """State which of the objects belong in the container."""
        if len(dropped) < 2:
            raise NoRoomError("no room for two objects")
        wanted = dropped[: int(rng.integers(1, len(dropped)))]
        for one in wanted:
            words = language.PACKING_ONE.format(thing=one.name)
            self.goals.append(pack({one.body: one.points}, middle, sides, 1 / len(wanted), words))
        self.max_steps = len(wanted) + 1


class PackingObjectsGroup(PackingObjectsSeq):
    """Pack all objects of one name; objects of other names are distractors."""

    steps = "objects of the name + 1"
    repeats = 2
    clutter = "the objects of other names, with two or more of one of them"
    aim = ("1: all objects of one name in the container, usually two, each by its share of these objects' points",)
    templates = (language.PACKING_GROUP.format(thing="{object}"),)

    def choose(self, rng: np.random.Generator, count: int) -> list[str]:
        """Names drawn with replacement; the first objects then get one of these names, and the next ones another or the same."""
        names = rng.choice(self.vocabulary(self.mode)["objects"], count).tolist()
        self.wanted, other = draw(rng, names, 2)
        names[: self.repeats] = [self.wanted] * self.repeats
        names[self.repeats : 2 * self.repeats] = [other] * self.repeats
        return list(names)

    def state_goals(self, rng: np.random.Generator, dropped: Sequence[Dropped], middle: Pose, sides: Sequence[float]) -> None:
        points = {one.body: one.points for one in dropped if one.name == self.wanted}
        if not points:
            raise NoRoomError("no room for an object that is asked for")
        self.goals.append(pack(points, middle, sides, 1.0, language.PACKING_GROUP.format(thing=self.wanted)))
        self.max_steps = len(points) + 1


def pack(points: Mapping[int, np.ndarray], middle: Pose, sides: Sequence[float], reward: float, words: str) -> Goal:
    """The goal of having these bodies' points in a container; the oracle puts each into its middle."""
    pieces = [Piece(body, 0.0) for body in points]
    zone = Zone(middle, (sides[0], sides[1]))
    return Goal(pieces, [middle] * len(pieces), np.eye(len(pieces), dtype=bool), reward, words, zone=zone, points=points)
