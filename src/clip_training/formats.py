"""The pairs of a data set in any of its forms: image and caption files of one stem, WebDataset's tar files, a table."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from harness.errors import DataError

from .pairs import Pair, image_suffixes
from .shards import members_of
from .sources import File, Folder, Source
from .tables import Columns, rows_of, tables_of

log = logging.getLogger(__name__)

FORMATS = ("auto", "folder", "shards", "table")
CAPTIONS = (".txt", ".json")
"""Suffixes of captions in a shard, the preferred one first."""
PARTS = ("train", "heldout")
"""Sub-folders, or tables' names, that say which pairs are held out."""
LISTS = ("train_set.txt", "val_set.txt")
"""Lists of stems that do."""


def pairs_of(source: Source | Path, form: str = "auto", columns: Columns | None = None) -> list[Pair]:
    """All pairs of a data set, in an order that only depends on what it holds.

    `auto` is shards where there is a .tar file, a table where one at the top has both columns, else a folder of pairs.

    Raises:
        DataError: when there is none.
        ParameterError: when no table has the columns.
    """
    source = Folder(source) if isinstance(source, Path) else source
    columns = columns or Columns()
    names = source.names()
    shards = [name for name in names if name.suffix.lower() == ".tar"]
    if form == "shards" or (form == "auto" and shards):
        return pairs_of_shards(source, shards, columns)
    tables = tables_of(source, columns, demanded=form == "table") if form in ("auto", "table") else {}
    if tables:
        return [pair for name, separator in tables.items() for pair in pairs_of_table(source, name, separator, columns)]
    return pairs_of_files(source, names)


def find_pairs(folder: Path) -> list[Pair]:
    """The pairs of image and caption files below `folder`, sorted by stem; see `pairs_of_files`."""
    source = Folder(folder)
    return pairs_of_files(source, source.names())


def pairs_of_files(source: Source, names: Sequence[PurePosixPath]) -> list[Pair]:
    """Images and .txt files of the same stem, wherever they are, sorted by stem.

    What has no partner, or a stem that came before, is left out and counted in the log.

    Raises:
        DataError: when there is none.
    """
    suffixes = image_suffixes()
    images: dict[str, PurePosixPath] = {}
    captions: dict[str, PurePosixPath] = {}
    twice = 0
    for name in names:
        suffix = name.suffix.lower()
        kind = captions if suffix == ".txt" else images if suffix in suffixes else {}
        twice += name.stem in kind
        kind.setdefault(name.stem, name)
    both = sorted(images.keys() & captions.keys())
    if not both:
        raise DataError(
            f"{source} holds no image-text pairs: {len(images)} images and {len(captions)} .txt files, none of the same stem "
            f"(a.jpg goes with a.txt, in whatever sub-folder), no .tar files, and no table with the columns of images and captions"
        )
    tell(
        source,
        {
            "images have no .txt file of their stem": len(images) - len(both),
            ".txt files have no image of their stem": len(captions) - len(both),
            "files have the stem of an earlier one": twice,
        },
    )
    return [Pair(source.file(images[stem]), source.file(captions[stem])) for stem in both]


def pairs_of_shards(source: Source, shards: Sequence[PurePosixPath], columns: Columns) -> list[Pair]:
    """The samples of tar files that have an image and a caption: a .txt, or the caption in a .json.

    Raises:
        DataError: when there is none.
    """
    suffixes = image_suffixes()
    pairs: list[Pair] = []
    alone = 0
    for _, members in members_of(source, shards):
        image = next((member for suffix, member in members.items() if suffix in suffixes), None)
        caption: File | None = next((members[suffix] for suffix in CAPTIONS if suffix in members), None)
        if image and caption:
            pairs.append(Pair(image, caption, columns.caption))
        alone += image is None or caption is None
    if not pairs:
        raise DataError(f"{source}: {len(shards)} .tar files hold no image with a .txt or .json of the same key, but {alone} other samples")
    tell(source, {"samples have no image or no caption": alone})
    return pairs


def pairs_of_table(source: Source, name: PurePosixPath, separator: str, columns: Columns) -> list[Pair]:
    """The rows of a table; images are named relative to it, or absolutely on this machine.

    Raises:
        DataError: when there is none, or an image is outside the tree.
    """
    rows = rows_of(source, name, separator, columns)
    outside = [image for image in rows if ".." in PurePosixPath(image).parts]
    if outside or not rows:
        what = f"{len(outside)} images are outside its folder, e.g. {outside[0]}" if outside else "it holds no row"
        raise DataError(f"{source}/{name}: {what}")
    return [Pair(source.file(PurePosixPath(image)), tuple(captions)) for image, captions in rows.items()]


def tell(source: Source, counts: dict[str, int]) -> None:
    """Say in the log how many files are left out, and why."""
    for what, count in counts.items():
        if count:
            log.warning("%s: %d %s; left out", source, count, what)


def split(
    source: Source | Path, share: float, seed: int, form: str = "auto", columns: Columns | None = None
) -> tuple[list[Pair], list[Pair]]:
    """Pairs to train on and pairs held out: what the data set itself calls train and heldout, else a seeded draw.

    It does so by the folders train/ and heldout/, by tables of these names, or by lists of stems.

    Raises:
        DataError: for too few pairs.
        ParameterError: when no table has the columns.
    """
    source = Folder(source) if isinstance(source, Path) else source
    columns = columns or Columns()
    top = {name.parts[0] for name in source.names() if len(name.parts) > 1}
    if set(PARTS) <= top:
        training, heldout = (pairs_of(source.below(part), form, columns) for part in PARTS)
        return training, heldout
    tables = {name.stem: (name, mark) for name, mark in tables_of(source, columns).items()} if form in ("auto", "table") else {}
    if set(PARTS) <= tables.keys():
        training, heldout = (pairs_of_table(source, *tables[part], columns) for part in PARTS)
        return training, heldout
    pairs = pairs_of(source, form, columns)
    return by_lists(pairs, source) or drawn(pairs, share, seed, source)


def by_lists(pairs: Sequence[Pair], source: Source) -> tuple[list[Pair], list[Pair]] | None:
    """The parts whose stems train_set.txt and val_set.txt at the top list, one a line; with one list the other part is the rest.

    Raises:
        DataError: when a part is empty, or both lists have a stem.
    """
    names = set(source.names())
    training, heldout = (stems_in(source.file(name)) if name in names else None for name in map(PurePosixPath, LISTS))
    if training is None and heldout is None:
        return None
    stems = {pair.stem for pair in pairs}
    training = stems - heldout if training is None and heldout is not None else training or set()
    heldout = stems - training if heldout is None else heldout
    if both := training & heldout:
        raise DataError(
            f"{source}: {len(both)} stems are in {' and in '.join(LISTS)}, e.g. {min(both)}; what is held out must not be trained on"
        )
    tell(
        source,
        {"stems are in neither list": len(stems - training - heldout), "listed stems are no pair": len((training | heldout) - stems)},
    )
    parts = [pair for pair in pairs if pair.stem in training], [pair for pair in pairs if pair.stem in heldout]
    if not all(parts):
        raise DataError(
            f"{source}: {' and '.join(LISTS)} list {len(parts[0])} and {len(parts[1])} of its {len(pairs)} pairs; each must list one"
        )
    return parts


def stems_in(file: File) -> set[str]:
    """The stems that a list holds, with or without a suffix that images, captions or .npz files have."""
    suffixes = (*image_suffixes(), *CAPTIONS, ".npz")
    lines = [line.strip() for line in file.read_bytes().decode("utf-8-sig").splitlines()]
    return {line[: line.rindex(".")] if line.lower().endswith(suffixes) else line for line in lines if line}


def drawn(pairs: Sequence[Pair], share: float, seed: int, source: Source) -> tuple[list[Pair], list[Pair]]:
    """A share of the pairs held out, the same for each seed."""
    if len(pairs) < 2:
        raise DataError(f"{source} holds one pair; training and holding out needs two at least")
    heldout = min(max(1, round(len(pairs) * share)), len(pairs) - 1)
    chosen = set(np.random.default_rng(seed).permutation(len(pairs))[:heldout].tolist())
    return [p for i, p in enumerate(pairs) if i not in chosen], [p for i, p in enumerate(pairs) if i in chosen]
