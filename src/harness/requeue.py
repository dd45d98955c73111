"""Runs that their machine ends go back to their queue, `requeue=N` times, and go on from their last checkpoint.

A machine ends a run by a signal, to the run or to its agent; a person ends it by `registry stop`, the web UI or `tasks.stop`, and then it
stays ended. Which of the two it was is told by the task's reason. How often a run has gone back stands in its task's runtime properties:
a reset empties them, and a clone gets none.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping
from typing import Any

from . import reasons
from .api import request
from .errors import ServerError

log = logging.getLogger(__name__)

KEY = "requeue"
"""The argument."""
PROPERTY = "requeued"
"""The runtime property: `2 of task 0123.., started 2026-..`, which tells the task, and the start of the run that ended last."""
FIELDS = (*reasons.FIELDS, "runtime", "execution.queue", f"hyperparams.Args.{KEY}")
"""What must be known of a task to say whether it goes back."""
AWAITED = 60.0
"""Seconds within which a task that has stopped is back in its queue, or does not come back."""

BY_SIGNAL = "stopped by SIG"
"""How a run's own reason begins when a signal ended it."""
BY_MACHINE = re.compile(rf"{BY_SIGNAL}|its agent |user abort$")
"""A run's reason, a supervisor's, and that of a clearml-agent which gets a SIGTERM: each of an end that no person asked for."""
BY_PERSON = "task was stopped by tasks.stop"
"""A clearml-agent's reason when a person has asked for the end."""
COUNT = re.compile(r"(\d+) (of task \w+, started .*)")


def count(task: Mapping[str, Any]) -> int:
    """How often a task has gone back to its queue."""
    found = COUNT.fullmatch(str((task.get("runtime") or {}).get(PROPERTY) or ""))
    return int(found[1]) if found and found[2].startswith(f"of task {task['id']},") else 0


def allowed(task: Mapping[str, Any]) -> int:
    """How often it may."""
    stated = (((task.get("hyperparams") or {}).get("Args") or {}).get(KEY) or {}).get("value") or ""
    return int(stated) if stated.isdecimal() else 0


def on_its_way(task: Mapping[str, Any]) -> bool:
    """Whether somebody has counted the end of the task's last run, and is about to put it into its queue."""
    return count(task) > 0 and str(task["runtime"][PROPERTY]).endswith(reasons.origin(task))


def ended_by_machine(task: Mapping[str, Any]) -> bool:
    return task["status"] == "stopped" and task.get("status_reason") != BY_PERSON and bool(BY_MACHINE.match(reasons.reason_of(task)))


def asked_to_stop(task: Mapping[str, Any]) -> bool:
    """Whether a person wants a task to end that still runs: `tasks.stop` leaves a message for its agent."""
    return task["status"] == "in_progress" and str(task.get("status_message") or "").startswith("stopping")


def goes_back(task: Mapping[str, Any]) -> bool:
    """Whether a task that has stopped is to be put back into its queue."""
    return ended_by_machine(task) and (count(task) < allowed(task) or on_its_way(task))


def told(task: Mapping[str, Any]) -> str:
    """How often a task has been requeued, in words; nothing of one that never was."""
    return f"requeued {count(task)} of {allowed(task)}" if count(task) else ""


def used_up(reason: str, times: int) -> str:
    """The reason for an end after which a run does not go back any more."""
    return f"{reason}; requeued {times} time{'s' * (times != 1)} already" if times else reason


def look(connection: Any, identity: str) -> dict[str, Any]:
    """A task as it is now.

    Raises:
        ServerError: it was deleted, or the server refuses.
    """
    found: list[dict[str, Any]] = request(connection, "get_all", id=[identity], only_fields=FIELDS)["tasks"]
    if not found:
        raise ServerError(f"there is no task {identity} any more")
    return found[0]


def put_back(connection: Any, task: Mapping[str, Any], reason: str) -> str:
    """Put a task that has stopped to the front of the queue that it came from, and say so. It has waited for its turn already.

    What is counted is its last start: who does this a second time, or when somebody else has done it, changes nothing.

    Args:
        connection: something with the `session` of ClearML's SDK.
        task: with `FIELDS`.
        reason: why it was ended.

    Raises:
        ServerError: it cannot be put there: the queue was deleted, the task has started already.
    """
    identity, queue = str(task["id"]), (task.get("execution") or {}).get("queue")
    number = count(task) + (not on_its_way(task))
    if number > allowed(task):
        if allowed(task):
            reasons.tell(connection, identity, used_up(reason, count(task)))
        return "has been requeued as often as it may"
    if not queue:
        raise ServerError(f"task {identity} came from no queue")
    runtime = {**(task.get("runtime") or {}), PROPERTY: f"{number} {reasons.origin(task)}"}
    request(connection, "edit", task=identity, runtime=runtime, force=True)
    why = f"requeued {number} of {allowed(task)}: {reason}"
    request(connection, "enqueue", task=identity, queue=queue, status_reason=why, status_message=why)
    try:
        request(connection, "queues.move_task_to_front", queue=queue, task=identity)
    except ServerError as error:
        log.info("an agent has taken task %s at once: %s", identity, error)
    return why


class Comeback:
    """Tells those who look at tasks again and again which of those that have stopped are about to come back."""

    def __init__(self) -> None:
        self.since: dict[str, float] = {}

    def awaited(self, task: Mapping[str, Any]) -> bool:
        if not goes_back(task):
            self.since.pop(str(task["id"]), None)
            return False
        return time.monotonic() - self.since.setdefault(str(task["id"]), time.monotonic()) < AWAITED
