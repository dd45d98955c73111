"""The pairs of a dataset in any supported format: image and caption files of the same stem, WebDataset's tar files, or a table."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from harness.errors import DataError
from harness.torch.decoding import image_suffixes

from .file_trees import File, FileTree, Folder
from .pairing import paired
from .pairs import Pair
from .shards import members_of
from .splits import LISTS, by_lists, drawn, warn_left_out
from .tables import rows_of, tables_of
from .texts import Reading

log = logging.getLogger(__name__)

CAPTIONS = (".txt", ".json")
"""Suffixes of captions in a shard, the preferred one first."""
PARTS = ("train", "heldout")
"""Names of sub-folders, or of tables, that state the split."""


def pairs_of(tree: FileTree | Path, form: str = "auto", reading: Reading | None = None, left_out: list[str] | None = None) -> list[Pair]:
    """All pairs of a dataset, in an order that depends only on its contents.

    `auto` means shards if there is a .tar file, a table if one in the top folder has both columns, and otherwise a folder of pairs.

    Args:
        tree: the dataset's files.
        form: one of config.FORMATS.
        reading: how its texts are read.
        left_out: receives the names of files that belong to no pair, and why.

    Raises:
        DataError: when there is no pair.
        ParameterError: when no table has the columns.
    """
    tree = Folder(tree) if isinstance(tree, Path) else tree
    reading = reading or Reading()
    left_out = [] if left_out is None else left_out
    names = tree.names()
    shards = [name for name in names if name.suffix.lower() == ".tar"]
    if form == "shards" or (form == "auto" and shards):
        return pairs_of_shards(tree, shards, reading, left_out)
    tables = tables_of(tree, reading, demanded=form == "table") if form in ("auto", "table") else {}
    if tables:
        return [pair for name, separator in tables.items() for pair in pairs_of_table(tree, name, separator, reading)]
    return pairs_of_files(tree, names, reading, left_out)


def pairs_of_files(tree: FileTree, names: Sequence[PurePosixPath], reading: Reading, left_out: list[str]) -> list[Pair]:
    """Images and .txt files matched by name (see `pairing`), sorted by the images' stems.

    Raises:
        DataError: when there is no pair.
    """
    suffixes = image_suffixes()
    images = [name for name in names if name.suffix.lower() in suffixes]
    texts = [name for name in names if name.suffix.lower() == ".txt" and str(name) not in LISTS]
    found = paired(images, texts)
    unpaired = [f"{tree}/{line}" for line in found.left_out]
    left_out += unpaired
    if not found.pairs:
        raise DataError(
            f"{tree} holds no image-text pairs: {len(images)} images and {len(texts)} .txt files without an unambiguous match "
            f"(a.jpg goes with a.txt, in any sub-folder), no .tar files, and no table with the columns of images and captions"
            f"{''.join(f'; {line}' for line in unpaired[:3])}"
        )
    warn_left_out(tree, {f"files belong to no pair, {len(found.ambiguous)} of them with an ambiguous match": len(unpaired)}, unpaired)
    if apart := [pair for pair in found.pairs if pair[0].stem != pair[1].stem]:
        log.warning("%s: %d pairs were matched by number, e.g. %s with %s", tree, len(apart), *apart[0])
    return [Pair(tree.file(image), tree.file(text), encoding=reading.encoding) for image, text in found.pairs]


def pairs_of_shards(tree: FileTree, shards: Sequence[PurePosixPath], reading: Reading, left_out: list[str]) -> list[Pair]:
    """The samples of tar files that have an image and a caption: a .txt, or the caption in a .json.

    Raises:
        DataError: when there is no pair.
    """
    suffixes = image_suffixes()
    pairs: list[Pair] = []
    alone: list[str] = []
    for _, members in members_of(tree, shards):
        image = next((member for suffix, member in members.items() if suffix in suffixes), None)
        caption: File | None = next((members[suffix] for suffix in CAPTIONS if suffix in members), None)
        if image and caption:
            pairs.append(Pair(image, caption, reading.caption, reading.encoding))
        else:
            alone.append(f"{next(iter(members.values()))}: its sample has no {'caption' if image else 'image'}")
    left_out += alone
    if not pairs:
        raise DataError(
            f"{tree}: {len(shards)} .tar files hold no image with a .txt or .json of the same key, but {len(alone)} other samples"
        )
    warn_left_out(tree, {"samples have no image or no caption": len(alone)}, alone)
    return pairs


def pairs_of_table(tree: FileTree, name: PurePosixPath, separator: str, reading: Reading) -> list[Pair]:
    """The rows of a table, whose images have paths relative to it, or absolute paths on this machine.

    Raises:
        DataError: when there is no row, or an image lies outside the tree.
    """
    rows = rows_of(tree, name, separator, reading)
    outside = [image for image in rows if ".." in PurePosixPath(image).parts]
    if outside or not rows:
        what = f"{len(outside)} images are outside its folder, e.g. {outside[0]}" if outside else "it holds no row"
        raise DataError(f"{tree}/{name}: {what}")
    return [Pair(tree.file(PurePosixPath(image)), tuple(captions)) for image, captions in rows.items()]


def split(
    tree: FileTree | Path,
    share: float,
    seed: int,
    form: str = "auto",
    reading: Reading | None = None,
    left_out: list[str] | None = None,
) -> tuple[list[Pair], list[Pair]]:
    """Training pairs and held-out pairs: as the dataset states them, or drawn by the seed.

    A dataset states its split by the folders train/ and heldout/, by tables of these names, or by lists. See `pairs_of` for the other
    arguments.

    Raises:
        DataError: for too few pairs.
        ParameterError: when no table has the columns.
    """
    tree = Folder(tree) if isinstance(tree, Path) else tree
    reading = reading or Reading()
    top = {name.parts[0] for name in tree.names() if len(name.parts) > 1}
    if set(PARTS) <= top:
        training, heldout = (pairs_of(tree.below(part), form, reading, left_out) for part in PARTS)
        return training, heldout
    tables = {name.stem: (name, mark) for name, mark in tables_of(tree, reading).items()} if form in ("auto", "table") else {}
    if set(PARTS) <= tables.keys():
        training, heldout = (pairs_of_table(tree, *tables[part], reading) for part in PARTS)
        return training, heldout
    pairs = pairs_of(tree, form, reading, left_out)
    return by_lists(pairs, tree, reading.encoding) or drawn(pairs, share, seed, tree)
