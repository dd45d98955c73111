"""The server's SQLite database: several readers, and one writer that commits the changes of waiting requests together.

Durability: a change is confirmed only after its commit, and commits are synced (WAL, synchronous=FULL), so that whatever was confirmed to
a client survives kill -9 and power loss. A sync takes milliseconds; under load, all waiting requests share one.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from .errors import DamageError, InvalidRequestError, StartError, StorageError
from .integrity import Journal, check, damage
from .patterns import matches

Result = TypeVar("Result")
Work = Callable[[sqlite3.Connection], Result]
Change = tuple[Work[Any], Future[Any]]

READERS = 4
COMMITTED_TOGETHER = 64
_DISK = {
    *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN),
    *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB),
}
"""Primary codes of errors that concern every change, not only the request in which they occur."""

_REFUSED = (sqlite3.Error, OverflowError)
"""What SQLite raises; OverflowError for a number of more than 64 bits."""

_DOCUMENTS = ("project", "task", "model", "queue", "worker")

_DATA = [
    *(f"CREATE TABLE {name} (id TEXT PRIMARY KEY, doc TEXT NOT NULL)" for name in _DOCUMENTS),
    "CREATE INDEX project_name ON project (doc ->> '$.name')",
    "CREATE INDEX task_project ON task (doc ->> '$.project')",
    "CREATE INDEX task_status ON task (doc ->> '$.status')",
    "CREATE INDEX task_last_update ON task (doc ->> '$.last_update')",
    "CREATE INDEX task_parent ON task (doc ->> '$.parent')",
    "CREATE INDEX model_task ON model (doc ->> '$.task')",
    "CREATE INDEX model_project ON model (doc ->> '$.project')",
    # A task is in one queue at most. The order is by position, which is zero or negative for a task that was returned to the front.
    "CREATE TABLE entry (task TEXT PRIMARY KEY, queue TEXT NOT NULL, position INTEGER NOT NULL, added TEXT NOT NULL)",
    "CREATE INDEX entry_order ON entry (queue, position)",
    # One row per curve with its running statistics. Its points are stored together, in order of iteration.
    """CREATE TABLE series (
        id INTEGER PRIMARY KEY, owner TEXT NOT NULL, metric TEXT NOT NULL, variant TEXT NOT NULL,
        metric_hash TEXT NOT NULL, variant_hash TEXT NOT NULL, value REAL NOT NULL, iter INTEGER NOT NULL, timestamp INTEGER NOT NULL,
        min_value REAL NOT NULL, min_iter INTEGER NOT NULL, max_value REAL NOT NULL, max_iter INTEGER NOT NULL,
        UNIQUE (owner, metric, variant))""",
    """CREATE TABLE point (
        series INTEGER NOT NULL, iter INTEGER NOT NULL, timestamp INTEGER NOT NULL, value REAL NOT NULL,
        PRIMARY KEY (series, iter, timestamp)) WITHOUT ROWID""",
    # Everything else that runs report: log lines, plots, images, vectors. `doc` is the event as sent.
    """CREATE TABLE event (
        id INTEGER PRIMARY KEY, owner TEXT NOT NULL, type TEXT NOT NULL, timestamp INTEGER NOT NULL,
        metric TEXT, variant TEXT, iter INTEGER, doc TEXT NOT NULL)""",
    "CREATE INDEX event_time ON event (owner, type, timestamp)",
    "CREATE INDEX event_metric ON event (owner, type, metric, variant, iter)",
]
_LEASES = [
    # Tasks held by workers, with the monotonic time of the last sign of life; and sessions that have lost a task.
    """CREATE TABLE lease (
        task TEXT PRIMARY KEY, queue TEXT NOT NULL, session TEXT NOT NULL, worker TEXT NOT NULL, started INTEGER NOT NULL,
        heard REAL NOT NULL)""",
    "CREATE TABLE lost (task TEXT NOT NULL, session TEXT NOT NULL, PRIMARY KEY (task, session)) WITHOUT ROWID",
]
_TIMES = [
    # Points in order of time, in which a run's events are paged.
    "CREATE INDEX point_time ON point (series, timestamp, iter)",
]
_STEPS = (_DATA, _LEASES, _TIMES)
"""What each version of the format adds to the previous one."""
VERSION = len(_STEPS)


class Store:
    """The data folder's database.

    Raises:
        StartError: the file was written by a newer version, is damaged or not a database, or the disk is full.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        try:
            journal = Journal(path)
            self._writer = self._connect()
            _prepare(self._writer, path)
            journal.compare(self._writer)
            check(self._writer, path, ended_well=not journal.is_there)
        except sqlite3.Error as error:
            damaged = getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
            raise StartError(damage(path, str(error)) if damaged else f"cannot use {path}: {error}") from error
        self._waiting = _Waiting()
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="reader")
        self._thread = threading.Thread(target=self._write_loop, name="writer", daemon=True)
        self._thread.start()

    def read(self, work: Work[Result]) -> Future[Result]:
        """Run `work` on a consistent snapshot of the database."""
        return self._readers.submit(self._read, work)

    def write(self, work: Work[Result], *, large: bool = False) -> Future[Result]:
        """Run `work` as an atomic change; the future is done once it is on disk. Large changes let small ones go first."""
        future: Future[Result] = Future()
        self._waiting.put((work, future), large)
        return future

    def close(self) -> None:
        """Finish all waiting changes, and close the database."""
        self._waiting.end()
        self._thread.join()
        self._readers.shutdown()
        for connection in self._connections:
            connection.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, cached_statements=256, timeout=30)
        self._connections.append(connection)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA cache_size=-32000")
        connection.create_function("matches", 2, matches, deterministic=True)
        return connection

    def _read(self, work: Work[Result]) -> Result:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
            connection.execute("PRAGMA query_only=ON")
        connection.execute("BEGIN")
        try:
            return work(connection)
        except _REFUSED as error:
            if not _of_disk(error):
                raise _refusal(error) from error
            raise DamageError(f"the server could not read its data: {error}") from error
        finally:
            connection.execute("COMMIT")

    def _write_loop(self) -> None:
        while together := self._waiting.take():
            self._commit(together)

    def _commit(self, together: list[Change]) -> None:
        results: list[tuple[Future[Any], Any, Exception | None]] = []
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            for work, future in together:
                results.append((future, *self._change(work)))
            self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                self._writer.execute("ROLLBACK")
            refusal = StorageError(f"the server could not store this request, and kept nothing of it: {error}")
            results = [(future, None, refusal) for _, future in together]
        for future, result, problem in results:
            if problem is None:
                future.set_result(result)
            else:
                future.set_exception(problem)

    def _change(self, work: Work[Any]) -> tuple[Any, Exception | None]:
        """Apply one request's change; if it is refused, undo only this change."""
        self._writer.execute("SAVEPOINT change")
        try:
            result, problem = work(self._writer), None
        except Exception as error:
            if _of_disk(error):
                raise  # the whole transaction is gone
            result, problem = None, _refusal(error) if isinstance(error, _REFUSED) else error
            self._writer.execute("ROLLBACK TO change")
        self._writer.execute("RELEASE change")
        return result, problem


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise StartError(f"{path.parent} was written by a newer version of this server (format {version}, this one reads {VERSION})")
    if version < VERSION:
        connection.execute("BEGIN IMMEDIATE")
        for statement in (statement for step in _STEPS[version:] for statement in step):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version={VERSION}")
        connection.execute("COMMIT")


class _Waiting:
    """Waiting changes: many small ones are taken together, then a single large one, so that neither kind delays the other for long."""

    def __init__(self) -> None:
        self._small: deque[Change] = deque()
        self._large: deque[Change] = deque()
        self._large_is_next = False
        self._ended = False
        self._something = threading.Condition()

    def put(self, change: Change, large: bool) -> None:
        with self._something:
            (self._large if large else self._small).append(change)
            self._something.notify()

    def end(self) -> None:
        """Announce that no more changes will follow."""
        with self._something:
            self._ended = True
            self._something.notify()

    def take(self) -> list[Change]:
        """The changes to commit next; waits until there are any. Empty after the end."""
        with self._something:
            self._something.wait_for(lambda: self._small or self._large or self._ended)
            if self._large and (self._large_is_next or not self._small):
                self._large_is_next = False
                return [self._large.popleft()]
            self._large_is_next = True
            return [self._small.popleft() for _ in range(min(len(self._small), COMMITTED_TOGETHER))]


def _of_disk(error: Exception) -> bool:
    """Whether an error concerns every change. Otherwise one request exceeded a limit of SQLite, or had a value it cannot store."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DISK


def _refusal(error: Exception) -> InvalidRequestError:
    return InvalidRequestError(
        f"Validation error: the request exceeds a limit of the database, or contains a value that it cannot store: {error}"
    )
