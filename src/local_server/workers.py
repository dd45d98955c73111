"""Workers: the agents that serve queues, and the processes that run tasks without one."""

from __future__ import annotations

import json
import sqlite3
import time
from typing import Any

from . import leases
from .callers import NOBODY, Caller
from .documents import COMPANY, QUEUES, TASKS, USER, WORKERS, Json, now
from .errors import InvalidRequestError

TIMEOUT = 600


def register(
    db: sqlite3.Connection,
    worker: str,
    timeout: int = TIMEOUT,
    queues: list[str] | None = None,
    tags: list[str] | None = None,
    system_tags: list[str] | None = None,
    caller: Caller = NOBODY,
) -> Json:
    QUEUES.require(db, queues or [])
    moment = now()
    document = {
        "id": worker,
        "register_time": moment,
        "last_activity_time": moment,
        "last_report_time": moment,
        "timeout": timeout or TIMEOUT,
        "seen": time.time(),
        "queues": queues or [],
        "tags": tags or [],
        "system_tags": system_tags or [],
        "task": None,
        "queue": None,
        "session": caller.session,
    }
    _put(db, document)
    return {}


def unregister(db: sqlite3.Connection, worker: str) -> Json:
    """Remove a worker; an unknown one is no error."""
    WORKERS.delete(db, worker)
    return {}


def status_report(
    db: sqlite3.Connection,
    worker: str,
    timestamp: int = 0,
    task: str | None = None,
    queue: str | None = None,
    queues: list[str] | None = None,
    machine_stats: dict[str, Any] | None = None,
    tags: list[str] | None = None,
    system_tags: list[str] | None = None,
    caller: Caller = NOBODY,
) -> Json:
    """Record a worker's report; an unknown worker is registered by it. A task that the worker has lost does not count as its own."""
    if task and leases.has_lost(db, task, caller):
        task = None
    try:
        document = WORKERS.get(db, worker)
    except InvalidRequestError:
        register(db, worker)
        document = WORKERS.get(db, worker)
    moment = now()
    document |= {
        "last_report_time": moment,
        "seen": time.time(),
        "session": caller.session,
        "task": task,
        "queue": queue,
        "machine_stats": machine_stats or {},
    }
    document |= {key: value for key, value in {"queues": queues, "tags": tags, "system_tags": system_tags}.items() if value is not None}
    if task:
        document["last_activity_time"] = moment
        db.execute(
            "UPDATE task SET doc = json_set(doc, '$.last_worker', ?, '$.last_worker_report', ?, '$.last_update', ?) WHERE id = ?",
            (worker, moment, moment, task),
        )
        leases.report(db, task, caller, worker)
    _put(db, document)
    return {}


def get_all(
    db: sqlite3.Connection, last_seen: int | None = None, tags: list[str] | None = None, system_tags: list[str] | None = None
) -> Json:
    """The registered workers that have reported within their timeout, and within `last_seen` seconds."""
    found = [worker for worker in alive(db) if not last_seen or time.time() - worker["seen"] <= last_seen]
    for field, wanted in (("tags", tags), ("system_tags", system_tags)):
        found = [worker for worker in found if _tagged(worker[field], wanted or [])]
    return {"workers": [shown(db, worker) for worker in found]}


def alive(db: sqlite3.Connection) -> list[Json]:
    """The workers that have reported within their timeout."""
    return [worker for worker in WORKERS.select(db, "1 ORDER BY id") if time.time() - worker["seen"] <= worker["timeout"]]


def of_session(db: sqlite3.Connection, caller: Caller) -> str:
    """The ID of the worker that reports in the caller's session; empty if none does."""
    found = WORKERS.select(db, "doc ->> '$.session' = ?", caller.session) if caller.session else []
    return str(found[0]["id"]) if found else ""


def _put(db: sqlite3.Connection, document: Json) -> None:
    db.execute("INSERT OR REPLACE INTO worker (id, doc) VALUES (?, ?)", (document["id"], json.dumps(document)))


def _tagged(tags: list[str], wanted: list[str]) -> bool:
    excluded = {tag[1:] for tag in wanted if tag.startswith("-")}
    included = {tag for tag in wanted if not tag.startswith("-")}
    return not excluded & set(tags) and (not included or bool(included & set(tags)))


def shown(db: sqlite3.Connection, worker: Json) -> Json:
    """A worker in the form for clients, with its queues and its task."""
    keys = ("id", "register_time", "last_activity_time", "last_report_time", "tags", "system_tags")
    answer = {key: worker[key] for key in keys} | {"key": worker["id"], "ip": "127.0.0.1", "user": USER, "company": COMPANY}
    answer["queues"] = [_queue(db, identity) for identity in worker["queues"] if _exists(db, "queue", identity)]
    if worker["queue"] and _exists(db, "queue", worker["queue"]):
        answer["queue"] = _queue(db, worker["queue"])
    if worker["task"] and _exists(db, "task", worker["task"]):
        task = TASKS.get(db, worker["task"])
        answer["task"] = {"id": task["id"], "name": task["name"], "last_iteration": task["last_iteration"]}
        if task.get("project") and _exists(db, "project", task["project"]):
            name = db.execute("SELECT doc ->> '$.name' FROM project WHERE id = ?", (task["project"],)).fetchone()[0]
            answer["project"] = {"id": task["project"], "name": name}
    return answer


def _exists(db: sqlite3.Connection, table: str, identity: str) -> bool:
    return db.execute(f"SELECT 1 FROM {table} WHERE id = ?", (identity,)).fetchone() is not None


def _queue(db: sqlite3.Connection, identity: str) -> Json:
    count = db.execute("SELECT count(*) FROM entry WHERE queue = ?", (identity,)).fetchone()[0]
    return {"id": identity, "name": QUEUES.get(db, identity)["name"], "num_tasks": count}
