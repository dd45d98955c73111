"""The output of a run's ranks, copied as it arrives: everything to the terminal; to the log, only the last state of each progress bar."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterable, Iterator
from typing import BinaryIO, TextIO

TERMINAL = "HARNESS_TERMINAL"
"""Environment variable: the output of this rank is shown on a terminal, although its standard output is a pipe."""
READ = 65536
"""Bytes."""
LONGEST = 1 << 20
"""Bytes of a line that are held until the line ends; longer lines are copied in pieces, so that memory stays bounded."""


def reads(descriptor: int) -> Iterator[bytes]:
    """Whatever can be read at once, until the other end is closed."""
    while read := os.read(descriptor, READ):
        yield read


def pass_on(source: Iterable[bytes], terminal: TextIO, log: BinaryIO) -> None:
    """Copy the output in linear time and constant memory."""
    text, states = codecs.getincrementaldecoder("utf-8")("replace"), States(log)
    for part in parts(source):
        for piece in part.splitlines(keepends=True) if b"\r" in part else [part]:
            terminal.write(text.decode(piece))
            states.write(piece)
        terminal.flush()
        log.flush()
    terminal.write(text.decode(b"", final=True))
    terminal.flush()
    states.close()


def parts(source: Iterable[bytes]) -> Iterator[bytes]:
    """The output, cut at the ends of lines and at carriage returns, or where a line is too long.

    Only the newly read bytes are searched for an end: searching the whole line each time would take quadratic time.
    """
    begun = bytearray()  # a line that has not ended yet
    for read in source:
        cut = max(read.rfind(b"\n"), read.rfind(b"\r")) + 1
        if cut:
            yield bytes(begun + read[:cut])
            begun.clear()
        begun += read[cut:]
        if len(begun) >= LONGEST:
            yield bytes(begun)
            begun.clear()
    if begun:
        yield bytes(begun)


class States:
    """Writes lines to a log. Of a line that carriage returns have overwritten, such as a progress bar, only the last state is written."""

    def __init__(self, log: BinaryIO) -> None:
        self.log = log
        self.state = b""
        """The text before the last carriage return: the next piece replaces it, unless the line ends there."""

    def write(self, piece: bytes) -> None:
        """Take a piece. A carriage return can only be at its end, or just before a newline at its end."""
        if piece.endswith(b"\r"):
            self.state = piece[:-1] or self.state
            return
        if piece.startswith((b"\n", b"\r\n")):
            self.log.write(self.state)
        self.log.write(piece.replace(b"\r\n", b"\n"))
        self.state = b""

    def close(self) -> None:
        if self.state:
            self.log.write(self.state + b"\n")
            self.log.flush()
