"""The endpoints that apply an operation to many tasks or models: each of them succeeds or fails on its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable

from . import deletion, models, tasks, transitions
from .documents import Json
from .errors import AnswerError, InvalidRequestError


def each(db: sqlite3.Connection, ids: Iterable[str], act: Callable[[str], Json]) -> Json:
    """Apply an operation to each ID. A refused one does not affect the others."""
    succeeded: list[Json] = []
    failed: list[Json] = []
    for identity in ids:
        db.execute("SAVEPOINT one")
        try:
            succeeded.append({"id": identity, **act(identity)})
        except AnswerError as error:
            db.execute("ROLLBACK TO one")
            failed.append({"id": identity, "error": {"codes": [error.status, error.subcode], "msg": str(error), "data": {}}})
        db.execute("RELEASE one")
    return {"succeeded": succeeded, "failed": failed}


def archive_many(db: sqlite3.Connection, ids: list[str]) -> Json:
    return each(db, ids, lambda task: {"archived": bool(tasks.archive(db, task))})


def unarchive_many(db: sqlite3.Connection, ids: list[str]) -> Json:
    return each(db, ids, lambda task: {"unarchived": bool(tasks.unarchive(db, task))})


def delete_many(db: sqlite3.Connection, ids: list[str], force: bool = False, delete_output_models: bool = True) -> Json:
    def delete(task: str) -> Json:
        return deletion.delete_task(db, task, force=force, delete_output_models=delete_output_models)

    return each(db, ids, delete)


def stop_many(db: sqlite3.Connection, ids: list[str], force: bool = False, status_reason: str = "", status_message: str = "") -> Json:
    return each(db, ids, lambda task: transitions.stop(db, task, force, status_reason, status_message))


def enqueue_many(db: sqlite3.Connection, ids: list[str], queue: str | None = None, queue_name: str | None = None) -> Json:
    if not ids:
        raise InvalidRequestError("Validation error: ids is empty")

    def enqueue(task: str) -> Json:
        return transitions.enqueue(db, task, queue, queue_name) | {"queued": True}

    return each(db, ids, enqueue)


def dequeue_many(db: sqlite3.Connection, ids: list[str]) -> Json:
    return each(db, ids, lambda task: transitions.dequeue(db, task) | {"dequeued": True})


def reset_many(
    db: sqlite3.Connection, ids: list[str], force: bool = False, clear_all: bool = False, delete_output_models: bool = True
) -> Json:
    def reset(task: str) -> Json:
        answer = deletion.reset(db, task, force, clear_all, delete_output_models)
        return answer | {"dequeued": bool(answer["dequeued"]["dequeued"])}

    return each(db, ids, reset)


def publish_many(db: sqlite3.Connection, ids: list[str], force: bool = False, publish_model: bool = True) -> Json:
    return each(db, ids, lambda task: transitions.publish(db, task, force, publish_model))


def make_public(db: sqlite3.Connection, ids: list[str] | None = None) -> Json:
    """With a single user every task is public already: this only returns how many of the tasks exist."""
    found = [task for task in ids or [] if db.execute("SELECT 1 FROM task WHERE id = ?", (task,)).fetchone()]
    return {"updated": len(found)}


def archive_models(db: sqlite3.Connection, ids: list[str]) -> Json:
    def archive(model: str) -> Json:
        models.archive(db, model)
        return {"archived": True}

    return each(db, ids, archive)


def unarchive_models(db: sqlite3.Connection, ids: list[str]) -> Json:
    def unarchive(model: str) -> Json:
        models.unarchive(db, model)
        return {"unarchived": True}

    return each(db, ids, unarchive)
