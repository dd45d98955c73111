"""The output of a run's ranks, passed on as it comes: all of it to the terminal, of each progress bar the last state to the log."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterable, Iterator
from typing import BinaryIO, TextIO

READ = 65536
LONGEST = 1 << 20
"""Bytes of a line that are kept until its end comes; a longer one is passed on in pieces."""


def reads(descriptor: int) -> Iterator[bytes]:
    """What can be read at a time, until the other end is closed."""
    while read := os.read(descriptor, READ):
        yield read


def pass_on(source: Iterable[bytes], terminal: TextIO, log: BinaryIO) -> None:
    """Copy what is read, in time that grows with its length and memory that does not."""
    text, states = codecs.getincrementaldecoder("utf-8")("replace"), States(log)
    for pieces in batches(source):
        for piece in pieces:
            terminal.write(text.decode(piece))
            states.write(piece)
        terminal.flush()
        log.flush()
    terminal.write(text.decode(b"", final=True))
    terminal.flush()
    states.close()


def batches(source: Iterable[bytes]) -> Iterator[list[bytes]]:
    """What can be passed on at a time: lines, states of progress bars (they end with a carriage return), pieces of long lines."""
    rest = bytearray()
    for read in source:
        cut = max(read.rfind(b"\n"), read.rfind(b"\r")) + 1
        rest += read[:cut]
        pieces = bytes(rest).splitlines(keepends=True) if cut else []
        if cut:
            rest.clear()
        rest += read[cut:]
        if len(rest) >= LONGEST:
            pieces.append(bytes(rest))
            rest.clear()
        if pieces:
            yield pieces
    if rest:
        yield [bytes(rest)]


class States:
    """Writes lines to a log, each in the last of the states that carriage returns have given it."""

    def __init__(self, log: BinaryIO) -> None:
        self.log = log
        self.state = b""
        """What stands in the line that a carriage return has gone back in: the next piece replaces it, unless that is the line's end."""

    def write(self, piece: bytes) -> None:
        text = piece.rstrip(b"\r\n")
        end = piece[len(text) :]
        if end == b"\r":
            self.state = text or self.state
        else:
            self.log.write((text or (self.state if end else b"")) + (b"\n" if end else b""))
            self.state = b""

    def close(self) -> None:
        if self.state:
            self.log.write(self.state + b"\n")
            self.log.flush()
