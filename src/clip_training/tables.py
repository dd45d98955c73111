"""Tables of pairs, as open_clip's training program takes them: a column of image files, a column of captions."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from harness.errors import DataError, ParameterError
from harness.settings import nearest

from .sources import Source
from .texts import lines_of, text_of

log = logging.getLogger(__name__)

SEPARATORS = {".csv": ",\t;", ".tsv": "\t,;"}
"""By suffix, the likeliest first: open_clip writes tabs into its .csv files."""


@dataclass(frozen=True)
class Reading:
    """How a data set's texts are read."""

    image: str = "filepath"
    """A table's column of images."""
    caption: str = "title"
    """A table's column of captions, and a key of a shard's .json."""
    encoding: str = "utf-8"
    """Of captions, tables and lists."""


def tables_of(source: Source, reading: Reading, *, demanded: bool = False) -> dict[PurePosixPath, str]:
    """The tables at the top of a tree that have both columns, with their separators.

    Raises:
        ParameterError: when they are `demanded` and there is none.
    """
    found: dict[PurePosixPath, str] = {}
    others: list[str] = []
    for name in source.names():
        if len(name.parts) == 1 and name.suffix.lower() in SEPARATORS:
            header = read_text(source, name, reading.encoding).partition("\n")[0].strip("\r")
            rows = {mark: next(csv.reader([header], delimiter=mark), []) for mark in SEPARATORS[name.suffix.lower()]}
            separator = next((mark for mark, row in rows.items() if {reading.image, reading.caption} <= set(row)), "")
            if separator:
                found[name] = separator
            else:
                others.append(f"{name} has the columns {', '.join(max(rows.values(), key=len))}")
                others[-1] += nearest(reading.image, max(rows.values(), key=len))
    if demanded and not found:
        raise ParameterError(
            [f"data.image_column={reading.image} data.caption_column={reading.caption}: no table in {source} has both; {listed(others)}"]
        )
    return found


def listed(texts: Sequence[str]) -> str:
    return "; ".join(texts[:4]) or "it holds neither .csv nor .tsv"


def read_text(source: Source, name: PurePosixPath, encoding: str) -> str:
    try:
        return text_of(source.file(name).read_bytes(), encoding)
    except (OSError, ValueError) as error:
        raise DataError(f"{source}/{name} cannot be read as a table: {error}") from error


def rows_of(source: Source, name: PurePosixPath, separator: str, reading: Reading) -> dict[str, list[str]]:
    """Captions by image file, as the table names it; several rows of one image are several captions.

    Raises:
        DataError: for what is no table.
    """
    captions: dict[str, list[str]] = {}
    without = 0
    try:
        for row in csv.DictReader(io.StringIO(read_text(source, name, reading.encoding), newline=""), delimiter=separator):
            image, caption = (row.get(column) or "" for column in (reading.image, reading.caption))
            if image.strip():
                captions.setdefault(image.strip(), []).extend(lines_of(caption))
            without += not image.strip()
    except csv.Error as error:
        raise DataError(f"{source}/{name} cannot be read as a table: {error}") from error
    if without:
        log.warning("%s/%s: %d rows name no image; left out", source, name, without)
    return captions
