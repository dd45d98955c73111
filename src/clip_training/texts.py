"""Captions, tables and lists as text, in the encoding that a person names."""

from __future__ import annotations

import codecs
import re

MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Byte order marks, the longer ones first."""


def problem_of_encoding(name: str) -> str | None:
    """What is wrong with the name of an encoding, for settings."""
    try:
        "".encode(name)
    except (LookupError, ValueError):
        return "is no encoding of text that Python knows; utf-8, utf-16, latin-1, cp1252, gb18030 are some"
    return None


def text_of(content: bytes, encoding: str = "utf-8") -> str:
    """Bytes as text. UTF-8's byte order mark says what it is, whatever the setting.

    Raises:
        ValueError: they are not in this encoding; names the setting.
    """
    if content.startswith(codecs.BOM_UTF8):
        encoding = "utf-8"
    try:
        text = content.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise ValueError(f"is no {encoding} text (at byte {error.start}); {advice(content)}") from error
    if "\0" in text:
        raise ValueError(f"is no {encoding} text (at byte {content.index(0)}); {advice(content)}")
    return text


def advice(content: bytes) -> str:
    likely = next((name for mark, name in MARKS.items() if content.startswith(mark)), None)
    if likely is None and 0 in content:
        likely = "utf-16-le" if content.index(0) % 2 else "utf-16-be"
    return f"it looks like data.encoding={likely}" if likely else "data.encoding says what it is, such as data.encoding=latin-1"


def lines_of(text: str) -> list[str]:
    """The lines that are not blank. What ends one is a newline, and no other character that Python takes for its end."""
    return [line.strip() for line in re.split(r"\r\n?|\n", text) if line.strip()]
