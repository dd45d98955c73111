"""Whether a database is whole: looked at before it is served, as SQLite itself notices damage only where it happens to read."""

from __future__ import annotations

import logging
import shutil
import sqlite3
import struct
from pathlib import Path

from .errors import StartError

_HEADER, _FRAME = 32, 24
_LARGE = 2 * 2**30
log = logging.getLogger("local_server")


class Journal:
    """The write-ahead log beside a database, as it lies there before SQLite reads it."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + "-wal")
        self.is_there = self._path.exists() and self._path.stat().st_size > 0
        self._committed = self._frames() if self.is_there else 0

    def compare(self, connection: sqlite3.Connection) -> None:
        """Say so, and keep what is left, when SQLite leaves out commits that the file holds: something before them is damaged."""
        read = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
        if self._committed > read:
            kept = self._path.with_name(self._path.name + ".damaged")
            shutil.copyfile(self._path, kept)
            log.warning(
                "the journal %s is damaged: of its %d pages the last %d could not be read, and the changes in them are missing. They were "
                "the last before the server was ended; what is left of them is kept in %s",
                *(self._path, self._committed, self._committed - read, kept),
            )

    def _frames(self) -> int:
        """Pages up to the last commit that belongs to this journal, whole or not: each page says by its salt to which it does."""
        with self._path.open("rb") as file:
            header = file.read(_HEADER)
            if len(header) < _HEADER:
                return 0
            size, salt = struct.unpack(">I", header[8:12])[0], header[16:24]
            count = committed = 0
            whole = (self._path.stat().st_size - _HEADER) // (_FRAME + size)  # a page that was cut off was never committed
            while count < whole:
                frame = file.read(_FRAME)
                count += 1
                if frame[8:16] == salt and frame[4:8] != bytes(4):  # the size of the database after this commit
                    committed = count
                file.seek(size, 1)
        return committed


def check(connection: sqlite3.Connection, path: Path, *, ended_well: bool) -> None:
    """Look through the whole database; through one of over 2 GiB only if the server before did not end well, as that takes a minute.

    Raises:
        StartError: it is damaged.
    """
    if ended_well and path.stat().st_size > _LARGE:
        return
    found = [row[0] for row in connection.execute("PRAGMA quick_check(3)")]
    if found != ["ok"]:
        raise StartError(damage(path, "; ".join(" ".join(line.split()) for line in found)))


def damage(path: Path, reason: str) -> str:
    """What to tell who has a damaged database: one line."""
    return (
        f"{path} is damaged and not served ({reason[:200]}): move {path.name}, {path.name}-wal and {path.name}-shm out of {path.parent} "
        f"and put a copy of yours in their place, or what `sqlite3 {path.name} .recover` finds; without one the server starts empty. "
        f"Files of runs lie apart, in {path.parent / 'files'}, and stay"
    )
