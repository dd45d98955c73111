"""The life cycle of a task: which status may follow which, as on ClearML's own server.

created -> queued -> in_progress -> completed | stopped | failed -> published. A task that has ended may end again, with another reason;
`force` overrides everything, even publication. Changing the status does not remove a task from its queue.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime

from . import leases
from .documents import TASKS, Json, now
from .errors import IllegalStatusError

# The statuses from which each status can be reached without force.
REACHED_FROM = {
    "queued": {"created", "stopped", "failed"},
    "in_progress": {"created", "queued", "in_progress", "stopped", "completed"},
    "completed": {"in_progress", "stopped", "completed"},
    "stopped": {"in_progress", "queued", "stopped", "failed", "closed"},
    "failed": {"in_progress", "stopped", "failed", "closed"},
    "closed": {"stopped", "closed"},
    "published": {"stopped", "completed", "closed", "failed"},
}
ENDED = {"completed", "stopped", "failed", "closed"}


def change(db: sqlite3.Connection, task: Json, status: str, *, reason: str = "", message: str = "", force: bool = False) -> Json:
    """Set a task's status; returns the changed fields.

    Raises:
        IllegalStatusError: the present status does not allow it.
    """
    current = task["status"]
    if current not in REACHED_FROM[status] and not force:
        allowed = ", ".join(sorted(REACHED_FROM[status]))
        raise IllegalStatusError(f"Invalid task status: id={task['id']}, status={current}, expected to be one of {allowed} for {status}")
    time = now()
    fields: Json = {
        "status": status,
        "status_reason": reason,
        "status_message": message,
        "status_changed": time,
        "last_change": time,
        "last_update": time,
    }
    if status == "in_progress":
        fields |= {"started": time, "completed": None, "active_duration": None}
    elif status in ENDED and not task.get("completed"):
        fields["completed"] = time
        if task.get("started"):
            fields["active_duration"] = int((datetime.fromisoformat(time) - datetime.fromisoformat(task["started"])).total_seconds())
    elif status == "published":
        fields["published"] = time
    task |= fields
    TASKS.save(db, task)
    if status != "in_progress":
        leases.end(db, task["id"], lost=status == "queued")
    return fields
