"""Runs that were ended by their machine return to their queue, up to `requeue=N` times, and continue from their last checkpoint.

A machine ends a run with a signal to the run or to its agent. A person ends it with `registry stop`, the web UI or `tasks.stop`, and then
it is not requeued. The task's reason tells the two apart. The number of times is kept in the task's runtime properties, because a reset
empties them and a clone does not inherit them.
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
"""The runtime property: `2 of task 0123.., started 2026-..`: the count, the task, and the start of the run that ended last."""
FIELDS = (*reasons.FIELDS, "runtime", "execution.queue", f"hyperparams.Args.{KEY}")
"""The fields of a task that are needed to say whether it is requeued."""
AWAITED = 60.0
"""Seconds within which a stopped task returns to its queue, if it does."""

BY_SIGNAL = f"{reasons.STOPPED} SIG"
"""How a run's reason begins when a signal ended it."""
BY_MACHINE = re.compile(rf"{BY_SIGNAL}|its agent |user abort$")
"""The reason given by a run, by a supervisor, and by a clearml-agent that gets a SIGTERM, when no person asked for the end."""
BY_PERSON = "task was stopped by tasks.stop"
"""The reason given by a clearml-agent when a person asked for the end."""
COUNT = re.compile(r"(\d+) (of task \w+, started .*)")


def count(task: Mapping[str, Any]) -> int:
    """How often a task has been requeued."""
    found = COUNT.fullmatch(str((task.get("runtime") or {}).get(PROPERTY) or ""))
    return int(found[1]) if found and found[2].startswith(f"of task {task['id']},") else 0


def allowed(task: Mapping[str, Any]) -> int:
    """How often a task may be requeued."""
    stated = (((task.get("hyperparams") or {}).get("Args") or {}).get(KEY) or {}).get("value") or ""
    return int(stated) if stated.isdecimal() else 0


def on_its_way(task: Mapping[str, Any]) -> bool:
    """Whether the end of the task's last run has been counted: then somebody is about to put the task into its queue."""
    return count(task) > 0 and str(task["runtime"][PROPERTY]).endswith(reasons.origin(task))


def ended_by_machine(task: Mapping[str, Any]) -> bool:
    return task["status"] == "stopped" and task.get("status_reason") != BY_PERSON and bool(BY_MACHINE.match(reasons.reason_of(task)))


def asked_to_stop(task: Mapping[str, Any]) -> bool:
    """Whether a person has asked a running task to stop: `tasks.stop` leaves a message for its agent."""
    return task["status"] == "in_progress" and str(task.get("status_message") or "").startswith("stopping")


def goes_back(task: Mapping[str, Any]) -> bool:
    """Whether a stopped task is to be requeued."""
    return ended_by_machine(task) and (count(task) < allowed(task) or on_its_way(task))


def told(task: Mapping[str, Any]) -> str:
    """How often a task has been requeued, in words; empty if it never was."""
    return f"requeued {count(task)} of {allowed(task)}" if count(task) else ""


def used_up(reason: str, times: int) -> str:
    """The reason of a run that may not be requeued again."""
    return f"{reason}; it has already been requeued {times} time{'s' * (times != 1)}" if times else reason


def look(connection: Any, identity: str) -> dict[str, Any]:
    """A task as it is now.

    Raises:
        ServerError: the task was deleted, or the server refuses.
    """
    found: list[dict[str, Any]] = request(connection, "get_all", id=[identity], only_fields=FIELDS)["tasks"]
    if not found:
        raise ServerError(f"task {identity} no longer exists")
    return found[0]


def put_back(connection: Any, task: Mapping[str, Any], reason: str) -> str:
    """Return a stopped task to the front of its queue, as it has already waited for its turn, and say so.

    The count names the start of the run that ended. Requeueing the same end twice, as both a sidecar and a supervisor may do, therefore
    counts once.

    Args:
        connection: an object with the `session` of ClearML's SDK.
        task: with the fields `FIELDS`.
        reason: why the run was ended.

    Raises:
        ServerError: the task cannot be enqueued: its queue was deleted, or it has already started.
    """
    identity, queue = str(task["id"]), (task.get("execution") or {}).get("queue")
    number = count(task) + (not on_its_way(task))
    if number > allowed(task):
        if allowed(task):
            reasons.tell(connection, identity, used_up(reason, count(task)))
        return "has been requeued as often as allowed"
    if not queue:
        raise ServerError(f"task {identity} was not started from a queue")
    runtime = {**(task.get("runtime") or {}), PROPERTY: f"{number} {reasons.origin(task)}"}
    request(connection, "edit", task=identity, runtime=runtime, force=True)
    why = f"requeued {number} of {allowed(task)}: {reason}"
    request(connection, "enqueue", task=identity, queue=queue, status_reason=why, status_message=why)
    try:
        request(connection, "queues.move_task_to_front", queue=queue, task=identity)
    except ServerError as error:
        log.info("an agent has already taken task %s: %s", identity, error)
    return why


class Comeback:
    """For code that polls tasks: tells which stopped ones are about to be requeued."""

    def __init__(self) -> None:
        self.since: dict[str, float] = {}

    def awaited(self, task: Mapping[str, Any]) -> bool:
        if not goes_back(task):
            self.since.pop(str(task["id"]), None)
            return False
        return time.monotonic() - self.since.setdefault(str(task["id"]), time.monotonic()) < AWAITED
