"""Which image goes with which text, judged by their names alone.

The nearest match comes first: the same stem in the same folder; then the same stem at the same path of a mirrored tree (images/a/0.jpg
with texts/a/0.txt); then the same stem anywhere, if the dataset has only one image and one text with it; finally the same number in a
mirrored tree (img/image1.jpg with text/text1.txt). A file with several possible partners is left out: a wrong pair would be learned.
"""

from __future__ import annotations

import functools
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

NUMBERED = re.compile(r"(.*?)(\d+)")
FolderPath = tuple[str, ...]
MaskedPath = tuple[FolderPath, FolderPath]
"""A folder's path with one of its names masked: the names before the masked one, and those after it."""


@dataclass(frozen=True, eq=False, slots=True)  # there may be millions, so they are hashed by identity
class Entry:
    """A file, by its name."""

    name: PurePosixPath
    folder: FolderPath
    stem: str


Entries = dict[Entry, None]
"""An ordered set."""
Labels = Mapping[Entry, Hashable]
"""What two files must share to match: a stem or a number."""
Keys = Callable[[Entry], Iterable[Hashable]]
"""A file's keys; an image and a text that share a key are candidates for each other."""
Rule = Callable[[Entries, Entries], Keys]
"""Makes `Keys` from all images and all texts of the dataset."""


@dataclass
class Pairing:
    """Pairs of image and text, and for each other file why it is in no pair."""

    pairs: list[tuple[PurePosixPath, PurePosixPath]] = field(default_factory=list)
    ambiguous: dict[PurePosixPath, str] = field(default_factory=dict)
    alone: dict[PurePosixPath, str] = field(default_factory=dict)

    @property
    def left_out(self) -> list[str]:
        return [f"{name}: {why}" for name, why in sorted({**self.ambiguous, **self.alone}.items())]


def paired(image_names: Iterable[PurePosixPath], text_names: Iterable[PurePosixPath]) -> Pairing:
    """Pair images with texts. The pairs are sorted by the images' stems, then by their paths."""
    images, texts = entries_of(image_names), entries_of(text_names)
    everything = dict(images), dict(texts)
    found = Pairing()
    for rule in (same_folder, mirrored_stem, unique_stem):
        apply_rule(found, images, texts, rule, everything)
    refuse(found, images, texts)
    apply_rule(found, images, texts, mirrored_number, everything)
    found.alone = {entry.name: "there is no text for it" for entry in images} | {entry.name: "there is no image for it" for entry in texts}
    found.pairs.sort(key=lambda pair: (pair[0].stem, str(pair[0])))
    return found


def entries_of(names: Iterable[PurePosixPath]) -> Entries:
    return {Entry(name, name.parts[:-1], name.stem): None for name in names}


def apply_rule(found: Pairing, images: Entries, texts: Entries, rule: Rule, everything: tuple[Entries, Entries]) -> None:
    """Pair images and texts that are each other's only candidate, and take them out; with several candidates they are ambiguous."""
    if not images or not texts:
        return  # a rule's keys take time to make
    candidates = candidates_of(images, texts, rule(*everything))
    for entry, partners in candidates.items():
        first, *others = partners
        if others or len(candidates[first]) > 1:
            names = " or ".join(str(partner.name) for partner in partners)
            found.ambiguous[entry.name] = f"could go with {names}" + ("" if others else ", as could another file")
        elif entry in images:
            found.pairs.append((entry.name, first.name))
    for entry in candidates:
        images.pop(entry, None)
        texts.pop(entry, None)


def candidates_of(images: Entries, texts: Entries, keys: Keys) -> Mapping[Entry, Entries]:
    """Up to two candidates for every file that shares a key with a file of the other kind; two are already ambiguous."""
    sharing: dict[Hashable, tuple[list[Entry], list[Entry]]] = defaultdict(lambda: ([], []))
    for side, entries in enumerate((images, texts)):
        for entry in entries:
            for key in keys(entry):
                sharing[key][side].append(entry)
    candidates: dict[Entry, Entries] = defaultdict(dict)
    for sides in sharing.values():
        for mine, theirs in (sides, sides[::-1]):
            for entry in mine if theirs else ():
                candidates[entry].update(dict.fromkeys(theirs[:2]))
    return candidates


def refuse(found: Pairing, images: Entries, texts: Entries) -> None:
    """Take out files whose stem also occurs on the other side but is not unique, so that their numbers do not pair them by mistake."""
    stems = [{entry.stem: entry.name for entry in entries} for entries in (images, texts)]
    for entries, others in ((images, stems[1]), (texts, stems[0])):
        for entry in [entry for entry in entries if entry.stem in others]:
            found.ambiguous[entry.name] = f"could go with {others[entry.stem]}, but other files have the same stem"
            del entries[entry]


def same_folder(images: Entries, texts: Entries) -> Keys:
    """Files with the same stem in the same folder."""
    return lambda entry: [(entry.folder, entry.stem)]


def mirrored_stem(images: Entries, texts: Entries) -> Keys:
    """Files with the same stem at the same path of a mirrored tree."""
    return mirrored({entry: entry.stem for entry in images}, {entry: entry.stem for entry in texts})


def unique_stem(images: Entries, texts: Entries) -> Keys:
    """Files with the same stem anywhere, if one image and one text have it."""
    counts = [Counter(entry.stem for entry in entries) for entries in (images, texts)]
    return lambda entry: [entry.stem] if counts[0][entry.stem] == counts[1][entry.stem] == 1 else []


def mirrored_number(images: Entries, texts: Entries) -> Keys:
    """Files with the same number at the same path of a mirrored tree."""
    return mirrored(numbers_of(images), numbers_of(texts))


def numbers_of(entries: Iterable[Entry]) -> Labels:
    """The numbers in files' names, for folders in which all numbered files share the word before the number."""
    matches = {entry: match for entry in entries if (match := NUMBERED.fullmatch(entry.stem))}
    words: dict[FolderPath, set[str]] = defaultdict(set)
    for entry, match in matches.items():
        words[entry.folder].add(match[1])
    return {entry: int(match[2]) for entry, match in matches.items() if len(words[entry.folder]) == 1}


def mirrored(images: Labels, texts: Labels) -> Keys:
    """Keys for files in two trees whose paths differ in one folder name, where one tree holds only images and the other only texts.

    Files whose label does not occur on the other side, such as a README, do not count. If a third tree has a matching file, it is unclear
    which two belong together, so there is no key.
    """
    shared = set(images.values()) & set(texts.values())
    sides = [{entry: label for entry, label in labels.items() if label in shared} for labels in (images, texts)]
    holding = [{folder[:depth] for folder in {entry.folder for entry in side} for depth in range(1, len(folder) + 1)} for side in sides]
    mixed = holding[0] & holding[1]
    counts = [Counter((path, label) for entry, label in side.items() for path, _ in masked(entry.folder)) for side in sides]
    labels = {**sides[0], **sides[1]}

    def keys(entry: Entry) -> list[Hashable]:
        if entry not in labels:
            return []
        found = [(path, labels[entry]) for path, tree in masked(entry.folder) if tree not in mixed]
        return [key for key in found if counts[0][key] == counts[1][key] == 1]

    return keys


@functools.cache
def masked(folder: FolderPath) -> list[tuple[MaskedPath, FolderPath]]:
    """A folder's path with each of its names masked in turn, and the tree that the masked name is the top of."""
    return [((folder[:depth], folder[depth + 1 :]), folder[: depth + 1]) for depth in range(len(folder))]
