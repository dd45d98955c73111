"""Resetting and deleting, with everything affected: events, places in queues, models, the parents of children."""

from __future__ import annotations

import sqlite3

from . import curves, leases, projects, queues
from .documents import MODELS, PROJECTS, TASKS, Json, now
from .errors import IllegalStatusError, InvalidRequestError


def reset(
    db: sqlite3.Connection,
    task: str,
    force: bool = False,
    clear_all: bool = False,
    delete_output_models: bool = True,
    return_file_urls: bool = False,
    status_reason: str = "reset",
    status_message: str = "",
) -> Json:
    """Make a task a draft again: everything that it reported and produced is deleted."""
    document = TASKS.get(db, task)
    if document["status"] == "published" and not force:
        raise IllegalStatusError(f"Invalid task status: id={task}, status=published; use force=true")
    urls = _urls(db, document) if return_file_urls else None
    left = queues.leave(db, task)
    leases.end(db, task, lost=True)
    events = curves.forget(db, task)
    models = _remove_models(db, document) if delete_output_models else 0
    document["execution"] = {"artifacts": [], "model_labels": {}} if clear_all else _kept(document["execution"])
    if clear_all:
        document |= {"script": {}, "hyperparams": {}, "configuration": {}}
    document["models"] = {"input": document["models"].get("input") or [], "output": []}
    for key in ("started", "completed", "published", "active_duration", "last_worker", "last_worker_report"):
        document.pop(key, None)
    time = now()
    fields = {"status": "created", "status_changed": time, "status_reason": status_reason, "status_message": status_message}
    TASKS.save(db, document | fields | {"last_iteration": 0, "runtime": {}, "last_change": time, "last_update": time})
    return {
        **{"updated": 1, "fields": fields, "deleted_models": models, "urls": urls or {}},
        **{"events": {"deleted": events}, "dequeued": {"dequeued": int(left)}},
    }


def _kept(execution: Json) -> Json:
    kept = {key: value for key, value in execution.items() if key != "queue"}
    return kept | {"artifacts": [artifact for artifact in execution.get("artifacts") or [] if artifact.get("mode") == "input"]}


def delete_task(
    db: sqlite3.Connection, task: str, force: bool = False, return_file_urls: bool = False, delete_output_models: bool = True
) -> Json:
    """Delete a task. Without force, only drafts can be deleted. The task's children lose their parent."""
    document = TASKS.get(db, task)
    if document["status"] != "created" and not force:
        raise IllegalStatusError(f"Invalid task status: id={task}, status={document['status']}; use force=true", subcode=123)
    children = db.execute("SELECT count(*) FROM task WHERE doc ->> '$.parent' = ?", (task,)).fetchone()[0]
    urls = _urls(db, document) if return_file_urls else {}
    deleted = remove(db, document, models=delete_output_models)
    return {"deleted": True, "updated_children": children, "updated_models": 0, "deleted_models": deleted, "urls": urls}


def _urls(db: sqlite3.Connection, document: Json) -> Json:
    """The files that a task uploaded, as far as the server knows them."""
    artifacts = document["execution"].get("artifacts") or []
    return {
        "event_urls": curves.urls(db, document["id"]),
        "artifact_urls": [each["uri"] for each in artifacts if each.get("uri") and each.get("mode") != "input"],
        "model_urls": [],
    }


def remove(db: sqlite3.Connection, document: Json, *, models: bool = True) -> int:
    """Delete a task with its events and its place in a queue; its children lose their parent. Returns the number of deleted models."""
    identity = document["id"]
    queues.leave(db, identity)
    leases.forget(db, identity)
    curves.forget(db, identity)
    deleted = _remove_models(db, document) if models else 0
    for child in TASKS.select(db, "doc ->> '$.parent' = ?", identity):
        TASKS.save(db, child | {"parent": None})
    TASKS.delete(db, identity)
    return deleted


def _remove_models(db: sqlite3.Connection, document: Json) -> int:
    """Delete a task's own models, except those that are published or are the input of another task."""
    deleted = 0
    for item in document["models"].get("output") or []:
        used = db.execute(
            "SELECT 1 FROM task, json_each(task.doc, '$.models.input') item WHERE item.value ->> '$.model' = ? AND task.id != ?",
            (item["model"], document["id"]),
        ).fetchone()
        if not used and db.execute("SELECT 1 FROM model WHERE id = ? AND NOT doc ->> '$.ready'", (item["model"],)).fetchone():
            MODELS.delete(db, item["model"])
            deleted += 1
    return deleted


def delete_project(db: sqlite3.Connection, project: str, force: bool = False, delete_contents: bool = False) -> Json:
    """Delete a project. Without force it must have no tasks; with force they lose their project, or are deleted with it."""
    PROJECTS.get(db, project)
    ids = [project, *(child["id"] for child in projects.descendants(db, project))]
    marks = ", ".join("?" * len(ids))
    held = TASKS.select(db, f"doc ->> '$.project' IN ({marks})", *ids)
    if held and not force:
        raise InvalidRequestError(f"Project has associated tasks: {len(held)}; use force=true", subcode=402)
    urls: dict[str, list[str]] = {"event_urls": [], "artifact_urls": [], "model_urls": []}
    for task in held:
        if delete_contents:
            for kind, found in _urls(db, task).items():
                urls[kind] += found
            remove(db, task)
        else:
            TASKS.save(db, task | {"project": None})
    for each in ids:
        PROJECTS.delete(db, each)
    count = len(held)
    return {
        "deleted": len(ids),
        "deleted_tasks": count * delete_contents,
        "disassociated_tasks": count * (not delete_contents),
        "deleted_models": 0,
        "urls": urls,
    }
