"""Tasks that the server itself takes care of: handed out but not started, abandoned by their worker, or unresponsive."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from . import leases, queues, statuses, workers
from .documents import TASKS

REASON = "Forced stop (non-responsive)"
PAUSE = 30.0
"""Seconds between two checks, or of difference between the two clocks, above which the server assumes that it was suspended."""


@dataclass(frozen=True)
class Limits:
    """Seconds for which the server waits for a sign of life."""

    start: float = 60.0
    """Until a task that was handed out starts: an agent says so in its next request, before it pulls an image."""
    report: float = 100.0
    """Between two reports of an agent about a running task, which come every 30 s. With the time between checks, under two minutes."""
    silence: float = 1800.0
    """Between any two signs of life of a running task, which a person may run without an agent."""

    @property
    def period(self) -> float:
        """Seconds between two checks."""
        return min(10.0, min(self.start, self.report, self.silence) / 4)


def look(db: sqlite3.Connection, limits: Limits, listened: float) -> list[str]:
    """Do what is due, if the server has `listened` for long enough; returns a log line about each affected task."""
    said = []
    for limit, act in ((limits.start, return_unstarted), (limits.report, stop_abandoned), (limits.silence, stop_silent)):
        if listened >= limit:
            said += act(db, limit)
    return said


def return_unstarted(db: sqlite3.Connection, limit: float) -> list[str]:
    """Return tasks that were not started within `limit` seconds after they were handed out to the front of their queue, in their order."""
    said = []
    for lease in leases.overdue(db, limit, started=False):
        leases.end(db, lease.task, lost=True)
        if queues.take_back(db, lease.queue, lease.task):
            holder = lease.worker or "an unknown agent"
            said.append(f"task {lease.task}, handed out to {holder}, was not started within {limit:g} s: returned to its queue")
    return said


def stop_abandoned(db: sqlite3.Connection, limit: float) -> list[str]:
    """Stop running tasks that their worker has not reported for `limit` seconds."""
    said = []
    for lease in leases.overdue(db, limit, started=True):
        worker = lease.worker or "its agent"
        present = any(each["id"] == lease.worker and time.time() - each["seen"] <= limit / 2 for each in workers.alive(db))
        reason = f"worker {worker} no longer runs it" if present else f"worker {worker} is gone: no report for {limit:g} s"
        leases.end(db, lease.task, lost=True)
        said += _stop(db, lease.task, reason, reason)
    return said


def stop_silent(db: sqlite3.Connection, limit: float) -> list[str]:
    """Stop running tasks without a ping or an event for `limit` seconds."""
    since = (datetime.now(UTC) - timedelta(seconds=limit)).isoformat(timespec="microseconds")
    silent = db.execute("SELECT id FROM task WHERE doc ->> '$.status' = 'in_progress' AND doc ->> '$.last_update' < ?", (since,)).fetchall()
    return [line for (task,) in silent for line in _stop(db, task, REASON, f"{REASON}: no sign of life for {limit:g} s")]


def _stop(db: sqlite3.Connection, task: str, reason: str, message: str) -> list[str]:
    found = TASKS.select(db, "id = ? AND doc ->> '$.status' = 'in_progress'", task)
    for document in found:
        statuses.change(db, document, "stopped", reason=reason, message=message)
    return [f"task {task} was stopped: {message}" for _ in found]


class Patience:
    """How long the server has been able to hear signs of life: silence while it was itself suspended or down proves nothing.

    The monotonic clock stands still while the machine is suspended, so the other clock then jumps relative to it. A server that was itself
    blocked is recognised by a check that comes late.
    """

    def __init__(self) -> None:
        self._since = self._looked = time.monotonic()
        self._offset = time.time() - time.monotonic()

    def listened(self) -> float:
        """Seconds since the start, or since the server or its machine last resumed."""
        now, offset = time.monotonic(), time.time() - time.monotonic()
        if abs(offset - self._offset) > PAUSE or now - self._looked > PAUSE:
            self._since = now
        self._looked, self._offset = now, offset
        return now - self._since
