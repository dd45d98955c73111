"""The parts of a data set as its own lists state them."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from harness.errors import DataError
from harness.torch.decoding import image_suffixes

from .pairs import Pair
from .sources import File, Source
from .texts import lines_of, text_of

log = logging.getLogger(__name__)

LISTS = ("train_set.txt", "val_set.txt")
"""Lists of the pairs to train on and of those held out: an image on each line, by its stem, or by its path where others have that stem."""


def by_lists(pairs: Sequence[Pair], source: Source, encoding: str = "utf-8") -> tuple[list[Pair], list[Pair]] | None:
    """The parts that the lists at the top state; with one list the other part is the rest.

    Raises:
        DataError: when a list cannot be read, a part is empty, both lists have a pair, or a stem is that of several.
    """
    names = set(source.names())
    stated = [stems_in(source.file(name), encoding) if name in names else None for name in map(PurePosixPath, LISTS)]
    if stated == [None, None]:
        return None
    known = Known(pairs, source)
    training, heldout = (None if stems is None else known.pairs_of(stems) for stems in stated)
    everything = set(range(len(pairs)))
    training = everything - (heldout or set()) if training is None else training
    heldout = everything - training if heldout is None else heldout
    if both := training & heldout:
        example = pairs[min(both)].stem
        raise DataError(
            f"{source}: {len(both)} stems are in {' and in '.join(LISTS)}, e.g. {example}; what is held out must not be trained on"
        )
    tell(source, {"pairs are in neither list": len(everything - training - heldout), "listed stems are no pair": known.strangers})
    if not (training and heldout):
        raise DataError(
            f"{source}: {' and '.join(LISTS)} list {len(training)} and {len(heldout)} of its {len(pairs)} pairs; each must list one"
        )
    return [pairs[index] for index in sorted(training)], [pairs[index] for index in sorted(heldout)]


class Known:
    """Pairs by what a list may call them."""

    def __init__(self, pairs: Sequence[Pair], source: Source) -> None:
        self.source = source
        self.paths = {without_suffix(str(pair.image).removeprefix(f"{source}/")): index for index, pair in enumerate(pairs)}
        self.stems: dict[str, list[int]] = defaultdict(list)
        for index, pair in enumerate(pairs):
            self.stems[pair.stem].append(index)
        self.strangers = 0

    def pairs_of(self, names: Iterable[str]) -> set[int]:
        """Indices of the pairs that a list names."""
        found = set()
        for name in names:
            of_stem = self.stems.get(name, [])
            if name not in self.paths and len(of_stem) > 1:
                places = ", ".join(sorted(path for path, index in self.paths.items() if index in of_stem)[:3])
                raise DataError(f"{self.source}: {' and '.join(LISTS)}: {name} is the stem of {len(of_stem)} images; write {places}")
            found |= {self.paths[name]} if name in self.paths else set(of_stem)
            self.strangers += name not in self.paths and not of_stem
        return found


def stems_in(file: File, encoding: str) -> set[str]:
    """What a list holds, with or without a suffix that images, captions or .npz files have."""
    try:
        return {without_suffix(line) for line in lines_of(text_of(file.read_bytes(), encoding))}
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: {error}") from error


def without_suffix(name: str) -> str:
    return name[: name.rindex(".")] if name.lower().endswith((*image_suffixes(), ".txt", ".json", ".npz")) else name


def tell(source: Source, counts: dict[str, int], examples: Sequence[str] = ()) -> None:
    """Say in the log how many files are left out, and why."""
    for what, count in counts.items():
        if count:
            log.warning("%s: %d %s; left out%s", source, count, what, f", e.g. {examples[0]}" if examples else "")
