"""What resetting and deleting take along: events, places in queues, models, children's parents."""

from __future__ import annotations

import sqlite3

from . import curves, projects, queues
from .documents import MODELS, PROJECTS, TASKS, Json, now
from .endpoints import endpoint
from .errors import IllegalStatusError, InvalidRequestError


@endpoint("tasks.reset", writes=True)
def reset(
    db: sqlite3.Connection,
    task: str,
    force: bool = False,
    clear_all: bool = False,
    delete_output_models: bool = True,
    return_file_urls: bool = False,
    status_reason: str = "",
    status_message: str = "",
) -> Json:
    """A draft again: what the task reported and produced is forgotten."""
    document = TASKS.get(db, task)
    if document["status"] in ("created", "queued", "completed", "published") and not force and document["status"] != "created":
        raise IllegalStatusError(f"Invalid task status: id={task}, status={document['status']}; use force=true")
    if document["status"] == "published":
        raise IllegalStatusError(f"Invalid task status: id={task}, status=published")
    queues.leave(db, task)
    curves.forget(db, task)
    if delete_output_models:
        _remove_models(db, document)
    document["execution"] = {"artifacts": [], "model_labels": {}} if clear_all else _kept(document["execution"])
    if clear_all:
        document |= {"script": {}, "hyperparams": {}, "configuration": {}}
    document["models"] = {"input": document["models"].get("input") or [], "output": []}
    for key in ("started", "completed", "published", "active_duration", "last_worker", "last_worker_report"):
        document.pop(key, None)
    time = now()
    fields = {"status": "created", "status_changed": time, "status_reason": status_reason, "status_message": status_message}
    TASKS.save(db, document | fields | {"last_iteration": 0, "runtime": {}, "last_change": time, "last_update": time})
    return {"updated": 1, "fields": fields, "deleted_models": 0}


def _kept(execution: Json) -> Json:
    kept = {key: value for key, value in execution.items() if key != "queue"}
    return kept | {"artifacts": [artifact for artifact in execution.get("artifacts") or [] if artifact.get("mode") == "input"]}


@endpoint("tasks.delete", writes=True)
def delete_task(
    db: sqlite3.Connection, task: str, force: bool = False, return_file_urls: bool = False, delete_output_models: bool = True
) -> Json:
    """Refused without force for a task that runs, is published, or has children."""
    document = TASKS.get(db, task)
    children = db.execute("SELECT count(*) FROM task WHERE doc ->> '$.parent' = ?", (task,)).fetchone()[0]
    if not force and document["status"] in ("in_progress", "queued", "published"):
        raise IllegalStatusError(f"Invalid task status: id={task}, status={document['status']}; use force=true")
    if not force and children:
        raise InvalidRequestError(f"Task has children: {children}; use force=true", subcode=123)
    urls = {"event_urls": curves.urls(db, task), "artifact_urls": _artifact_urls(document), "model_urls": []} if return_file_urls else None
    remove(db, document, models=delete_output_models)
    return {"deleted": True, "updated_children": children, "updated_models": 0} | ({"urls": urls} if urls else {})


def _artifact_urls(document: Json) -> list[str]:
    return [
        artifact["uri"]
        for artifact in document["execution"].get("artifacts") or []
        if artifact.get("uri") and artifact.get("mode") != "input"
    ]


def remove(db: sqlite3.Connection, document: Json, *, models: bool = True) -> None:
    """Delete a task with its events and its place in a queue; its children lose their parent."""
    id = document["id"]
    queues.leave(db, id)
    curves.forget(db, id)
    if models:
        _remove_models(db, document)
    for child in TASKS.select(db, "doc ->> '$.parent' = ?", id):
        TASKS.save(db, child | {"parent": None})
    TASKS.delete(db, id)


def _remove_models(db: sqlite3.Connection, document: Json) -> None:
    """Delete a task's own models that are not published and that no other task takes as input."""
    for item in document["models"].get("output") or []:
        used = db.execute(
            "SELECT 1 FROM task, json_each(task.doc, '$.models.input') item WHERE item.value ->> '$.model' = ? AND task.id != ?",
            (item["model"], document["id"]),
        ).fetchone()
        if not used and db.execute("SELECT 1 FROM model WHERE id = ? AND NOT doc ->> '$.ready'", (item["model"],)).fetchone():
            MODELS.delete(db, item["model"])


@endpoint("projects.delete", writes=True)
def delete_project(db: sqlite3.Connection, project: str, force: bool = False, delete_contents: bool = False) -> Json:
    """Refused for a project with tasks, unless forced: they lose their project, or are deleted with it."""
    PROJECTS.get(db, project)
    ids = [project, *(child["id"] for child in projects.descendants(db, project))]
    marks = ", ".join("?" * len(ids))
    held = TASKS.select(db, f"doc ->> '$.project' IN ({marks})", *ids)
    if held and not force:
        raise InvalidRequestError(f"Project has associated tasks: {len(held)}; use force=true", subcode=403)
    for task in held:
        if delete_contents:
            remove(db, task)
        else:
            TASKS.save(db, task | {"project": None})
    for id in ids:
        PROJECTS.delete(db, id)
    count = len(held)
    return {
        "deleted": len(ids),
        "deleted_tasks": count * delete_contents,
        "disassociated_tasks": count * (not delete_contents),
        "deleted_models": 0,
    }
