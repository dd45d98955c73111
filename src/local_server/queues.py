"""Queues: tasks in order, each handed out once."""

from __future__ import annotations

import sqlite3
from typing import Any

from . import leases, workers
from .callers import NOBODY, Caller
from .documents import COMPANY, QUEUES, TASKS, USER, Json, check_name, now, pick, scroll
from .errors import DuplicateError, InvalidRequestError

DEFAULT = "default"
"""The queue that always exists."""
ALREADY_THERE = 706


def named(db: sqlite3.Connection, name: str) -> Json | None:
    """The queue with this name, or None."""
    return next(iter(QUEUES.select(db, "doc ->> '$.name' = ?", name)), None)


def ensure(db: sqlite3.Connection, name: str, **properties: Any) -> str:
    """The ID of the queue with this name, which is created if need be."""
    name = check_name("queue", name)
    found = named(db, name)
    if found is not None:
        return str(found["id"])
    document = {
        "name": name,
        "tags": [],
        "system_tags": [],
        "metadata": {},
        "company": COMPANY["id"],
        "user": USER["id"],
        "created": now(),
    }
    return QUEUES.insert(db, document | {key: value for key, value in properties.items() if value is not None})


def join(db: sqlite3.Connection, queue: str, task: str) -> None:
    """Put a task at the end of a queue.

    Raises:
        InvalidRequestError: it is already in a queue.
    """
    if db.execute("SELECT 1 FROM entry WHERE task = ?", (task,)).fetchone():
        raise InvalidRequestError(f"queue already contains task: {task}", subcode=ALREADY_THERE)
    last = db.execute("SELECT coalesce(max(position), 0) FROM entry WHERE queue = ?", (queue,)).fetchone()[0]
    db.execute("INSERT INTO entry (task, queue, position, added) VALUES (?, ?, ?, ?)", (task, queue, last + 1, now()))


def leave(db: sqlite3.Connection, task: str) -> bool:
    """Remove a task from its queue; False if it was in none."""
    return db.execute("DELETE FROM entry WHERE task = ?", (task,)).rowcount > 0


def take_back(db: sqlite3.Connection, queue: str, task: str) -> bool:
    """Return a task that was handed out but not started to the front of its queue; False if it is no longer waiting for its start."""
    if not db.execute("SELECT 1 FROM task WHERE id = ? AND doc ->> '$.status' IN ('created', 'queued')", (task,)).fetchone():
        return False
    if not db.execute("SELECT 1 FROM queue WHERE id = ?", (queue,)).fetchone():
        _make_draft(db, task, "its queue was deleted")
        return False
    first = db.execute("SELECT coalesce(min(position), 1) FROM entry WHERE queue = ?", (queue,)).fetchone()[0]
    made = db.execute("INSERT OR IGNORE INTO entry (task, queue, position, added) VALUES (?, ?, ?, ?)", (task, queue, first - 1, now()))
    return made.rowcount > 0  # otherwise somebody has enqueued it already


def entries(db: sqlite3.Connection, queue: str, limit: int = -1) -> list[Json]:
    """The waiting tasks, in order."""
    rows = db.execute("SELECT task, added FROM entry WHERE queue = ? ORDER BY position LIMIT ?", (queue, limit))
    return [{"task": task, "added": added} for task, added in rows]


def create(db: sqlite3.Connection, name: str, tags: list[str] | None = None, system_tags: list[str] | None = None) -> Json:
    if named(db, name.strip()) is not None:
        raise DuplicateError(f"Value combination already exists (unique field already contains this value): name={name}")
    return {"id": ensure(db, name, tags=tags, system_tags=system_tags)}


def get_by_id(db: sqlite3.Connection, queue: str, max_task_entries: int = -1) -> Json:
    return {"queue": QUEUES.get(db, queue) | {"entries": entries(db, queue, max_task_entries)}}


def get_all_ex(db: sqlite3.Connection, **asked: Any) -> Json:
    """Like get_all, with the waiting tasks' names and the workers that serve each queue."""
    answer = get_all(db, **asked)
    serving = [(worker["queues"], workers.shown(db, worker) | {"name": worker["id"]}) for worker in workers.alive(db)]
    for queue in answer["queues"]:
        for entry in queue.get("entries") or []:
            entry["task"] = {"id": entry["task"], "name": TASKS.get(db, entry["task"])["name"]}
        queue["workers"] = [worker for served, worker in serving if queue["id"] in served]
    return answer


def get_all(db: sqlite3.Connection, **asked: Any) -> Json:
    found = QUEUES.find(db, asked)
    limit = int(asked.get("max_task_entries") or -1)
    answers = [pick(queue | {"entries": entries(db, queue["id"], limit)}, asked.get("only_fields")) for queue in found]
    return {"queues": answers, **scroll(asked, found)}


def get_default(db: sqlite3.Connection) -> Json:
    return {"id": ensure(db, DEFAULT), "name": DEFAULT}


def update(
    db: sqlite3.Connection, queue: str, name: str | None = None, tags: list[str] | None = None, system_tags: list[str] | None = None
) -> Json:
    document = QUEUES.get(db, queue)
    if name is not None:
        name = check_name("queue", name)
        if name != document["name"] and named(db, name) is not None:
            raise DuplicateError(f"Value combination already exists: name={name}")
    fields = {key: value for key, value in {"name": name, "tags": tags, "system_tags": system_tags}.items() if value is not None}
    QUEUES.save(db, document | fields)
    return {"updated": 1, "fields": fields}


def delete(db: sqlite3.Connection, queue: str, force: bool = False) -> Json:
    """Delete a queue. One with tasks takes force, and the tasks become drafts again."""
    QUEUES.get(db, queue)
    waiting = entries(db, queue)
    if waiting and not force:
        raise InvalidRequestError(f"queue is not empty: {len(waiting)} tasks; use force=true", subcode=702)
    for entry in waiting:
        leave(db, entry["task"])
        _make_draft(db, entry["task"], "its queue was deleted")
    QUEUES.delete(db, queue)
    return {"deleted": 1}


def _make_draft(db: sqlite3.Connection, task: str, reason: str) -> None:
    document = TASKS.get(db, task)
    if document["status"] == "queued":
        TASKS.save(db, document | {"status": "created", "status_changed": now(), "status_reason": reason})
        leases.end(db, task)


def get_next_task(db: sqlite3.Connection, queue: str, get_task_info: bool = False, caller: Caller = NOBODY) -> Json:
    """Hand out the first task. No other caller gets it unless this one fails to start it in time. An empty queue has no entry."""
    QUEUES.get(db, queue)
    first = entries(db, queue, 1)
    if not first:
        return {}
    leave(db, first[0]["task"])
    leases.take(db, first[0]["task"], queue, caller, workers.of_session(db, caller))
    return {"entry": first[0]} | ({"task_info": {"company": COMPANY["id"], "user": USER["id"]}} if get_task_info else {})


def peek_task(db: sqlite3.Connection, queue: str) -> Json:
    QUEUES.get(db, queue)
    first = entries(db, queue, 1)
    return {"task": first[0]["task"]} if first else {}


def get_num_entries(db: sqlite3.Connection, queue: str) -> Json:
    QUEUES.get(db, queue)
    return {"num": db.execute("SELECT count(*) FROM entry WHERE queue = ?", (queue,)).fetchone()[0]}


def add_task(db: sqlite3.Connection, queue: str, task: str) -> Json:
    QUEUES.get(db, queue)
    TASKS.get(db, task)
    join(db, queue, task)
    return {"added": 1}


def remove_task(db: sqlite3.Connection, queue: str, task: str, update_task_status: bool = False) -> Json:
    """Remove a task from the queue; with `update_task_status` it becomes a draft again."""
    _position(db, queue, task)
    leave(db, task)
    if update_task_status:
        _make_draft(db, task, "removed from its queue")
    return {"removed": 1}


def move_task_to_front(db: sqlite3.Connection, queue: str, task: str) -> Json:
    return _move(db, queue, task, lambda place, last: 0)


def move_task_to_back(db: sqlite3.Connection, queue: str, task: str) -> Json:
    return _move(db, queue, task, lambda place, last: last)


def move_task_forward(db: sqlite3.Connection, queue: str, task: str, count: int = 1) -> Json:
    return _move(db, queue, task, lambda place, last: max(0, place - count))


def move_task_backward(db: sqlite3.Connection, queue: str, task: str, count: int = 1) -> Json:
    return _move(db, queue, task, lambda place, last: min(last, place + count))


def _position(db: sqlite3.Connection, queue: str, task: str) -> list[str]:
    """The IDs of the waiting tasks; raises InvalidRequestError if `task` is not among them."""
    QUEUES.get(db, queue)
    order = [entry["task"] for entry in entries(db, queue)]
    if task not in order:
        raise InvalidRequestError(f"Task not found in queue: {task}", subcode=703)
    return order


def _move(db: sqlite3.Connection, queue: str, task: str, target: Any) -> Json:
    order = _position(db, queue, task)
    place = order.index(task)
    order.pop(place)
    position = target(place, len(order))
    order.insert(position, task)
    db.executemany("UPDATE entry SET position = ? WHERE task = ?", list(enumerate(order, 1)))
    return {"position": position}
