"""Splits whose objects have names of classes, in forms that state no ids."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from .dataset import Box, Dataset, Split, Thing
from .findings import Findings
from .places import numbered, plain


@dataclass
class Named:
    """An object whose class is still a name."""

    picture: int
    """Its place in `Split.pictures`."""
    name: str
    box: Box
    polygon: list[float] | None = None
    crowd: bool = False


@dataclass
class Draft:
    """A split before the classes are known."""

    split: Split
    objects: list[Named] = field(default_factory=list)


def used(drafts: Iterable[Draft]) -> set[str]:
    """The classes that occur."""
    return {thing.name for draft in drafts for thing in draft.objects}


def in_order(names: set[str], findings: Findings) -> list[str]:
    """The classes that occur, where nothing lists them: by number where they are numbers, or else alphabetically."""
    if names:
        findings.add("class-names-unknown", ", ".join(sorted(names)[:8]))
    if names and all(name.isdecimal() for name in names):
        return [str(number) for number in range(max(map(int, names)) + 1)]
    return sorted(names)


def finish(dataset: Dataset, drafts: Iterable[Draft], names: list[str], findings: Findings) -> Dataset:
    """Give each object its class, and note those whose name is not listed."""
    dataset.classes = names
    places = {name: place for place, name in reversed([*enumerate(names)])}
    for draft in drafts:
        split = draft.split
        dataset.splits[split.name] = split
        split.categories = numbered(names)
        for thing in draft.objects:
            if thing.name in places:
                mask = [thing.polygon] if thing.polygon else None
                split.things.append(Thing(thing.picture, places[thing.name], thing.box, crowd=thing.crowd, segmentation=mask))
            else:
                alike = next((name for name in names if plain(name) == plain(thing.name)), None)
                hint = f" (the list has {alike!r})" if alike else ""
                findings.add("annotation-without-class", f"{split.pictures[thing.picture].file}: {thing.name!r}{hint}", split.name)
    return dataset
