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
    """What is read, cut at the ends of lines and of a progress bar's states, or where a line is too long."""
    begun = bytearray()  # a line, whose end has not come yet
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
    """Writes lines to a log, each in the last of the states that carriage returns have given it."""

    def __init__(self, log: BinaryIO) -> None:
        self.log = log
        self.state = b""
        """What a carriage return has gone back before: the next piece replaces it, unless that begins with the line's end."""

    def write(self, piece: bytes) -> None:
        """Take a piece in which a carriage return is the last byte, or the last but one before a newline, if there is one."""
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
