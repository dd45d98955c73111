"""The pairs of a data set in any of its forms: image and caption files of one stem, WebDataset's tar files, a table."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from harness.errors import DataError
from harness.torch.decoding import image_suffixes

from .lists import LISTS, by_lists, tell
from .pairing import paired
from .pairs import Pair
from .shards import members_of
from .sources import File, Folder, Source
from .tables import Reading, rows_of, tables_of

log = logging.getLogger(__name__)

FORMATS = ("auto", "folder", "shards", "table")
CAPTIONS = (".txt", ".json")
"""Suffixes of captions in a shard, the preferred one first."""
PARTS = ("train", "heldout")
"""Sub-folders, or tables' names, that say which pairs are held out."""


def pairs_of(source: Source | Path, form: str = "auto", reading: Reading | None = None, left_out: list[str] | None = None) -> list[Pair]:
    """All pairs of a data set, in an order that only depends on what it holds.

    `auto` is shards where there is a .tar file, a table where one at the top has both columns, else a folder of pairs.

    Args:
        source: where its files are.
        form: one of FORMATS.
        reading: how its texts are read.
        left_out: takes the names of files that are in no pair, and why.

    Raises:
        DataError: when there is none.
        ParameterError: when no table has the columns.
    """
    source = Folder(source) if isinstance(source, Path) else source
    reading = reading or Reading()
    left_out = [] if left_out is None else left_out
    names = source.names()
    shards = [name for name in names if name.suffix.lower() == ".tar"]
    if form == "shards" or (form == "auto" and shards):
        return pairs_of_shards(source, shards, reading, left_out)
    tables = tables_of(source, reading, demanded=form == "table") if form in ("auto", "table") else {}
    if tables:
        return [pair for name, separator in tables.items() for pair in pairs_of_table(source, name, separator, reading)]
    return pairs_of_files(source, names, reading, left_out)


def pairs_of_files(source: Source, names: Sequence[PurePosixPath], reading: Reading, left_out: list[str]) -> list[Pair]:
    """Images and .txt files that belong together by their names, as `pairing` says, sorted by the images' stems.

    Raises:
        DataError: when there is none.
    """
    suffixes = image_suffixes()
    images = [name for name in names if name.suffix.lower() in suffixes]
    texts = [name for name in names if name.suffix.lower() == ".txt" and str(name) not in LISTS]
    found = paired(images, texts)
    unpaired = [f"{source}/{line}" for line in found.left_out]
    left_out += unpaired
    if not found.pairs:
        raise DataError(
            f"{source} holds no image-text pairs: {len(images)} images and {len(texts)} .txt files, none certainly of each other "
            f"(a.jpg goes with a.txt, in whatever sub-folder), no .tar files, and no table with the columns of images and captions"
            f"{''.join(f'; {line}' for line in unpaired[:3])}"
        )
    tell(source, {f"files are in no pair, {len(found.ambiguous)} of them for want of a certain partner": len(unpaired)}, unpaired)
    if apart := [pair for pair in found.pairs if pair[0].stem != pair[1].stem]:
        log.warning("%s: %d pairs go by their numbers, such as %s with %s", source, len(apart), *apart[0])
    return [Pair(source.file(image), source.file(text), encoding=reading.encoding) for image, text in found.pairs]


def pairs_of_shards(source: Source, shards: Sequence[PurePosixPath], reading: Reading, left_out: list[str]) -> list[Pair]:
    """The samples of tar files that have an image and a caption: a .txt, or the caption in a .json.

    Raises:
        DataError: when there is none.
    """
    suffixes = image_suffixes()
    pairs: list[Pair] = []
    alone: list[str] = []
    for _, members in members_of(source, shards):
        image = next((member for suffix, member in members.items() if suffix in suffixes), None)
        caption: File | None = next((members[suffix] for suffix in CAPTIONS if suffix in members), None)
        if image and caption:
            pairs.append(Pair(image, caption, reading.caption, reading.encoding))
        else:
            alone.append(f"{next(iter(members.values()))}: its sample has no {'caption' if image else 'image'}")
    left_out += alone
    if not pairs:
        raise DataError(
            f"{source}: {len(shards)} .tar files hold no image with a .txt or .json of the same key, but {len(alone)} other samples"
        )
    tell(source, {"samples have no image or no caption": len(alone)}, alone)
    return pairs


def pairs_of_table(source: Source, name: PurePosixPath, separator: str, reading: Reading) -> list[Pair]:
    """The rows of a table; images are named relative to it, or absolutely on this machine.

    Raises:
        DataError: when there is none, or an image is outside the tree.
    """
    rows = rows_of(source, name, separator, reading)
    outside = [image for image in rows if ".." in PurePosixPath(image).parts]
    if outside or not rows:
        what = f"{len(outside)} images are outside its folder, e.g. {outside[0]}" if outside else "it holds no row"
        raise DataError(f"{source}/{name}: {what}")
    return [Pair(source.file(PurePosixPath(image)), tuple(captions)) for image, captions in rows.items()]


def split(
    source: Source | Path,
    share: float,
    seed: int,
    form: str = "auto",
    reading: Reading | None = None,
    left_out: list[str] | None = None,
) -> tuple[list[Pair], list[Pair]]:
    """Pairs to train on and pairs held out: what the data set itself calls train and heldout, else a seeded draw.

    It does so by the folders train/ and heldout/, by tables of these names, or by lists. `pairs_of` says what the arguments are.

    Raises:
        DataError: for too few pairs.
        ParameterError: when no table has the columns.
    """
    source = Folder(source) if isinstance(source, Path) else source
    reading = reading or Reading()
    top = {name.parts[0] for name in source.names() if len(name.parts) > 1}
    if set(PARTS) <= top:
        training, heldout = (pairs_of(source.below(part), form, reading, left_out) for part in PARTS)
        return training, heldout
    tables = {name.stem: (name, mark) for name, mark in tables_of(source, reading).items()} if form in ("auto", "table") else {}
    if set(PARTS) <= tables.keys():
        training, heldout = (pairs_of_table(source, *tables[part], reading) for part in PARTS)
        return training, heldout
    pairs = pairs_of(source, form, reading, left_out)
    return by_lists(pairs, source, reading.encoding) or drawn(pairs, share, seed, source)


def drawn(pairs: Sequence[Pair], share: float, seed: int, source: Source) -> tuple[list[Pair], list[Pair]]:
    """A share of the pairs held out, the same for each seed."""
    if len(pairs) < 2:
        raise DataError(f"{source} holds one pair; training and holding out needs two at least")
    heldout = min(max(1, round(len(pairs) * share)), len(pairs) - 1)
    chosen = set(np.random.default_rng(seed).permutation(len(pairs))[:heldout].tolist())
    return [p for i, p in enumerate(pairs) if i not in chosen], [p for i, p in enumerate(pairs) if i in chosen]
