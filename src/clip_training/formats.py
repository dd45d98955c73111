"""The pairs of a dataset in any supported format: image and caption files of the same stem, WebDataset's tar files, or a table."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from harness.errors import DataError
from harness.torch.decoding import image_suffixes

from .file_trees import FileTree, Folder, Member
from .pairing import Pairing, paired
from .pairs import Pair
from .parts import parts_of, word_of
from .shards import members_of
from .splits import LISTS, by_lists, drawn, warn_left_out
from .tables import Table, pairs_of_tables, tables_of
from .texts import Reading

log = logging.getLogger(__name__)

CAPTIONS = (".txt", ".json")
"""Suffixes of captions in a shard, the preferred one first."""


def pairs_of(tree: FileTree | Path, form: str = "auto", reading: Reading | None = None, left_out: list[str] | None = None) -> list[Pair]:
    """All pairs of a dataset, in an order that depends only on its contents.

    `auto` means shards if there is a .tar file, a table if one in the top folder has both columns, and otherwise a folder of pairs. What
    is there in another format is logged.

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
    kind, files = files_of(tree, form, reading)
    return read(kind, files, tree, reading, [] if left_out is None else left_out)


def split(
    tree: FileTree | Path,
    share: float,
    seed: int,
    form: str = "auto",
    reading: Reading | None = None,
    left_out: list[str] | None = None,
) -> tuple[list[Pair], list[Pair]]:
    """Training pairs and held-out pairs: as the dataset states them, or drawn by the seed.

    A dataset states its split by the names of its top folders, tables or shards (see `parts`), or by lists. See `pairs_of` for the other
    arguments.

    Raises:
        DataError: for too few pairs, for pairs in both parts, and for several tables of which some name a part.
        ParameterError: when no table has the columns.
    """
    tree = Folder(tree) if isinstance(tree, Path) else tree
    reading = reading or Reading()
    left_out = [] if left_out is None else left_out
    top = {name.parts[0]: name.parts[0] for name in tree.names() if len(name.parts) > 1}
    if folders := parts_of(top, whole=True):
        tell_unused(tree, folders.unused)
        training, heldout = (
            [pair for part in folder for pair in pairs_of(tree.below(part), form, reading, left_out)]
            for folder in (folders.training, folders.heldout)
        )
        return training, heldout
    kind, files = files_of(tree, form, reading)
    if kind != "folder" and (stated := parts_of({str(name_of(file).with_suffix("")): file for file in files})):
        tell_unused(tree, stated.unused)
        training, heldout = (read(kind, part, tree, reading, left_out) for part in (stated.training, stated.heldout))
        check_apart(training, heldout, tree)
        return training, heldout
    if kind == "table" and len(files) > 1 and any(word_of(file.name.stem) for file in files):
        names = " and ".join(str(file.name) for file in files)
        what = "one of them names a part, but not both to train on and to hold out are named"
        raise DataError(f"{tree} holds {names}: {what}; call them train.csv and val.csv, or keep one")
    pairs = read(kind, files, tree, reading, left_out)
    return by_lists(pairs, tree, reading.encoding) or drawn(pairs, share, seed, tree)


def tell_unused(tree: FileTree, names: Sequence[str]) -> None:
    if names:
        log.warning("%s: its names state what to train on and what to hold out; not used are %s", tree, ", ".join(names[:6]))


def check_apart(training: Sequence[Pair], heldout: Sequence[Pair], tree: FileTree) -> None:
    """Check that no image is in both parts.

    Raises:
        DataError: with their number.
    """
    if both := {str(pair.image) for pair in training} & {str(pair.image) for pair in heldout}:
        what = f"{len(both)} images are both to train on and to hold out, e.g. {min(both)}"
        raise DataError(f"{tree}: {what}; held-out pairs must not be trained on")


def files_of(tree: FileTree, form: str, reading: Reading) -> tuple[str, list[Any]]:
    """The format of a dataset, and its shards (by name), its tables, or nothing for a folder of pairs.

    Raises:
        ParameterError: when no table has the columns, and a table was asked for.
    """
    shards = [name for name in tree.names() if name.suffix.lower() == ".tar"] if form in ("auto", "shards") else []
    tables = tables_of(tree, reading, demanded=form == "table").found if form in ("auto", "table") else []
    if form != "auto":
        return form, tables or shards
    loose = loose_pairs(tree).pairs if shards or tables else []
    if shards and (loose or tables) and not any(image and caption for image, caption, _ in samples_of(tree, shards)):
        log.warning("%s: %d .tar files hold no sample of an image and a caption, and are not read, e.g. %s", tree, len(shards), shards[0])
        shards = []
    kind = "shards" if shards else "table" if tables else "folder"
    if loose and kind != "folder":
        what = f"{len(loose)} pairs of image and caption files are not read, e.g. {loose[0][0]} and {loose[0][1]}"
        log.warning("%s: %s, because there are %s; to read them instead, set data.format=folder", tree, what, BESIDE[kind])
    if shards and tables:
        log.warning(
            "%s: %s is not read, because there are %s; to read it instead, set data.format=table", tree, tables[0].name, BESIDE[kind]
        )
    return kind, list(shards or tables)


BESIDE = {"shards": ".tar files", "table": "tables"}


def name_of(file: PurePosixPath | Table) -> PurePosixPath:
    return file.name if isinstance(file, Table) else file


def read(kind: str, files: Sequence[Any], tree: FileTree, reading: Reading, left_out: list[str]) -> list[Pair]:
    """The pairs in a dataset's shards, in its tables, or in all its files."""
    if kind == "shards":
        return pairs_of_shards(tree, files, reading, left_out)
    return pairs_of_tables(files, reading, left_out) if kind == "table" else pairs_of_files(tree, reading, left_out)


def loose_pairs(tree: FileTree) -> Pairing:
    """Images and .txt files matched by name (see `pairing`)."""
    images, texts = loose_files(tree)
    return paired(images, texts)


def loose_files(tree: FileTree) -> tuple[list[PurePosixPath], list[PurePosixPath]]:
    names, suffixes = tree.names(), image_suffixes()
    texts = [name for name in names if name.suffix.lower() == ".txt" and str(name) not in LISTS]
    return [name for name in names if name.suffix.lower() in suffixes], texts


def pairs_of_files(tree: FileTree, reading: Reading, left_out: list[str]) -> list[Pair]:
    """Images and .txt files matched by name, sorted by the images' stems.

    Raises:
        DataError: when there is no pair.
    """
    images, texts = loose_files(tree)
    found = paired(images, texts)
    unpaired = [f"{tree}/{line}" for line in found.left_out]
    left_out += unpaired
    if not found.pairs:
        tables = tables_of(tree, reading).others
        raise DataError(
            f"{tree} holds no image-text pairs: {len(images)} images and {len(texts)} .txt files without an unambiguous match "
            f"(a.jpg goes with a.txt, in any sub-folder), no .tar files, and no table with the columns of images and captions"
            f"{''.join(f'; {line}' for line in [*tables[:3], *unpaired[:3]])}"
        )
    warn_left_out(tree, {f"files belong to no pair, {len(found.ambiguous)} of them with an ambiguous match": len(unpaired)}, unpaired)
    if apart := [pair for pair in found.pairs if pair[0].stem != pair[1].stem]:
        log.warning("%s: %d pairs were matched by number, e.g. %s with %s", tree, len(apart), *apart[0])
    return [Pair(tree.file(image), tree.file(text), encoding=reading.encoding) for image, text in found.pairs]


def samples_of(tree: FileTree, shards: Sequence[PurePosixPath]) -> Iterator[tuple[Member | None, Member | None, Member]]:
    """The image, the caption and any member of each sample in tar files."""
    suffixes = image_suffixes()
    for _, members in members_of(tree, shards):
        image = next((member for suffix, member in members.items() if suffix in suffixes), None)
        yield image, next((members[suffix] for suffix in CAPTIONS if suffix in members), None), next(iter(members.values()))


def pairs_of_shards(tree: FileTree, shards: Sequence[PurePosixPath], reading: Reading, left_out: list[str]) -> list[Pair]:
    """The samples of tar files that have an image and a caption: a .txt, or the caption in a .json.

    Raises:
        DataError: when there is no pair.
    """
    pairs: list[Pair] = []
    alone: list[str] = []
    for image, caption, member in samples_of(tree, shards):
        if image and caption:
            pairs.append(Pair(image, caption, reading.caption, reading.encoding))
        else:
            alone.append(f"{member}: its sample has no {'caption' if image else 'image'}")
    left_out += alone
    if not pairs:
        raise DataError(
            f"{tree}: {len(shards)} .tar files hold no image with a .txt or .json of the same key, but {len(alone)} other samples"
        )
    warn_left_out(tree, {"samples have no image or no caption": len(alone)}, alone)
    return pairs
