"""How pairs are split into training and held-out ones: by the dataset's own lists, or by a seeded draw."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

import numpy as np

from harness.errors import DataError
from harness.torch.decoding import image_suffixes

from .file_trees import File, FileTree
from .pairs import Pair
from .texts import lines_of, text_of

log = logging.getLogger(__name__)

LISTS = ("train_set.txt", "val_set.txt")
"""Lists of the training pairs and of the held-out pairs: one image per line, by its stem, or by its path where the stem is ambiguous."""


def by_lists(pairs: Sequence[Pair], tree: FileTree, encoding: str = "utf-8") -> tuple[list[Pair], list[Pair]] | None:
    """The split given by the lists in the top folder, or None without a list. With only one list, the other part is the rest.

    Raises:
        DataError: when a list cannot be read, a part is empty, a pair is in both lists, or a stem is ambiguous.
    """
    names = set(tree.names())
    stated = [stems_in(tree.file(name), encoding) if name in names else None for name in map(PurePosixPath, LISTS)]
    if stated == [None, None]:
        return None
    by_name = PairsByName(pairs, tree)
    training, heldout = (None if stems is None else by_name.pairs_of(stems) for stems in stated)
    everything = set(range(len(pairs)))
    training = everything - (heldout or set()) if training is None else training
    heldout = everything - training if heldout is None else heldout
    if both := training & heldout:
        example = pairs[min(both)].stem
        raise DataError(
            f"{tree}: {len(both)} stems are in both {' and '.join(LISTS)}, e.g. {example}; held-out pairs must not be trained on"
        )
    warn_left_out(
        tree, {"pairs are in neither list": len(everything - training - heldout), "listed stems match no pair": by_name.strangers}
    )
    if not (training and heldout):
        raise DataError(
            f"{tree}: {' and '.join(LISTS)} list {len(training)} and {len(heldout)} of its {len(pairs)} pairs; each must list at least one"
        )
    return [pairs[index] for index in sorted(training)], [pairs[index] for index in sorted(heldout)]


def drawn(pairs: Sequence[Pair], share: float, seed: int, tree: FileTree) -> tuple[list[Pair], list[Pair]]:
    """Hold out a share of the pairs, drawn by the seed.

    Raises:
        DataError: for fewer than two pairs.
    """
    if len(pairs) < 2:
        raise DataError(f"{tree} holds one pair; at least two are needed, one to train on and one to hold out")
    heldout = min(max(1, round(len(pairs) * share)), len(pairs) - 1)
    chosen = set(np.random.default_rng(seed).permutation(len(pairs))[:heldout].tolist())
    return [p for i, p in enumerate(pairs) if i not in chosen], [p for i, p in enumerate(pairs) if i in chosen]


class PairsByName:
    """Pairs by the names that a list may use for them."""

    def __init__(self, pairs: Sequence[Pair], tree: FileTree) -> None:
        self.tree = tree
        self.paths = {without_suffix(str(pair.image).removeprefix(f"{tree}/")): index for index, pair in enumerate(pairs)}
        self.stems: dict[str, list[int]] = defaultdict(list)
        for index, pair in enumerate(pairs):
            self.stems[pair.stem].append(index)
        self.strangers = 0

    def pairs_of(self, names: Iterable[str]) -> set[int]:
        """Indices of the pairs that a list names.

        Raises:
            DataError: for an ambiguous stem.
        """
        found = set()
        for name in names:
            of_stem = self.stems.get(name, [])
            if name not in self.paths and len(of_stem) > 1:
                places = ", ".join(sorted(path for path, index in self.paths.items() if index in of_stem)[:3])
                raise DataError(f"{self.tree}: {' and '.join(LISTS)}: {name} is the stem of {len(of_stem)} images; use {places}")
            found |= {self.paths[name]} if name in self.paths else set(of_stem)
            self.strangers += name not in self.paths and not of_stem
        return found


def stems_in(file: File, encoding: str) -> set[str]:
    """The entries of a list, which may have the suffix of an image, a caption or an .npz file.

    Raises:
        DataError: when it cannot be read.
    """
    try:
        return {without_suffix(line) for line in lines_of(text_of(file.read_bytes(), encoding))}
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: {error}") from error


def without_suffix(name: str) -> str:
    return name[: name.rindex(".")] if name.lower().endswith((*image_suffixes(), ".txt", ".json", ".npz")) else name


def warn_left_out(tree: FileTree, counts: dict[str, int], examples: Sequence[str] = ()) -> None:
    """Log how many files are left out, and why."""
    for what, count in counts.items():
        if count:
            log.warning("%s: %d %s; left out%s", tree, count, what, f", e.g. {examples[0]}" if examples else "")
