"""Tables of pairs in the form that open_clip's training program reads: a column of image files and a column of captions."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Sequence
from pathlib import PurePosixPath

from harness.errors import DataError, ParameterError
from harness.settings import nearest

from .file_trees import FileTree
from .texts import Reading, lines_of, text_of

log = logging.getLogger(__name__)

SEPARATORS = {".csv": ",\t;", ".tsv": "\t,;"}
"""Separators to try by suffix, the likeliest first: open_clip's .csv files are separated by tabs."""


def tables_of(tree: FileTree, reading: Reading, *, demanded: bool = False) -> dict[PurePosixPath, str]:
    """The tables in the top folder that have both columns, with their separators.

    Raises:
        ParameterError: when a table is `demanded` and there is none.
    """
    found: dict[PurePosixPath, str] = {}
    others: list[str] = []
    for name in tree.names():
        if len(name.parts) == 1 and name.suffix.lower() in SEPARATORS:
            header = read_text(tree, name, reading.encoding).partition("\n")[0].strip("\r")
            rows = {mark: next(csv.reader([header], delimiter=mark), []) for mark in SEPARATORS[name.suffix.lower()]}
            separator = next((mark for mark, row in rows.items() if {reading.image, reading.caption} <= set(row)), "")
            if separator:
                found[name] = separator
            else:
                columns = max(rows.values(), key=list.__len__)
                others.append(f"{name} has the columns {', '.join(columns)}{nearest(reading.image, columns)}")
    if demanded and not found:
        raise ParameterError(
            [f"data.image_column={reading.image} data.caption_column={reading.caption}: no table in {tree} has both; {listed(others)}"]
        )
    return found


def listed(texts: Sequence[str]) -> str:
    return "; ".join(texts[:4]) or "it holds no .csv or .tsv file"


def read_text(tree: FileTree, name: PurePosixPath, encoding: str) -> str:
    try:
        return text_of(tree.file(name).read_bytes(), encoding)
    except (OSError, ValueError) as error:
        raise DataError(f"{tree}/{name} cannot be read as a table: {error}") from error


def rows_of(tree: FileTree, name: PurePosixPath, separator: str, reading: Reading) -> dict[str, list[str]]:
    """Captions by image file, named as in the table. Several rows with the same image are several captions.

    Raises:
        DataError: for a file that is not a table.
    """
    captions: dict[str, list[str]] = {}
    without = 0
    try:
        for row in csv.DictReader(io.StringIO(read_text(tree, name, reading.encoding), newline=""), delimiter=separator):
            image, caption = (row.get(column) or "" for column in (reading.image, reading.caption))
            if image.strip():
                captions.setdefault(image.strip(), []).extend(lines_of(caption))
            without += not image.strip()
    except csv.Error as error:
        raise DataError(f"{tree}/{name} cannot be read as a table: {error}") from error
    if without:
        log.warning("%s/%s: %d rows without an image; left out", tree, name, without)
    return captions
