"""Reading captions, tables and lists as text, in a stated encoding."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Byte order marks, the longer ones first because UTF-16's is the start of UTF-32's."""


@dataclass(frozen=True)
class Reading:
    """How a dataset's texts are read."""

    image: str = "filepath"
    """A table's column of images."""
    caption: str = "title"
    """A table's column of captions, and the key of a caption in a shard's .json."""
    encoding: str = "utf-8"
    """Encoding of captions, tables and lists."""


def problem_of_encoding(name: str) -> str | None:
    """What is wrong with the name of an encoding, for checking settings."""
    try:
        "".encode(name)
    except (LookupError, ValueError):
        return "is not a text encoding that Python knows (some are utf-8, utf-16, latin-1, cp1252, gb18030)"
    return None


def text_of(content: bytes, encoding: str = "utf-8") -> str:
    """Decode bytes. UTF-8's byte order mark takes precedence over `encoding`.

    Raises:
        ValueError: when they are not in this encoding; the message names the setting.
    """
    if content.startswith(codecs.BOM_UTF8):
        encoding = "utf-8"
    try:
        text = content.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise ValueError(f"is not {encoding} text (at byte {error.start}); {advice(content)}") from error
    if "\0" in text and content.count(0) <= len(content) // 4:  # of UTF-16 that can be taken for UTF-8, half of the bytes are NULs
        raise ValueError(f"has a NUL, which is no character of a text, at byte {content.index(0)}")
    if "\0" in text:
        raise ValueError(f"is not {encoding} text (at byte {content.index(0)}); {advice(content)}")
    return text


def advice(content: bytes) -> str:
    likely = marked(content)
    if likely is None and 0 in content:
        likely = "utf-16-le" if content.index(0) % 2 else "utf-16-be"
    return f"it looks like data.encoding={likely}" if likely else "set data.encoding to its encoding, such as data.encoding=cp1252"


def marked(content: bytes) -> str | None:
    """The encoding that a byte order mark states, except UTF-8's; None without one."""
    return next((name for mark, name in MARKS.items() if content.startswith(mark)), None)


def lines_of(text: str) -> list[str]:
    """The lines that are not blank. Only newlines end a line, unlike with `str.splitlines`."""
    return [line.strip() for line in re.split(r"\r\n?|\n", text) if line.strip()]
