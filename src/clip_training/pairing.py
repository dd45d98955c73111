"""Which image goes with which text, by their names alone.

The nearest partner comes first: the same stem in the same folder; then in the same place of a mirrored tree (images/a/0.jpg with
texts/a/0.txt); then, wherever it is, where the whole data set has the stem once on either side; at last the same number in a mirrored tree
(img/image1.jpg with text/text1.txt). What could go with several is in no pair.
"""

from __future__ import annotations

import functools
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

NUMBERED = re.compile(r"(.*?)(\d+)")
Folder = tuple[str, ...]
Place = tuple[Folder, Folder]
"""A folder without the name of one of those that it is in, or of itself: what stands before that, and after."""


@dataclass(frozen=True, eq=False, slots=True)  # there may be millions: they are hashed by identity
class Entry:
    """A file by its name."""

    name: PurePosixPath
    folder: Folder
    stem: str


Entries = dict[Entry, None]
"""A set in order."""
Labels = Mapping[Entry, Hashable]
"""What makes a file the same as another: its stem, or its number."""
Keys = Callable[[Entry], Iterable[Hashable]]
"""What a file is found by; an image and a text that share one could be a pair."""
Rule = Callable[[Entries, Entries], Keys]
"""Keys, given all images and texts there are."""


@dataclass
class Pairing:
    """Pairs of image and text, and why each other file is in none."""

    pairs: list[tuple[PurePosixPath, PurePosixPath]] = field(default_factory=list)
    ambiguous: dict[PurePosixPath, str] = field(default_factory=dict)
    alone: dict[PurePosixPath, str] = field(default_factory=dict)

    @property
    def left_out(self) -> list[str]:
        return [f"{name}: {why}" for name, why in sorted({**self.ambiguous, **self.alone}.items())]


def paired(image_names: Iterable[PurePosixPath], text_names: Iterable[PurePosixPath]) -> Pairing:
    """Pair images with texts. The pairs are in order of the images' stems, equal ones of their paths."""
    images, texts = entries_of(image_names), entries_of(text_names)
    everything = dict(images), dict(texts)
    found = Pairing()
    for rule in (same_folder, same_place, same_stem):
        take(found, images, texts, rule, everything)
    refuse(found, images, texts)
    take(found, images, texts, same_number, everything)
    found.alone = {entry.name: "there is no text for it" for entry in images} | {entry.name: "there is no image for it" for entry in texts}
    found.pairs.sort(key=lambda pair: (pair[0].stem, str(pair[0])))
    return found


def entries_of(names: Iterable[PurePosixPath]) -> Entries:
    return {Entry(name, name.parts[:-1], name.stem): None for name in names}


def take(found: Pairing, images: Entries, texts: Entries, rule: Rule, everything: tuple[Entries, Entries]) -> None:
    """Pair images and texts that are each other's only candidate by a rule; what has several, or is one of several, is ambiguous."""
    if not images or not texts:
        return
    keys = rule(*everything)
    sharing: dict[Hashable, tuple[list[Entry], list[Entry]]] = defaultdict(lambda: ([], []))
    for side, entries in enumerate((images, texts)):
        for entry in entries:
            for key in keys(entry):
                sharing[key][side].append(entry)
    candidates: dict[Entry, Entries] = defaultdict(dict)
    for sides in sharing.values():
        for mine, theirs in (sides, sides[::-1]):
            for entry in mine if theirs else ():
                candidates[entry].update(dict.fromkeys(theirs[:2]))  # two are too many already
    for entry, partners in candidates.items():
        first, *others = partners
        if others or len(candidates[first]) > 1:
            names = " or ".join(str(partner.name) for partner in partners)
            found.ambiguous[entry.name] = f"could go with {names}" + ("" if others else ", as could another")
        elif entry in images:
            found.pairs.append((entry.name, first.name))
    for entry in candidates:
        images.pop(entry, None)
        texts.pop(entry, None)


def refuse(found: Pairing, images: Entries, texts: Entries) -> None:
    """Take out what shares its stem with something far away, where the stem says too little because other files have it too."""
    stems = [{entry.stem: entry.name for entry in entries} for entries in (images, texts)]
    for entries, others in ((images, stems[1]), (texts, stems[0])):
        for entry in [entry for entry in entries if entry.stem in others]:
            found.ambiguous[entry.name] = f"could go with {others[entry.stem]}, but other files have this stem too"
            del entries[entry]


def same_folder(images: Entries, texts: Entries) -> Keys:
    """The stem in the folder."""
    return lambda entry: [(entry.folder, entry.stem)]


def same_place(images: Entries, texts: Entries) -> Keys:
    """The stem in a mirrored tree."""
    return mirrored({entry: entry.stem for entry in images}, {entry: entry.stem for entry in texts})


def same_stem(images: Entries, texts: Entries) -> Keys:
    """The stem, where either side has it once."""
    counts = [Counter(entry.stem for entry in entries) for entries in (images, texts)]
    return lambda entry: [entry.stem] if counts[0][entry.stem] == counts[1][entry.stem] == 1 else []


def same_number(images: Entries, texts: Entries) -> Keys:
    """The number in a mirrored tree."""
    return mirrored(numbers_of(images), numbers_of(texts))


def numbers_of(entries: Iterable[Entry]) -> Labels:
    """The numbers of files that have one after the same word as all that have one in their folder."""
    matches = {entry: match for entry in entries if (match := NUMBERED.fullmatch(entry.stem))}
    words: dict[Folder, set[str]] = defaultdict(set)
    for entry, match in matches.items():
        words[entry.folder].add(match[1])
    return {entry: int(match[2]) for entry, match in matches.items() if len(words[entry.folder]) == 1}


def mirrored(images: Labels, texts: Labels) -> Keys:
    """Keys of files in two trees whose folders have the same names but for one, below which one tree has images only, the other texts.

    A file that is the same as none on the other side, such as a README, is no part of a tree. Where a third tree has the same file,
    there is no key.
    """
    shared = set(images.values()) & set(texts.values())
    sides = [{entry: label for entry, label in labels.items() if label in shared} for labels in (images, texts)]
    holding = [{folder[:depth] for folder in {entry.folder for entry in side} for depth in range(1, len(folder) + 1)} for side in sides]
    mixed = holding[0] & holding[1]
    counts = [Counter((place, label) for entry, label in side.items() for place, _ in places_of(entry.folder)) for side in sides]
    labels = {**sides[0], **sides[1]}

    def keys(entry: Entry) -> list[Hashable]:
        if entry not in labels:
            return []
        found = [(place, labels[entry]) for place, tree in places_of(entry.folder) if tree not in mixed]
        return [key for key in found if counts[0][key] == counts[1][key] == 1]

    return keys


@functools.cache
def places_of(folder: Folder) -> list[tuple[Place, Folder]]:
    """A folder without each of its names, and the tree that this name is the top of."""
    return [((folder[:depth], folder[depth + 1 :]), folder[: depth + 1]) for depth in range(len(folder))]
