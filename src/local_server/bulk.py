"""The end points that do one thing to many tasks or models: each is done or refused by itself."""

from __future__ import annotations

import sqlite3

from . import deletion, tasks, transitions
from .documents import Json
from .endpoints import each, endpoint
from .errors import InvalidRequestError


@endpoint("tasks.archive_many", writes=True)
def archive_many(db: sqlite3.Connection, ids: list[str]) -> Json:
    return each(db, ids, lambda id: {"archived": bool(tasks.archive(db, id))})


@endpoint("tasks.unarchive_many", writes=True)
def unarchive_many(db: sqlite3.Connection, ids: list[str]) -> Json:
    return each(db, ids, lambda id: {"unarchived": bool(tasks.unarchive(db, id))})


@endpoint("tasks.delete_many", writes=True)
def delete_many(db: sqlite3.Connection, ids: list[str], force: bool = False, delete_output_models: bool = True) -> Json:
    def delete(id: str) -> Json:
        return deletion.delete_task(db, id, force=force, delete_output_models=delete_output_models)

    return each(db, ids, delete)


@endpoint("tasks.stop_many", writes=True)
def stop_many(db: sqlite3.Connection, ids: list[str], force: bool = False, status_reason: str = "", status_message: str = "") -> Json:
    return each(db, ids, lambda id: transitions.stop(db, id, force, status_reason, status_message))


@endpoint("tasks.enqueue_many", writes=True)
def enqueue_many(db: sqlite3.Connection, ids: list[str], queue: str | None = None, queue_name: str | None = None) -> Json:
    if not ids:
        raise InvalidRequestError("Validation error: ids is empty")

    def enqueue(id: str) -> Json:
        return transitions.enqueue(db, id, queue, queue_name) | {"queued": True}

    return each(db, ids, enqueue)


@endpoint("tasks.dequeue_many", writes=True)
def dequeue_many(db: sqlite3.Connection, ids: list[str]) -> Json:
    return each(db, ids, lambda id: transitions.dequeue(db, id) | {"dequeued": True})


@endpoint("tasks.reset_many", writes=True)
def reset_many(
    db: sqlite3.Connection, ids: list[str], force: bool = False, clear_all: bool = False, delete_output_models: bool = True
) -> Json:
    def reset(id: str) -> Json:
        answer = deletion.reset(db, id, force, clear_all, delete_output_models)
        return answer | {"dequeued": bool(answer["dequeued"]["dequeued"])}

    return each(db, ids, reset)


@endpoint("tasks.publish_many", writes=True)
def publish_many(db: sqlite3.Connection, ids: list[str], force: bool = False, publish_model: bool = True) -> Json:
    return each(db, ids, lambda id: transitions.publish(db, id, force, publish_model))


@endpoint("tasks.make_public", writes=True)
def make_public(db: sqlite3.Connection, ids: list[str] | None = None) -> Json:
    """Every task is everybody's here, as there is one user: this only says how many of the tasks there are."""
    found = [id for id in ids or [] if db.execute("SELECT 1 FROM task WHERE id = ?", (id,)).fetchone()]
    return {"updated": len(found)}
