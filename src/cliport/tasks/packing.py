"""Tasks that pack chosen objects into a container: flat shapes and named objects.

The named objects are stand-ins for scanned household objects, see `objects`; tasks with them say so in every `info`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cliport.sim.poses import Pose, multiply, pose
from cliport.sim.shapes import letter

from . import language
from .boxes import add_container, cells
from .colors import ALL, COLORS, draw
from .goal import Goal, Piece, Zone
from .kits import shapes
from .objects import NOTE, named_object, objects
from .rules import Difference
from .task import Task

if TYPE_CHECKING:
    from cliport.sim.environment import Environment

DEPTH = 0.05  # meters
NAMED_OBJECTS = Difference("objects", "56 textured scans", NOTE, "the scans are not part of this project")


class PackingShapes(Task):
    """Pack the one of five shapes that the instruction names."""

    max_steps = 1

    def build(self, env: Environment) -> None:
        inside = (*env.rng.uniform(0.1, 0.15, 2), DEPTH)
        floor = add_container(self, env, inside)
        names = [str(name) for name in env.rng.choice(shapes(self.mode), 5, replace=False)]
        colors = draw(env.rng, ALL, 5)
        bodies = [self.put(env, letter(name), COLORS[color]) for name, color in zip(names, colors, strict=True)]
        words = language.PACKING_ONE.format(thing=names[0])
        self.goals.append(pack(env, [bodies[0]], [pose()], floor, inside, 1.0, words))


class PackingObjectsSeq(Task):
    """Pack named objects one at a time, in the order of the instructions; other objects are distractors."""

    max_steps = 10
    differs = (NAMED_OBJECTS,)

    def vocabulary(self, mode: str) -> dict[str, Sequence[str]]:
        return {"objects": objects(self.split, mode)}

    def build(self, env: Environment) -> None:
        inside, floor, places = self.add_box(env, int(env.rng.integers(2, 6)))
        names = draw(env.rng, objects(self.split, self.mode), len(places) + self.distractors(env.rng))
        bodies = [self.put(env, named_object(name)) for name in names]
        for body, name, place in zip(bodies, names, places, strict=False):
            words = language.PACKING_ONE.format(thing=name)
            self.goals.append(pack(env, [body], [place], floor, inside, 1 / len(places), words))

    def add_box(self, env: Environment, count: int) -> tuple[Sequence[float], Pose, list[Pose]]:
        """Add the container, and return its inner extents, its floor, and up to `count` places in the floor's frame."""
        inside = (*env.rng.uniform(0.2, 0.3, 2), DEPTH)
        floor = add_container(self, env, inside)
        return inside, floor, [pose((*middle, 0)) for middle, _ in cells(env.rng, inside[:2], smallest=0.1, most=count)]

    def distractors(self, rng: np.random.Generator) -> int:
        return int(rng.integers(1, 4))


class PackingObjectsGroup(PackingObjectsSeq):
    """Pack all objects of one name; objects of other names are distractors."""

    max_steps = 3

    def build(self, env: Environment) -> None:
        inside, floor, places = self.add_box(env, int(env.rng.integers(2, 4)))
        wanted, *others = draw(env.rng, objects(self.split, self.mode), 1 + self.distractors(env.rng))
        bodies = [self.put(env, named_object(wanted)) for _ in places]
        for name in others:
            self.put(env, named_object(name))
        self.goals.append(pack(env, bodies, places, floor, inside, 1.0, language.PACKING_GROUP.format(thing=wanted)))


def pack(
    env: Environment, bodies: Sequence[int], places: Sequence[Pose], floor: Pose, inside: Sequence[float], reward: float, words: str
) -> Goal:
    """The goal of having bodies in a container; their centers count."""
    targets = [multiply(floor, multiply(place, pose((0, 0, env.size(body)[2] / 2)))) for body, place in zip(bodies, places, strict=True)]
    points = {body: np.zeros((1, 3)) for body in bodies}
    return Goal(
        [Piece(body, 0.0) for body in bodies],
        targets,
        np.eye(len(bodies), dtype=bool),
        reward,
        words,
        zone=Zone(floor, (inside[0], inside[1])),
        points=points,
    )
