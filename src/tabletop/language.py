"""True statements about a settled scene: relations from poses, and sentences from a small grammar.

Left, right, in front of and behind are relative to the viewer: they follow the camera's axes on the table, not the world's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from .scene import Scene, Thing

MARGIN = 0.03  # meters by which an object must be further left, or nearer, before a sentence says so
CLEARLY = 1.25  # ratio of two extents beyond which one object is called larger than another
WORDS = {
    "left": ("left of", "to the left of"),
    "right": ("right of", "to the right of"),
    "front": ("in front of",),
    "behind": ("behind",),
    "on": ("on top of", "on"),
    "in": ("in", "inside"),
}
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight")


@dataclass(frozen=True)
class Relation:
    """`subject` is in the relation `name` (a key of WORDS) to `object`."""

    subject: Thing
    name: str
    object: Thing


def relations(scene: Scene) -> Iterator[Relation]:
    """Every relation that holds, in the order of the objects. Support excludes the other relations of a pair."""
    right, away = scene.camera.axes
    for one, other in permutations(scene.things, 2):
        support = support_of(one, other)
        if support:
            yield Relation(one, support, other)
        elif not support_of(other, one):
            offset = np.subtract(one.position, other.position)[:2]
            sideways, depth = offset @ right, offset @ away
            if abs(sideways) > max(MARGIN, abs(depth)):
                yield Relation(one, "left" if sideways < 0 else "right", other)
            elif abs(depth) > max(MARGIN, abs(sideways)):
                yield Relation(one, "front" if depth < 0 else "behind", other)


def support_of(one: Thing, other: Thing) -> str | None:
    """`on` or `in` if the center of `one` is above the area that `other` covers, and on top of or inside it.

    Only what stands upright is said to stand on something else, or to carry it.
    """
    reach = np.hypot(*np.subtract(one.position, other.position)[:2])
    rise = one.position[2] - other.position[2]
    kind, below = one.kind, other.kind
    if below.form.hollow and reach < 0.5 * below.form.radius * below.unit and rise > 0:
        return "in"
    touching = below.form.height * below.unit / 2 + kind.form.height * kind.unit / 2
    if one.upright and other.upright and below.form.flat_top and reach < below.form.radius * below.unit and abs(rise - touching) < 0.012:
        return "on"
    return None


def captions(scene: Scene, rng: np.random.Generator, count: int) -> list[str]:
    """Up to `count` different true sentences; the first lists all objects from left to right.

    The others are drawn at random: relations (support before the others), counts and sizes.
    """
    sentences = [listing(scene)]
    known = [relation for relation in relations(scene) if name(relation.subject) != name(relation.object)]
    order = [known[i] for i in rng.permutation(len(known))]
    order.sort(key=lambda relation: relation.name not in ("on", "in"))
    once = {frozenset((relation.subject.number, relation.object.number)): relation for relation in reversed(order)}
    said = [sentence(relation, rng) for relation in order if relation in once.values()]
    others = [*said[2:], counting(scene), sizes(scene)]
    rest = [*said[:2], *(others[i] for i in rng.permutation(len(others)))]
    for text in rest:
        if text and text not in sentences:
            sentences.append(text)
    return sentences[:count]


def name(thing: Thing) -> str:
    return f"{thing.kind.colour} {thing.kind.shape}"


def article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def plural(noun: str) -> str:
    return noun + ("es" if noun.endswith("s") else "s")


def several(noun: str, number: int) -> str:
    return article(noun) if number == 1 else f"{NUMBERS[number]} {plural(noun)}"


def joined(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def listing(scene: Scene) -> str:
    """All objects, with equal ones counted together, ordered by the leftmost of them in the image."""
    counts = Counter(name(thing) for thing in sorted(scene.things, key=lambda thing: scene.camera.column(thing.position)))
    return joined([several(noun, number) for noun, number in counts.items()]) + " on a table"


def sentence(relation: Relation, rng: np.random.Generator) -> str:
    words = WORDS[relation.name]
    return f"{article(name(relation.subject))} {words[rng.integers(len(words))]} {article(name(relation.object))}"


def counting(scene: Scene) -> str:
    """The number of objects of each shape."""
    counts = Counter(thing.kind.shape for thing in scene.things)
    return joined([several(shape, number) for shape, number in sorted(counts.items())])


def sizes(scene: Scene) -> str | None:
    """The object that is clearly larger, or smaller, than each of the others, by the ball that encloses it; None if there is none."""
    if len(scene.things) < 2:
        return None
    least, *_, most = ordered = sorted(scene.things, key=lambda thing: thing.kind.extent)
    for thing, size, rival in ((least, "small", ordered[1]), (most, "large", ordered[-2])):
        if max(thing.kind.extent, rival.kind.extent) > CLEARLY * min(thing.kind.extent, rival.kind.extent):
            return f"{article(f'{size} {name(thing)}')} among {NUMBERS[len(scene.things)]} objects"
    return None
