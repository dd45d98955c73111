"""The rows of a table's text, quoted as csv writers quote, or not at all; a text that is read as neither is an error, never a guess."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from harness.errors import DataError
from harness.torch.decoding import image_suffixes

ENDS = re.compile(r"\r\n?|\n")
"""Line ends of Unix, Windows and old Macs; Python's `str.splitlines` knows others, which may stand in captions."""
TRAILING = re.compile(r'" +(?=[\r\n]|\Z)')
"""Blanks after a quote at the end of a line."""
SEP = re.compile(r"sep=(.)\s*", re.IGNORECASE)
"""The line before the header in which Excel states the separator."""


@dataclass(frozen=True)
class Form:
    """How a table is written, as its header shows."""

    mark: str
    """The separator."""
    columns: tuple[str, ...]
    image: int
    """Place of the column of images."""
    caption: int
    """Place of the column of captions."""
    spaced: bool = False
    """Whether blanks follow the separators."""

    def separated(self, line: str) -> list[str]:
        """A line's fields without regard to quotes."""
        return [field.strip() for field in line.split(self.mark)]


@dataclass
class Rows:
    """Line number and fields of each row below the header; the number is that of the line in which the row begins."""

    rows: list[tuple[int, list[str]]]
    unclosed: str = ""
    """Why the text was read without regard to quotes; empty if it was read with them."""


class QuoteError(Exception):
    """Quotes that a csv writer would not have put so."""


def rows_in(text: str, form: Form, name: str) -> Rows:
    """The rows of a text, which begins with the header.

    Quotes must be closed, and doubled within quotes, as Python's csv, pandas, Excel and LibreOffice write them. If they are not, but each
    line alone is a row, then quotes are characters like others: the text was written without quoting.

    Args:
        text: all of it.
        form: as its header shows.
        name: of the table, for errors.

    Raises:
        DataError: when it is neither, or rows have more fields than the header: something in them would be cut off.
    """
    try:
        found = Rows(list(quoted(text, form)))
    except QuoteError as error:
        plain = unquoted(text, form)
        if plain is None:
            raise DataError(f'{name}: {error}; a caption that begins with a quote must be written as """red"" birds"') from error
        found = Rows(plain, str(error))
    width = len(form.columns)
    if long := [(line, row) for line, row in found.rows if len(row) > width and any(map(str.strip, row[width:]))]:
        line, row = long[0]
        what = f"{len(long)} rows have more fields than the header's {width}, e.g. line {line}: {' | '.join(row)[:200]}"
        raise DataError(f"{name}: {what}; a caption with {form.mark!r} in it must be in quotes")
    return found


def quoted(text: str, form: Form) -> Iterator[tuple[int, list[str]]]:
    """Rows with quotes as in RFC 4180.

    Raises:
        QuoteError: for a quote that is not closed, or text after a closed one, or a field that takes in other rows.
    """
    reader = csv.reader(io.StringIO(TRAILING.sub('"', text), newline=""), delimiter=form.mark, strict=True, skipinitialspace=form.spaced)
    line, header = 1, True
    try:
        for row in reader:
            if reader.line_num > line:
                check_lines(row, line, form)
            if any(row):
                if not header:
                    yield line, row
                header = header and bool(SEP.fullmatch(form.mark.join(row)))
            line = reader.line_num + 1
    except csv.Error as error:
        raise QuoteError(f"the quotes of the row in line {line} are wrong ({error})") from error


def check_lines(row: Sequence[str], line: int, form: Form) -> None:
    """Check that no line within a quoted field is a row itself: as many fields as the header, the image among them."""
    suffixes = {PurePosixPath(row[form.image]).suffix.lower()} if len(row) > form.image else set()
    for field in row:
        for number, inner in enumerate(ENDS.split(field)[1:], line + 1):
            fields = form.separated(inner)
            if len(fields) == len(form.columns) > 1:
                suffix = PurePosixPath(fields[form.image].strip('"')).suffix.lower()
                if suffix and suffix in (image_suffixes() | suffixes):
                    raise QuoteError(f"the quote that opens in line {line} takes in the row of line {number}: {inner.strip()[:80]}")


def unquoted(text: str, form: Form) -> list[tuple[int, list[str]]] | None:
    """Rows without regard to quotes; None unless each line is a row, with its image not in quotes."""
    rows = [(number, form.separated(line)) for number, line in enumerate(ENDS.split(text), 1) if line.strip()]
    rows = rows[2 if rows and SEP.fullmatch(form.mark.join(rows[0][1])) else 1 :]
    whole = all(len(row) == len(form.columns) and not row[form.image].startswith('"') for _, row in rows)
    return rows if whole else None
