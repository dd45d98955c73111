"""A task's life: which status may follow which.

created -> queued -> in_progress -> completed | stopped | failed -> published. `force` overrides all but the end: what is published stays.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime

from . import queues
from .documents import TASKS, Json, now
from .endpoints import endpoint
from .errors import IllegalStatus
from .models import publish as publish_model
from .workers import running

# The statuses from which each one may be reached without force.
REACHED_FROM = {
    "queued": {"created", "stopped"},
    "in_progress": {"created", "queued"},
    "completed": {"in_progress", "stopped"},
    "stopped": {"in_progress", "created", "queued"},
    "failed": {"in_progress", "queued", "stopped"},
    "closed": {"in_progress", "stopped", "completed", "failed"},
    "published": {"stopped", "completed", "closed", "failed"},
}
ENDED = {"completed", "stopped", "failed", "closed"}


def change(db: sqlite3.Connection, task: Json, status: str, *, reason: str = "", message: str = "", force: bool = False) -> Json:
    """Give a task a new status; returns the fields that changed.

    Raises:
        IllegalStatus: the present status does not allow it.
    """
    current = task["status"]
    if (current not in REACHED_FROM[status] and not force) or (current == "published" and status != "published"):
        allowed = ", ".join(sorted(REACHED_FROM[status]))
        raise IllegalStatus(f"Invalid task status: id={task['id']}, status={current}, expected to be one of {allowed} for {status}")
    time = now()
    fields: Json = {
        "status": status,
        "status_reason": reason,
        "status_message": message,
        "status_changed": time,
        "last_change": time,
        "last_update": time,
    }
    if current == "queued" and status != "queued":
        queues.leave(db, task["id"])
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
    return fields


@endpoint("tasks.started", writes=True)
def started(db: sqlite3.Connection, task: str, force: bool = False, status_reason: str = "", status_message: str = "") -> Json:
    fields = change(db, TASKS.get(db, task), "in_progress", reason=status_reason, message=status_message, force=force)
    return {"started": 1, "updated": 1, "fields": fields}


@endpoint("tasks.completed", writes=True)
def completed(
    db: sqlite3.Connection, task: str, force: bool = False, publish: bool = False, status_reason: str = "", status_message: str = ""
) -> Json:
    document = TASKS.get(db, task)
    answer = {"updated": 1, "fields": change(db, document, "completed", reason=status_reason, message=status_message, force=force)}
    if publish:
        published(db, document)
        answer["published"] = 1
    return answer


@endpoint("tasks.failed", writes=True)
def failed(db: sqlite3.Connection, task: str, force: bool = False, status_reason: str = "", status_message: str = "") -> Json:
    return {"updated": 1, "fields": change(db, TASKS.get(db, task), "failed", reason=status_reason, message=status_message, force=force)}


@endpoint("tasks.close", writes=True)
def close(db: sqlite3.Connection, task: str, force: bool = False, status_reason: str = "", status_message: str = "") -> Json:
    return {"updated": 1, "fields": change(db, TASKS.get(db, task), "closed", reason=status_reason, message=status_message, force=force)}


@endpoint("tasks.stopped", writes=True)
def stopped(db: sqlite3.Connection, task: str, force: bool = False, status_reason: str = "", status_message: str = "") -> Json:
    return {"updated": 1, "fields": change(db, TASKS.get(db, task), "stopped", reason=status_reason, message=status_message, force=force)}


@endpoint("tasks.stop", writes=True)
def stop(db: sqlite3.Connection, task: str, force: bool = False, status_reason: str = "", status_message: str = "") -> Json:
    """A task that an agent runs is asked to stop: the agent reads the message, ends it and says so. Any other is stopped at once."""
    document = TASKS.get(db, task)
    if document["status"] not in ("in_progress", "queued", "created") and not force:
        raise IllegalStatus(f"Invalid task status: id={task}, status={document['status']}, expected to be in_progress")
    if document["status"] == "in_progress" and running(db, task):
        time = now()
        fields = {
            "status_reason": status_reason,
            "status_message": f"stopping {status_message}".strip(),
            "last_change": time,
            "last_update": time,
        }
        TASKS.save(db, document | fields)
        return {"updated": 1, "fields": fields}
    return {"updated": 1, "fields": change(db, document, "stopped", reason=status_reason, message=status_message, force=force)}


@endpoint("tasks.publish", writes=True)
def publish(
    db: sqlite3.Connection, task: str, force: bool = False, publish_model: bool = True, status_reason: str = "", status_message: str = ""
) -> Json:
    document = TASKS.get(db, task)
    fields = published(db, document, models=publish_model, force=force, reason=status_reason, message=status_message)
    return {"updated": 1, "fields": fields, "committed_versions_results": []}


def published(db: sqlite3.Connection, task: Json, *, models: bool = True, force: bool = False, reason: str = "", message: str = "") -> Json:
    """Publish a task, and the models that it made."""
    fields = change(db, task, "published", reason=reason, message=message, force=force)
    if models:
        for item in task["models"].get("output") or []:
            publish_model(db, item["model"])
    return fields


@endpoint("tasks.ping", writes=True)
def ping(db: sqlite3.Connection, task: str) -> Json:
    """The task is alive."""
    TASKS.get(db, task)
    db.execute("UPDATE task SET doc = json_set(doc, '$.last_update', ?) WHERE id = ?", (now(), task))
    return {}
