"""The endpoints that change a task's status: enqueue, start, stop, end, publish."""

from __future__ import annotations

import sqlite3

from . import containers, leases, models, queues, statuses
from .callers import NOBODY, Caller
from .documents import MODELS, QUEUES, TASKS, Json, now
from .errors import IllegalStatusError, InvalidRequestError
from .workers import alive

DEVELOPMENT = "development"
"""The SDK's tag for a task that a person runs. It is removed when the task is enqueued for an agent."""
LISTENING = 45.0
"""Seconds since its last report for which an agent is expected to notice a request to stop; it reports every 30."""


def enqueue(
    db: sqlite3.Connection,
    task: str,
    queue: str | None = None,
    queue_name: str | None = None,
    status_reason: str = "",
    status_message: str = "",
    verify_watched_queue: bool = False,
    force: bool = False,
) -> Json:
    """Enqueue a draft, or an ended task that is to continue. `queue` is an ID; the queue named by `queue_name` is created if need be."""
    document = TASKS.get(db, task)
    if queue and queue_name:
        raise InvalidRequestError("Validation error: give either queue or queue_name")
    queue_id = queue or queues.ensure(db, queue_name or queues.DEFAULT)
    QUEUES.require(db, [queue_id])
    if document["status"] == "queued":
        raise InvalidRequestError(f"task is already queued: {task}", subcode=queues.ALREADY_THERE)
    document["execution"] = document["execution"] | {"queue": queue_id}
    document["system_tags"] = [tag for tag in document["system_tags"] if tag != DEVELOPMENT]
    fields = statuses.change(db, document, "queued", reason=status_reason, message=status_message, force=force)
    queues.join(db, queue_id, task)
    answer = {"queued": 1, "updated": 1, "fields": fields | {"execution.queue": queue_id}}
    if verify_watched_queue:
        answer["queue_watched"] = any(queue_id in worker["queues"] for worker in alive(db))
    return answer


def dequeue(
    db: sqlite3.Connection,
    task: str,
    status_reason: str = "",
    status_message: str = "",
    new_status: str = "created",
    remove_from_all_queues: bool = False,
) -> Json:
    """Remove a task from its queue, if it is in one.

    A queued or running task becomes a draft, or gets the status `new_status` (the agent sends in_progress); any other keeps its status.
    """
    document = TASKS.get(db, task)
    left = queues.leave(db, task)
    fields: Json = {}
    if document["status"] not in ("queued", "in_progress"):
        pass
    elif new_status == "created":
        time = now()
        fields = {"status": "created", "status_changed": time, "status_reason": status_reason, "status_message": status_message}
        TASKS.save(db, document | fields | {"last_change": time, "last_update": time})
        leases.end(db, task, lost=True)
    elif new_status in statuses.REACHED_FROM:
        fields = statuses.change(db, document, new_status, reason=status_reason, message=status_message, force=True)
    else:
        raise InvalidRequestError(f"Validation error: new_status '{new_status}'")
    return {"dequeued": int(left), "updated": 1, "fields": fields}


def started(
    db: sqlite3.Connection, task: str, force: bool = False, status_reason: str = "", status_message: str = "", caller: Caller = NOBODY
) -> Json:
    """Start a task. An agent has to take a queued one from its queue first: it may have lost this task without noticing."""
    TASKS.require(db, [task], subcode=10)
    if caller.agent and db.execute("SELECT 1 FROM entry WHERE task = ?", (task,)).fetchone():
        raise IllegalStatusError(f"task {task} is in its queue, from which an agent has to take it")
    fields = statuses.change(db, TASKS.get(db, task), "in_progress", reason=status_reason, message=status_message, force=force)
    leases.start(db, task, caller)
    return {"started": 1, "updated": 1, "fields": fields}


def completed(
    db: sqlite3.Connection, task: str, force: bool = False, publish: bool = False, status_reason: str = "", status_message: str = ""
) -> Json:
    document = TASKS.get(db, task)
    answer = {"updated": 1, "fields": statuses.change(db, document, "completed", reason=status_reason, message=status_message, force=force)}
    if publish:
        published(db, document)
        answer["published"] = 1
    return answer


def ended(db: sqlite3.Connection, task: str, status: str, force: bool, reason: str, message: str) -> Json:
    return {"updated": 1, "fields": statuses.change(db, TASKS.get(db, task), status, reason=reason, message=message, force=force)}


def failed(db: sqlite3.Connection, task: str, force: bool = False, status_reason: str = "", status_message: str = "") -> Json:
    reason = containers.reason(db, task, status_reason)
    return ended(db, task, "failed", force, reason, status_message if reason == status_reason else reason)


def close(db: sqlite3.Connection, task: str, force: bool = False, status_reason: str = "", status_message: str = "") -> Json:
    return ended(db, task, "closed", force, status_reason, status_message)


def stopped(db: sqlite3.Connection, task: str, force: bool = False, status_reason: str = "", status_message: str = "") -> Json:
    return ended(db, task, "stopped", force, status_reason, status_message)


def stop(db: sqlite3.Connection, task: str, force: bool = False, status_reason: str = "", status_message: str = "") -> Json:
    """Stop a task. If an agent reports that it runs it, the agent is asked to, by a message that it reads. Any other stops at once."""
    document = TASKS.get(db, task)
    if document["status"] == "in_progress" and leases.is_reported(db, task, LISTENING):
        time = now()
        fields = {
            "status_reason": status_reason,
            "status_message": f"stopping {status_message}".strip(),
            "last_change": time,
            "last_update": time,
        }
        TASKS.save(db, document | fields)
        return {"updated": 1, "fields": fields}
    fields = statuses.change(db, document, "stopped", reason=status_reason, message=status_message, force=force)
    queues.leave(db, task)
    return {"updated": 1, "fields": fields}


def publish(
    db: sqlite3.Connection, task: str, force: bool = False, publish_model: bool = True, status_reason: str = "", status_message: str = ""
) -> Json:
    document = TASKS.get(db, task)
    fields = published(db, document, with_models=publish_model, force=force, reason=status_reason, message=status_message)
    return {"updated": 1, "fields": fields, "committed_versions_results": []}


def published(
    db: sqlite3.Connection, task: Json, *, with_models: bool = True, force: bool = False, reason: str = "", message: str = ""
) -> Json:
    """Publish a task and its output models."""
    fields = statuses.change(db, task, "published", reason=reason, message=message, force=force)
    if with_models:
        for item in task["models"].get("output") or []:
            models.publish(db, item["model"])
    return fields


def ping(db: sqlite3.Connection, task: str, caller: Caller = NOBODY) -> Json:
    """Record a sign of life of a task."""
    TASKS.get(db, task)
    leases.hear(db, task, caller)
    db.execute("UPDATE task SET doc = json_set(doc, '$.last_update', ?) WHERE id = ?", (now(), task))
    return {}


def set_ready(db: sqlite3.Connection, model: str, publish_task: bool = True, force_publish_task: bool = False) -> Json:
    """Publish a model, and by default the task that made it, if that has ended."""
    document = MODELS.get(db, model)
    if document["ready"]:
        raise InvalidRequestError(f"Model is published: {model}", subcode=203)
    models.publish(db, model)
    task = document["task"]
    answer: Json = {"updated": 1}
    if publish_task and task:
        made_by = TASKS.get(db, task)
        if made_by["status"] in statuses.REACHED_FROM["published"] or (force_publish_task and made_by["status"] != "published"):
            fields = published(db, made_by, with_models=False, force=force_publish_task)
            answer["published_task"] = {"id": task, "data": {"updated": 1, "fields": fields}}
    return answer
