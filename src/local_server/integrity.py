"""The integrity of the database, checked before it is served: SQLite itself notices damage only in what it happens to read."""

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
    """The write-ahead log beside a database, as it is before SQLite reads it."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + "-wal")
        self.is_there = self._path.exists() and self._path.stat().st_size > 0
        self._committed = self._frames() if self.is_there else 0

    def compare(self, connection: sqlite3.Connection) -> None:
        """If SQLite ignores commits in the file, because something before them is damaged, log a warning and keep a copy of the file."""
        read = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
        if self._committed > read:
            kept = self._path.with_name(self._path.name + ".damaged")
            shutil.copyfile(self._path, kept)
            log.warning(
                "the journal %s is damaged: the last %d of its %d pages could not be read, so the last changes before the server ended are "
                "missing; what is left of them is kept in %s",
                *(self._path, self._committed - read, self._committed, kept),
            )

    def _frames(self) -> int:
        """The number of pages up to the last commit of this journal, damaged or not. A page belongs to it if it has its salt.

        SQLite stops at the first page with a wrong checksum, and is silent about commits behind it. Hence the file is read here, by the
        format at https://www.sqlite.org/fileformat2.html#walformat, without checksums.
        """
        with self._path.open("rb") as file:
            header = file.read(_HEADER)
            if len(header) < _HEADER:
                return 0
            size, salt = struct.unpack(">I", header[8:12])[0], header[16:24]
            count = committed = 0
            whole = (self._path.stat().st_size - _HEADER) // (_FRAME + size)  # a truncated page was never committed
            while count < whole:
                frame = file.read(_FRAME)
                count += 1
                if frame[8:16] == salt and frame[4:8] != bytes(4):  # the size of the database after this commit
                    committed = count
                file.seek(size, 1)
        return committed


def check(connection: sqlite3.Connection, path: Path, *, ended_well: bool) -> None:
    """Check the whole database. One of over 2 GiB, which takes a minute, only if the last server was killed.

    Raises:
        StartError: the database is damaged.
    """
    if ended_well and path.stat().st_size > _LARGE:
        return
    found = [row[0] for row in connection.execute("PRAGMA quick_check(3)")]
    if found != ["ok"]:
        raise StartError(damage(path, "; ".join(" ".join(line.split()) for line in found)))


def damage(path: Path, reason: str) -> str:
    """The message about a damaged database, in one line."""
    return (
        f"{path} is damaged, so the server does not start ({reason[:200]}): move {path.name}, {path.name}-wal and {path.name}-shm out of "
        f"{path.parent}, and replace them by a backup, or by what `sqlite3 {path.name} .recover` can restore; without a replacement the "
        f"server starts empty. The files of runs, in {path.parent / 'files'}, are not affected"
    )
