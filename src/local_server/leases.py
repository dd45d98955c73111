"""Which worker holds which task, from the moment a queue hands it out until it ends.

A task that was handed out but not started is held by the session that took it: until it starts, no other agent may change it. Once it has
started, its worker has to keep reporting it. A session that has lost a task (it did not start it in time, or somebody took it back) is
refused every later change of it: that agent may still believe that it holds the task, and so no task is ever run by two agents.

Times are those of the monotonic clock, so that neither an adjustment of the clock nor a suspended machine ends a lease. They start over
when the server starts, as it could not hear from anybody before.
"""

from __future__ import annotations

import sqlite3
import time
from typing import NamedTuple

from .callers import Caller
from .errors import IllegalStatusError

_FIELDS = "task, queue, session, worker"


class Lease(NamedTuple):
    """A task held by a worker. `queue` is the one that handed it out, empty if none did; `worker` is empty while it is unknown."""

    task: str
    queue: str
    session: str
    worker: str


def take(db: sqlite3.Connection, task: str, queue: str, caller: Caller, worker: str) -> None:
    """A queue hands out a task. A previous holder loses it; the new one holds it, even if it had lost it before."""
    end(db, task, lost=True)
    db.execute("DELETE FROM lost WHERE task = ? AND session = ?", (task, caller.session))
    db.execute(
        f"INSERT INTO lease ({_FIELDS}, started, heard) VALUES (?, ?, ?, ?, 0, ?)",
        (task, queue, caller.session, worker, time.monotonic()),
    )


def start(db: sqlite3.Connection, task: str, caller: Caller) -> None:
    """A task starts. From now on its agent has to report it; a caller that is not an agent does not, and holds no lease."""
    if caller.agent:
        db.execute("UPDATE lease SET started = 1, heard = ? WHERE task = ?", (time.monotonic(), task))
    else:
        db.execute("DELETE FROM lease WHERE task = ? AND NOT started", (task,))


def report(db: sqlite3.Connection, task: str, caller: Caller, worker: str) -> None:
    """A worker reports that it runs a task. Before the start, only the holder's report counts; afterwards, whoever reports it holds it.

    A running task without a lease gets one: its agent reports it, and is missed when it stops to do so.
    """
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
    """The session that holds a task gave a sign of life."""
    if caller.session:
        db.execute("UPDATE lease SET heard = ? WHERE task = ? AND session = ?", (time.monotonic(), task, caller.session))


def end(db: sqlite3.Connection, task: str, *, lost: bool = False) -> None:
    """End a task's lease. The holder may not change the task any more if it had not started it, or if it has `lost` it."""
    db.execute(
        "INSERT OR IGNORE INTO lost SELECT task, session FROM lease WHERE task = ? AND session != '' AND (? OR NOT started)", (task, lost)
    )
    db.execute("DELETE FROM lease WHERE task = ?", (task,))


def forget(db: sqlite3.Connection, task: str) -> None:
    """Remove everything about a task that is deleted."""
    for table in ("lease", "lost"):
        db.execute(f"DELETE FROM {table} WHERE task = ?", (task,))


def has_lost(db: sqlite3.Connection, task: str, caller: Caller) -> bool:
    return db.execute("SELECT 1 FROM lost WHERE task = ? AND session = ?", (task, caller.session)).fetchone() is not None


def check(db: sqlite3.Connection, task: str, caller: Caller) -> None:
    """Raises IllegalStatusError unless the caller may change the task."""
    if has_lost(db, task, caller):
        raise IllegalStatusError(f"task {task} no longer belongs to this agent: it was not started or reported in time, or was taken back")
    in_other_hands = "SELECT 1 FROM lease WHERE task = ? AND NOT started AND session != ?"
    if caller.agent and db.execute(in_other_hands, (task, caller.session)).fetchone():
        raise IllegalStatusError(f"task {task} was handed out to another agent")


def overdue(db: sqlite3.Connection, limit: float, *, started: bool) -> list[Lease]:
    """The leases without a sign of life for `limit` seconds, the last one handed out first."""
    rows = db.execute(
        f"SELECT {_FIELDS} FROM lease WHERE started = ? AND heard <= ? ORDER BY rowid DESC", (started, time.monotonic() - limit)
    )
    return [Lease(*row) for row in rows]


def is_reported(db: sqlite3.Connection, task: str, within: float) -> bool:
    """Whether a running task's worker has given a sign of life within so many seconds."""
    since = time.monotonic() - within
    return db.execute("SELECT 1 FROM lease WHERE task = ? AND started AND heard > ?", (task, since)).fetchone() is not None


def resume(db: sqlite3.Connection) -> None:
    """Start all times over, when the server starts: it heard nothing while it was down."""
    db.execute("UPDATE lease SET heard = ?", (time.monotonic(),))
