"""Tables of pairs in the form that open_clip's training program reads: a column of image files and a column of captions."""

from __future__ import annotations

import csv
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from harness.errors import DataError, ParameterError
from harness.settings import nearest

from .csv_rows import ENDS, SEP, Form, rows_in
from .file_trees import FileTree
from .listed_images import ListedImages
from .pairs import Pair
from .splits import warn_left_out
from .texts import Reading, lines_of, marked, text_of

log = logging.getLogger(__name__)

SEPARATORS = {".csv": ",\t;", ".tsv": "\t,;"}
"""Separators to try by suffix, the likeliest first: open_clip's .csv files have tabs, Excel's in much of Europe semicolons."""
HEAD = 1 << 16
"""Bytes in which the header must be."""


@dataclass(frozen=True)
class Table:
    """A table that has both columns."""

    tree: FileTree
    name: PurePosixPath
    form: Form

    def __str__(self) -> str:
        return f"{self.tree}/{self.name}"


@dataclass(frozen=True)
class Tables:
    """The tables in the top folder of a dataset."""

    found: list[Table]
    others: list[str]
    """Those without both columns, and what they have instead."""


def tables_of(tree: FileTree, reading: Reading, *, demanded: bool = False) -> Tables:
    """The tables in the top folder. Only their headers are read: a table of something else may be written in any way.

    Raises:
        ParameterError: when a table is `demanded` and none has both columns.
        DataError: when a table has one of the columns twice.
    """
    tables = Tables([], [])
    for name in tree.names():
        if len(name.parts) == 1 and name.suffix.lower() in SEPARATORS:
            lines = head_of(tree, name, reading.encoding)
            rows = {mark: fields_of(lines, mark) for mark in SEPARATORS[name.suffix.lower()]}
            mark = next((mark for mark, row in rows.items() if {reading.image, reading.caption} <= set(row)), "")
            if mark:
                tables.found.append(Table(tree, name, form_of(rows[mark], mark, lines, reading, f"{tree}/{name}")))
            else:
                columns = max(rows.values(), key=list.__len__)
                tables.others.append(f"{name} has the columns {', '.join(columns)[:200]}{nearest(reading.image, columns)}")
    if demanded and not tables.found:
        wanted = f"data.image_column={reading.image} data.caption_column={reading.caption}"
        there = "; ".join(tables.others[:4]) or "it holds no .csv or .tsv file"
        raise ParameterError([f"{wanted}: no table in {tree} has both in its first line; {there}"])
    return tables


def head_of(tree: FileTree, name: PurePosixPath, encoding: str) -> list[str]:
    """The first lines of a table. Characters in another encoding do not matter here."""
    try:
        content = tree.part(name, 0, HEAD)
    except OSError as error:
        raise DataError(f"{tree}/{name} cannot be read as a table: {error}") from error
    text = content.decode(marked(content) or encoding, "replace").removeprefix("\ufeff")
    return [line for line in ENDS.split(text) if line.strip() and not SEP.fullmatch(line)][:2]


def fields_of(lines: Sequence[str], mark: str) -> list[str]:
    """The names of columns."""
    return [field.strip() for field in next(csv.reader(lines[:1], delimiter=mark), [])]


def form_of(columns: Sequence[str], mark: str, lines: Sequence[str], reading: Reading, name: str) -> Form:
    counts = Counter(columns)
    if twice := [column for column in (reading.image, reading.caption) if counts[column] > 1]:
        raise DataError(f"{name}: {counts[twice[0]]} columns are called {twice[0]}; name the one to use differently")
    spaced = all(f"{mark} " in line for line in lines)
    return Form(mark, tuple(columns), columns.index(reading.image), columns.index(reading.caption), spaced)


def pairs_of_tables(tables: Sequence[Table], reading: Reading, left_out: list[str]) -> list[Pair]:
    """The pairs of one table or several, in the order of their first rows. Several rows with the same image are several captions.

    Raises:
        DataError: for a file that is not a table, and when there is no pair.
    """
    tree = tables[0].tree
    images = ListedImages(tree)
    captions: dict[PurePosixPath, list[str]] = {}
    for table in tables:
        found = captions_of(table, images, reading.encoding, left_out)
        for image, texts in found.items():
            captions.setdefault(image, []).extend(texts)
    if not captions:
        what = "no row has both an image that is there and a caption"
        raise DataError(f"{' and '.join(map(str, tables))}: {what}{f', e.g. {left_out[-1]}' if left_out else ''}")
    return [Pair(tree.file(image), tuple(dict.fromkeys(texts))) for image, texts in captions.items()]


def captions_of(table: Table, images: ListedImages, encoding: str, left_out: list[str]) -> dict[PurePosixPath, list[str]]:
    """Captions by image. What is odd about the rows is counted in the log; rows that are left out are added to `left_out`.

    Raises:
        DataError: as `rows_in`, and for another encoding.
    """
    try:
        text = text_of(table.tree.file(table.name).read_bytes(), encoding)
    except (OSError, ValueError) as error:
        raise DataError(f"{table} cannot be read as a table: {error}") from error
    rows = rows_in(text, table.form, str(table))
    captions: dict[PurePosixPath, list[str]] = {}
    unused: list[str] = []
    broken: list[int] = []
    place, column = table.form.image, table.form.caption
    for line, row in rows.rows:
        image, caption = (row[at].strip() if at < len(row) else "" for at in (place, column))
        if "\n" in caption or "\r" in caption:
            broken.append(line)
            caption = " ".join(lines_of(caption))
        if not (image and caption):
            unused.append(f"{table}: line {line} has no {'caption' if image else 'image'}")
            continue
        found = images.find(image)
        if isinstance(found, str):
            unused.append(f"{table}: line {line}: {found}")
        else:
            captions.setdefault(found, []).append(caption)
    left_out += unused
    warn_left_out(table.tree, {f"rows of {table.name} have no image that is there, or no caption": len(unused)}, unused)
    if rows.unclosed:
        log.warning("%s: %s; each line alone is a row, so quotes are read as characters of the captions", table, rows.unclosed)
    if broken:
        log.warning("%s: %d captions have line breaks, read as blanks, e.g. in line %d", table, len(broken), broken[0])
    if repeated := sum(map(len, captions.values())) - sum(len(set(texts)) for texts in captions.values()):
        log.warning("%s: %d rows repeat the image and the caption of another; each is used once", table, repeated)
    images.note(table.name)
    return captions
