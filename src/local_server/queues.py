"""Queues: tasks in order, each handed out once."""

from __future__ import annotations

import sqlite3
from typing import Any

from .documents import COMPANY, QUEUES, TASKS, USER, Json, now, pick, scroll
from .endpoints import endpoint
from .errors import InvalidRequestError

DEFAULT = "default"


def named(db: sqlite3.Connection, name: str) -> Json | None:
    """The queue of that name."""
    return next(iter(QUEUES.select(db, "doc ->> '$.name' = ?", name)), None)


def ensure(db: sqlite3.Connection, name: str, **properties: Any) -> str:
    """The ID of the queue of that name, made if there is none."""
    name = _checked(name)
    found = named(db, name)
    if found is not None:
        return str(found["id"])
    document = {
        "name": name.strip(),
        "tags": [],
        "system_tags": [],
        "metadata": {},
        "company": COMPANY["id"],
        "user": USER["id"],
        "created": now(),
    }
    return QUEUES.insert(db, document | {key: value for key, value in properties.items() if value is not None})


def _checked(name: str) -> str:
    """Unlike other names, a queue's may be short, but not empty."""
    if not name.strip():
        raise InvalidRequestError("Validation error: the queue's name is empty")
    return name.strip()


def join(db: sqlite3.Connection, queue: str, task: str) -> None:
    """Put a task at the end of a queue.

    Raises:
        InvalidRequestError: it stands in a queue already.
    """
    if db.execute("SELECT 1 FROM entry WHERE task = ?", (task,)).fetchone():
        raise InvalidRequestError(f"queue already contains task: {task}", subcode=703)
    last = db.execute("SELECT coalesce(max(position), 0) FROM entry WHERE queue = ?", (queue,)).fetchone()[0]
    db.execute("INSERT INTO entry (task, queue, position, added) VALUES (?, ?, ?, ?)", (task, queue, last + 1, now()))


def leave(db: sqlite3.Connection, task: str) -> bool:
    """Take a task out of its queue; False if it stood in none."""
    return db.execute("DELETE FROM entry WHERE task = ?", (task,)).rowcount > 0


def entries(db: sqlite3.Connection, queue: str, limit: int = -1) -> list[Json]:
    """The tasks that wait, first come first."""
    rows = db.execute("SELECT task, added FROM entry WHERE queue = ? ORDER BY position LIMIT ?", (queue, limit))
    return [{"task": task, "added": added} for task, added in rows]


@endpoint("queues.create", writes=True)
def create(db: sqlite3.Connection, name: str, tags: list[str] | None = None, system_tags: list[str] | None = None) -> Json:
    if named(db, name.strip()) is not None:
        raise InvalidRequestError(f"Value combination already exists (unique field already contains this value): name={name}", subcode=704)
    return {"id": ensure(db, name, tags=tags, system_tags=system_tags)}


@endpoint("queues.get_by_id")
def get_by_id(db: sqlite3.Connection, queue: str, max_task_entries: int = -1) -> Json:
    return {"queue": QUEUES.get(db, queue) | {"entries": entries(db, queue, max_task_entries)}}


@endpoint("queues.get_all")
@endpoint("queues.get_all_ex")
def get_all(db: sqlite3.Connection, **asked: Any) -> Json:
    found = QUEUES.find(db, asked)
    limit = int(asked.get("max_task_entries") or -1)
    answers = [pick(queue | {"entries": entries(db, queue["id"], limit)}, asked.get("only_fields")) for queue in found]
    return {"queues": answers, **scroll(asked, found)}


@endpoint("queues.get_default", writes=True)
def get_default(db: sqlite3.Connection) -> Json:
    return {"id": ensure(db, DEFAULT), "name": DEFAULT}


@endpoint("queues.update", writes=True)
def update(
    db: sqlite3.Connection, queue: str, name: str | None = None, tags: list[str] | None = None, system_tags: list[str] | None = None
) -> Json:
    document = QUEUES.get(db, queue)
    if name is not None and name != document["name"] and named(db, _checked(name)) is not None:
        raise InvalidRequestError(f"Value combination already exists: name={name}", subcode=704)
    fields = {key: value for key, value in {"name": name, "tags": tags, "system_tags": system_tags}.items() if value is not None}
    QUEUES.save(db, document | fields)
    return {"updated": 1, "fields": fields}


@endpoint("queues.delete", writes=True)
def delete(db: sqlite3.Connection, queue: str, force: bool = False) -> Json:
    """A queue with tasks is deleted only by force; they become drafts again."""
    QUEUES.get(db, queue)
    waiting = entries(db, queue)
    if waiting and not force:
        raise InvalidRequestError(f"queue is not empty: {len(waiting)} tasks; use force=true", subcode=705)
    for entry in waiting:
        leave(db, entry["task"])
        task = TASKS.get(db, entry["task"])
        TASKS.save(db, task | {"status": "created", "status_changed": now(), "status_reason": "its queue was deleted"})
    QUEUES.delete(db, queue)
    return {"deleted": 1}


@endpoint("queues.get_next_task", writes=True)
def get_next_task(db: sqlite3.Connection, queue: str, get_task_info: bool = False) -> Json:
    """Hand out the first task: no other caller gets it. No entry if the queue is empty."""
    QUEUES.get(db, queue)
    first = entries(db, queue, 1)
    if not first:
        return {}
    leave(db, first[0]["task"])
    return {"entry": first[0]} | ({"task_info": {"company": COMPANY["id"], "user": USER["id"]}} if get_task_info else {})


@endpoint("queues.peek_task")
def peek_task(db: sqlite3.Connection, queue: str) -> Json:
    QUEUES.get(db, queue)
    first = entries(db, queue, 1)
    return {"task": first[0]["task"]} if first else {}


@endpoint("queues.get_num_entries")
def get_num_entries(db: sqlite3.Connection, queue: str) -> Json:
    QUEUES.get(db, queue)
    return {"num": db.execute("SELECT count(*) FROM entry WHERE queue = ?", (queue,)).fetchone()[0]}


@endpoint("queues.add_task", writes=True)
def add_task(db: sqlite3.Connection, queue: str, task: str) -> Json:
    QUEUES.get(db, queue)
    TASKS.get(db, task)
    join(db, queue, task)
    return {"added": 1}


@endpoint("queues.remove_task", writes=True)
def remove_task(db: sqlite3.Connection, queue: str, task: str) -> Json:
    _position(db, queue, task)
    leave(db, task)
    return {"removed": 1}


@endpoint("queues.move_task_to_front", writes=True)
def move_task_to_front(db: sqlite3.Connection, queue: str, task: str) -> Json:
    return _move(db, queue, task, lambda place, last: 0)


@endpoint("queues.move_task_to_back", writes=True)
def move_task_to_back(db: sqlite3.Connection, queue: str, task: str) -> Json:
    return _move(db, queue, task, lambda place, last: last)


@endpoint("queues.move_task_forward", writes=True)
def move_task_forward(db: sqlite3.Connection, queue: str, task: str, count: int = 1) -> Json:
    return _move(db, queue, task, lambda place, last: max(0, place - count))


@endpoint("queues.move_task_backward", writes=True)
def move_task_backward(db: sqlite3.Connection, queue: str, task: str, count: int = 1) -> Json:
    return _move(db, queue, task, lambda place, last: min(last, place + count))


def _position(db: sqlite3.Connection, queue: str, task: str) -> list[str]:
    """The waiting tasks' IDs; raises InvalidRequestError if `task` is not among them."""
    QUEUES.get(db, queue)
    order = [entry["task"] for entry in entries(db, queue)]
    if task not in order:
        raise InvalidRequestError(f"Task not found in queue: {task}", subcode=707)
    return order


def _move(db: sqlite3.Connection, queue: str, task: str, target: Any) -> Json:
    order = _position(db, queue, task)
    place = order.index(task)
    order.pop(place)
    position = target(place, len(order))
    order.insert(position, task)
    db.executemany("UPDATE entry SET position = ? WHERE task = ?", list(enumerate(order, 1)))
    return {"position": position}
