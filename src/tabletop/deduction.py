"""Clues in a scene and inferences from them: true according to the scene's poses, and worded by rules.

A clue is about a region, the objects that it names. No other object in the scene has the same name, so an inference belongs to exactly
one region of its image. Inferences are what a person would conclude about how the scene came about or what would happen next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .language import CLEARLY, Relation, article, name, relations, several
from .scene import TALL, Scene, Thing

CLEAR = 0.05  # meters by which an object must be nearer than all others
RESTS = 0.004  # meters above the table up to which an object rests on it


@dataclass(frozen=True)
class Observation:
    """A clue about some objects, and an inference from it."""

    things: tuple[int, ...]
    """The objects' numbers in the mask."""
    clue: str
    inference: str


def observations(scene: Scene) -> list[Observation]:
    """Everything that the rules can derive: arrangements first, single objects last; never empty."""
    counts = Counter(name(thing) for thing in scene.things)
    single = [thing for thing in scene.things if counts[name(thing)] == 1]
    known = [relation for relation in relations(scene) if {relation.subject, relation.object} <= set(single)]
    supports = [relation for relation in known if relation.name in ("on", "in")]
    found = [observation for relation in supports for observation in of_support(relation)]
    for noun in (noun for noun, count in counts.items() if count > 1):
        alike = tuple(thing.number for thing in scene.things if name(thing) == noun)
        found.append(Observation(alike, several(noun, len(alike)), f"Whoever laid the table had more than one {noun}."))
    for thing in single:
        alone = all(apart(thing, other) for other in scene.things if other is not thing)
        found += [Observation((thing.number,), *told) for told in of_thing(thing, alone)]
    return [*found, *of_distance(scene, single), *of_size(scene, single)]


def of_support(relation: Relation) -> Iterator[Observation]:
    upper, lower = relation.subject, relation.object
    both = (upper.number, lower.number)
    if relation.name == "in":
        clue = f"{article(name(upper))} in {article(name(lower))}"
        yield Observation(both, clue, f"Someone has put the {name(upper)} away in the {name(lower)}.")
        yield Observation(both, clue, f"The {name(lower)} has to be emptied before it can hold anything but the {name(upper)}.")
    else:
        clue = f"{article(name(upper))} on top of {article(name(lower))}"
        yield Observation(both, clue, f"Someone has stacked the {name(upper)} on the {name(lower)}.")
        yield Observation(both, clue, f"The {name(upper)} was put down after the {name(lower)}.")


def of_thing(thing: Thing, alone: bool) -> Iterator[tuple[str, str]]:
    """Clues and inferences about one object; `alone` if nothing can be on it, in it or next to it."""
    one, noun, shape = article(name(thing)), name(thing), thing.kind.shape
    if shape in TALL and abs(thing.uprightness) < ON_ITS_SIDE:
        yield f"{one} lying on its side", f"The {noun} has fallen over."
    elif shape in FIGURES and (thing.upright or shape == "ball") and (alone or shape not in BARE):
        clue, inference = FIGURES[shape]
        yield clue.format(one), inference.format(noun)
    elif thing.bottom < RESTS:
        yield one, f"Someone has left the {noun} on the table."


ON_ITS_SIDE = 0.5
"""Cosine of the tilt below which a tall object, either way up, no longer stands."""
FIGURES = {
    "cube": ("{} with nothing on it", "Something else could be stacked on the {}."),
    "cylinder": ("{} with nothing on it", "Something else could be stacked on the {}."),
    "plate": ("{} with nothing on it", "Nobody has been served on the {} yet."),
    "bowl": ("{} with nothing in it", "Nobody has put anything into the {} yet."),
    "ball": ("{} with nothing beside it", "The {} would roll away if it were pushed."),
    "cone": ("the pointed tip of {}", "Nothing would stay on top of the {}."),
    "pyramid": ("the pointed tip of {}", "Nothing would stay on top of the {}."),
    "bottle": ("{} standing upright", "The {} would fall over if the table were bumped."),
    "cup": ("the open top of {}", "The {} could be filled."),
    "ring": ("the hole in {}", "The {} could be hung on a hook."),
    "star": ("the five tips of {}", "The {} would not roll away if it were pushed."),
    "cross": ("the four arms of {}", "The {} would not roll away if it were pushed."),
}
BARE = ("cube", "cylinder", "plate", "bowl", "ball", "cup")
"""Shapes whose clue is true only if nothing is on them, in them or next to them."""


def apart(one: Thing, other: Thing) -> bool:
    """Whether there is space between two objects, however they are oriented."""
    gap = float(np.hypot(*np.subtract(one.position, other.position)[:2]))
    return gap > sum(max(thing.kind.form.radius, thing.kind.form.height / 2) * thing.kind.unit for thing in (one, other))


def of_distance(scene: Scene, single: list[Thing]) -> Iterator[Observation]:
    """The object that is clearly nearest to the viewer."""
    if len(scene.things) < 2:
        return
    _, away = scene.camera.axes
    distances = sorted((float(np.dot(thing.position[:2], away)), thing.number) for thing in scene.things)
    (first, number), (second, _) = distances[:2]
    for thing in single:
        if thing.number == number and second - first > CLEAR:
            clue = f"{article(name(thing))} in front of everything else"
            yield Observation((number,), clue, f"The {name(thing)} is the easiest to reach from here.")


def of_size(scene: Scene, single: list[Thing]) -> Iterator[Observation]:
    """The object that is clearly the largest."""
    if len(scene.things) < 2:
        return
    second, first = sorted(scene.things, key=lambda thing: thing.kind.extent)[-2:]
    if first in single and first.kind.extent > CLEARLY * second.kind.extent:
        yield Observation(
            (first.number,), f"{article(name(first))} larger than everything else", f"The {name(first)} takes up the most room."
        )
