"""What the server itself sees to: tasks that were handed out and not started, tasks whose worker is gone, tasks that have fallen silent."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from . import leases, queues, statuses, workers
from .documents import TASKS

REASON = "Forced stop (non-responsive)"
PAUSE = 30.0
"""Seconds by which the clocks may part, or between two looks, before the server takes itself for one that was asleep."""


@dataclass(frozen=True)
class Limits:
    """Seconds that the server waits for a sign of life."""

    start: float = 60.0
    """For the start of a task that was handed out: an agent says it in its next request, before it fetches an image."""
    report: float = 100.0
    """For an agent's report of the task that it runs: it comes every 30 s. With the time between two looks, less than two minutes."""
    silence: float = 1800.0
    """For anything at all of a running task, which somebody may run without an agent."""

    @property
    def period(self) -> float:
        """Seconds between two looks."""
        return min(10.0, min(self.start, self.report, self.silence) / 4)


def look(db: sqlite3.Connection, limits: Limits, listened: float) -> list[str]:
    """Do what is due, as far as the server has `listened` for long enough; returns a line about each task."""
    said = []
    for limit, act in ((limits.start, return_unstarted), (limits.report, stop_abandoned), (limits.silence, stop_silent)):
        if listened >= limit:
            said += act(db, limit)
    return said


def return_unstarted(db: sqlite3.Connection, limit: float) -> list[str]:
    """Put what was handed out but not started for `limit` seconds back to the front of its queue, in the order in which it stood there."""
    said = []
    for lease in leases.overdue(db, limit, started=False):
        leases.end(db, lease.task, lost=True)
        if queues.take_back(db, lease.queue, lease.task):
            said.append(f"task {lease.task} was handed out to {lease.worker or 'somebody'} and not started in {limit:g} s: queued again")
    return said


def stop_abandoned(db: sqlite3.Connection, limit: float) -> list[str]:
    """Stop each running task that its worker has not reported for `limit` seconds."""
    said = []
    for lease in leases.overdue(db, limit, started=True):
        worker = lease.worker or "its agent"
        present = any(each["id"] == lease.worker and time.time() - each["seen"] <= limit / 2 for each in workers.alive(db))
        reason = f"worker {worker} does not run it any more" if present else f"worker {worker} is gone: no report for {limit:g} s"
        leases.end(db, lease.task, lost=True)
        said += _stop(db, lease.task, reason, reason)
    return said


def stop_silent(db: sqlite3.Connection, limit: float) -> list[str]:
    """Stop each running task without a ping or an event for `limit` seconds."""
    since = (datetime.now(UTC) - timedelta(seconds=limit)).isoformat(timespec="microseconds")
    silent = db.execute("SELECT id FROM task WHERE doc ->> '$.status' = 'in_progress' AND doc ->> '$.last_update' < ?", (since,)).fetchall()
    return [line for (task,) in silent for line in _stop(db, task, REASON, f"{REASON}: no sign of life for {limit:g} s")]


def _stop(db: sqlite3.Connection, task: str, reason: str, message: str) -> list[str]:
    found = TASKS.select(db, "id = ? AND doc ->> '$.status' = 'in_progress'", task)
    for document in found:
        statuses.change(db, document, "stopped", reason=reason, message=message)
    return [f"task {task} was stopped: {message}" for _ in found]


class Patience:
    """How long the server has been able to hear signs of life: silence during its own sleep or absence proves nothing.

    A suspended machine shows as a jump of the clock against the monotonic one, which stands still meanwhile; a server that was itself
    held up, as a look that comes late.
    """

    def __init__(self) -> None:
        self._since = self._looked = time.monotonic()
        self._offset = time.time() - time.monotonic()

    def listened(self) -> float:
        """Seconds since the start, or since the server or its machine last woke up."""
        now, offset = time.monotonic(), time.time() - time.monotonic()
        if abs(offset - self._offset) > PAUSE or now - self._looked > PAUSE:
            self._since = now
        self._looked, self._offset = now, offset
        return now - self._since
