"""Which worker has which task, from the moment that a queue hands it out until it ends.

A task that was handed out is held, not started yet, by the session that took it: meanwhile no other agent may touch it. Once it has
started, its worker must go on reporting it. A session that lost a task (it did not start it in time, or somebody took the task back) is
refused whatever it wants to do to it from then on, so that the task is in one agent's hands at most.

Times are the monotonic clock's: no step of the machine's clock and no sleep of the machine ends a lease. They begin anew when the server
starts, as it could hear nobody before.
"""

from __future__ import annotations

import sqlite3
import time
from typing import NamedTuple

from .callers import Caller
from .errors import IllegalStatusError

_FIELDS = "task, queue, session, worker"


class Lease(NamedTuple):
    """A task in a worker's hands. `queue` is the one that handed it out, empty if none did; `worker` is empty while nobody knows it."""

    task: str
    queue: str
    session: str
    worker: str


def take(db: sqlite3.Connection, task: str, queue: str, caller: Caller, worker: str) -> None:
    """A queue hands a task out. Whoever had it has lost it; the new holder has it, whatever was before."""
    end(db, task, lost=True)
    db.execute("DELETE FROM lost WHERE task = ? AND session = ?", (task, caller.session))
    db.execute(
        f"INSERT INTO lease ({_FIELDS}, started, heard) VALUES (?, ?, ?, ?, 0, ?)",
        (task, queue, caller.session, worker, time.monotonic()),
    )


def start(db: sqlite3.Connection, task: str, caller: Caller) -> None:
    """A task starts: from now on its agent has to report it. Whoever is no agent need not, and holds nothing."""
    if caller.agent:
        db.execute("UPDATE lease SET started = 1, heard = ? WHERE task = ?", (time.monotonic(), task))
    else:
        db.execute("DELETE FROM lease WHERE task = ? AND NOT started", (task,))


def report(db: sqlite3.Connection, task: str, caller: Caller, worker: str) -> None:
    """A worker says that it has a task. One that was handed out is kept by its holder alone; one that runs by whoever reports it."""
    known = db.execute("SELECT started, session FROM lease WHERE task = ?", (task,)).fetchone()
    if known and (known[0] or known[1] == caller.session):
        db.execute("UPDATE lease SET worker = ?, session = ?, heard = ? WHERE task = ?", (worker, caller.session, time.monotonic(), task))
    elif not known:
        db.execute(
            f"""INSERT INTO lease ({_FIELDS}, started, heard) SELECT id, '', ?, ?, 1, ? FROM task
            WHERE id = ? AND doc ->> '$.status' = 'in_progress'""",
            (caller.session, worker, time.monotonic(), task),
        )


def hear(db: sqlite3.Connection, task: str, caller: Caller) -> None:
    """The session that has a task gave a sign of life."""
    if caller.session:
        db.execute("UPDATE lease SET heard = ? WHERE task = ? AND session = ?", (time.monotonic(), task, caller.session))


def end(db: sqlite3.Connection, task: str, *, lost: bool = False) -> None:
    """A task is in nobody's hands any more. Its holder may do nothing more to it if it had not started it, or has `lost` it."""
    db.execute(
        "INSERT OR IGNORE INTO lost SELECT task, session FROM lease WHERE task = ? AND session != '' AND (? OR NOT started)", (task, lost)
    )
    db.execute("DELETE FROM lease WHERE task = ?", (task,))


def forget(db: sqlite3.Connection, task: str) -> None:
    """The task is deleted."""
    for table in ("lease", "lost"):
        db.execute(f"DELETE FROM {table} WHERE task = ?", (task,))


def has_lost(db: sqlite3.Connection, task: str, caller: Caller) -> bool:
    return db.execute("SELECT 1 FROM lost WHERE task = ? AND session = ?", (task, caller.session)).fetchone() is not None


def check(db: sqlite3.Connection, task: str, caller: Caller) -> None:
    """Raises IllegalStatusError unless the caller may change the task."""
    if has_lost(db, task, caller):
        raise IllegalStatusError(f"task {task} is not this agent's any more: it was not started or reported in time, or was taken back")
    in_other_hands = "SELECT 1 FROM lease WHERE task = ? AND NOT started AND session != ?"
    if caller.agent and db.execute(in_other_hands, (task, caller.session)).fetchone():
        raise IllegalStatusError(f"task {task} was handed out to another agent")


def overdue(db: sqlite3.Connection, limit: float, *, started: bool) -> list[Lease]:
    """The leases of which nothing was heard for `limit` seconds, last handed out first."""
    rows = db.execute(
        f"SELECT {_FIELDS} FROM lease WHERE started = ? AND heard <= ? ORDER BY rowid DESC", (started, time.monotonic() - limit)
    )
    return [Lease(*row) for row in rows]


def is_reported(db: sqlite3.Connection, task: str, within: float) -> bool:
    """Was a running task heard of by its worker within so many seconds?"""
    since = time.monotonic() - within
    return db.execute("SELECT 1 FROM lease WHERE task = ? AND started AND heard > ?", (task, since)).fetchone() is not None


def resume(db: sqlite3.Connection) -> None:
    """The server starts: times of before say nothing."""
    db.execute("UPDATE lease SET heard = ?", (time.monotonic(),))
