"""Tasks that say they run but have fallen silent: their process was killed, or its machine went away."""

from __future__ import annotations

import sqlite3
import time
from datetime import UTC, datetime, timedelta

from . import statuses
from .documents import TASKS
from .errors import AnswerError

REASON = "Forced stop (non-responsive)"


def stop_silent(db: sqlite3.Connection, limit: float) -> list[str]:
    """Stop each running task without a ping or an event for `limit` seconds; returns their IDs."""
    since = (datetime.now(UTC) - timedelta(seconds=limit)).isoformat(timespec="microseconds")
    stopped = []
    for task in TASKS.select(db, "doc ->> '$.status' = 'in_progress' AND doc ->> '$.last_update' < ?", since):
        message = f"{REASON}: no sign of life for {limit:g} s"
        try:
            statuses.change(db, task, "stopped", reason=REASON, message=message)
        except AnswerError:  # it ended in the meantime
            continue
        stopped.append(task["id"])
    return stopped


class Patience:
    """How long the server has been able to hear signs of life: silence during its own sleep or absence proves nothing.

    A suspended machine shows as a jump of the clock against the monotonic one, which stands still meanwhile.
    """

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._offset = time.time() - time.monotonic()

    def listened(self) -> float:
        """Seconds since the start, or since the machine last woke up."""
        offset = time.time() - time.monotonic()
        if abs(offset - self._offset) > 30:
            self._since = time.monotonic()
        self._offset = offset
        return time.monotonic() - self._since
