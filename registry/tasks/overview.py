"""The table of `registry status`, one line per task: the essentials in 80 columns, everything in a wider terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness import requeue
from harness.reasons import reason_of

from ..statuses import ENDED_BADLY
from .lookup import short_id
from .metrics import declared, not_finite, reported
from .watch import age, duration, numbers

Task = Mapping[str, Any]

ROOMY = 140
"""The width of a terminal, in columns, from which everything is shown."""
CUT = ("task", "main metric", "last scalars", "reason")
"""The columns that are cut if a line is too long."""


def table(tasks: Sequence[Task], queues: Mapping[str, str], width: int | None) -> tuple[list[str], list[list[str]]]:
    """The columns and rows for a terminal of the given width, or for a file. Empty columns are left out."""
    roomy = width is None or width >= ROOMY
    rows = [
        {
            "ID": short_id(task),
            "task": task["name"],
            "status": state_of(task),
            **({"queue": queue_of(task, queues)} if roomy else {}),
            **({"last scalars": numbers(task)} if roomy else {"main metric": main_number(task)}),
            "time": age(task),
            "reason": why_ended(task),
        }
        for task in tasks
    ]
    always = ("ID", "task", "status")
    columns = [name for name in (rows[0] if rows else always) if name in always or any(row[name] for row in rows)]
    return columns, [[row[name] for name in columns] for row in rows]


def objects(tasks: Sequence[Task], queues: Mapping[str, str]) -> list[dict[str, Any]]:
    """The same as JSON objects, one per task, with numbers in full precision."""
    stated = ("id", "name", "status", "status_reason", "started", "completed", "last_iteration")
    return [
        {key: task.get(key) for key in stated}
        | {
            "reason": reason_of(task),
            "requeued": requeue.count(task),
            "duration_s": duration(task),
            "queue": queue_of(task, queues),
            "main": main_of(task),
            "not_finite": not_finite(task),
        }
        for task in tasks
    ]


def state_of(task: Task) -> str:
    """A task's status, and how often it has been requeued."""
    return f"{task['status']} ({requeued})" if (requeued := requeue.told(task)) else str(task["status"])


def queue_of(task: Task, queues: Mapping[str, str]) -> str:
    return queues.get((task.get("execution") or {}).get("queue", ""), "")


def why_ended(task: Task) -> str:
    """The first line of the reason why a task failed or was stopped."""
    why = reason_of(task) if task["status"] in ENDED_BADLY else ""
    return why.partition("\n")[0]


def main_of(task: Task) -> dict[str, Any] | None:
    """Name and last value of a task's main metric. The value is None if it is not finite; None if the task has no main metric."""
    found = reported(task)
    main = declared([task]).main_of(found)
    return {"name": main, "last": None if found[main].diverged else found[main].last} if main else None


def main_number(task: Task) -> str:
    """A task's main metric, with the number first: if space is short, the name is cut."""
    main = main_of(task)
    if main is None:
        return numbers(task, 1)
    return f"{'not finite' if main['last'] is None else format(main['last'], '.4g')} {main['name']}"
