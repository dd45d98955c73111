"""Events that runs report: scalars, log lines, plots, images. They are written here, in batches, and read by metrics.py and reports.py."""

from __future__ import annotations

import sqlite3
import sys
import time
from collections import Counter, defaultdict
from typing import Any

from . import curves
from .answers import encode
from .documents import TASKS, Json, now
from .errors import AnswerError, InvalidRequestError, UnknownIDError

SCALAR, VECTOR, IMAGE, PLOT, LOG = "training_stats_scalar", "training_stats_vector", "training_debug_image", "plot", "log"
TYPES = {SCALAR, VECTOR, IMAGE, PLOT, LOG}
_LARGEST = 2**63
_NOT_ADDED = 131


def add_batch(db: sqlite3.Connection, requests: list[Any]) -> Json:
    """Add events. Invalid ones are counted and reported, all others are stored.

    Raises:
        InvalidRequestError: none of the events is valid.
    """
    errors: Counter[str] = Counter()
    scalars: defaultdict[tuple[str, str, str], list[curves.Point]] = defaultdict(list)
    others: list[Json] = []
    states: dict[tuple[str, bool], str | None] = {}
    reached: dict[str, int] = {}
    added = 0
    for event in requests:
        try:
            owner = _owner(db, event, states)
            iteration = _iteration(event)
            if event["type"] == SCALAR:
                scalars[owner, str(event.get("metric", "")), str(event.get("variant", ""))].append(
                    (iteration, _timestamp(event), _value(event))
                )
            else:
                others.append(event)
        except AnswerError as error:
            errors[str(error)] += 1
            continue
        added += 1
        reached[owner] = max(reached.get(owner, 0), iteration)
    if errors and not added:
        raise InvalidRequestError("Events not added: " + "; ".join(errors), subcode=_NOT_ADDED)
    for (owner, metric, variant), points in scalars.items():
        curves.add(db, owner, metric, variant, points)
    _add_others(db, others)
    _touch(db, reached)
    return {"added": added, "errors": errors.total(), "errors_info": dict(errors)}


def add(db: sqlite3.Connection, **event: Any) -> Json:
    return add_batch(db, requests=[event])


def delete_for_task(db: sqlite3.Connection, task: str, allow_locked: bool = False) -> Json:
    _check_open(db, task, allow_locked)
    curves.forget(db, task)
    return {"deleted": True}


def delete_for_model(db: sqlite3.Connection, model: str) -> Json:
    curves.forget(db, model)
    return {"deleted": True}


def clear_task_log(db: sqlite3.Connection, task: str, threshold_sec: int | None = None, allow_locked: bool = False) -> Json:
    """Delete the log, or the part of it that is older than `threshold_sec` seconds."""
    _check_open(db, task, allow_locked)
    before = time.time() * 1000 - threshold_sec * 1000 if threshold_sec is not None else _LARGEST - 1
    deleted = db.execute("DELETE FROM event WHERE owner = ? AND type = ? AND timestamp < ?", (task, LOG, float(before))).rowcount
    return {"deleted": deleted}


def _check_open(db: sqlite3.Connection, task: str, allow_locked: bool) -> None:
    """Raises UnknownIDError if the task's events may no longer be deleted."""
    if TASKS.get(db, task)["status"] == "published" and not allow_locked:
        raise UnknownIDError(f"Invalid task id, or it is published: id={task}", subcode=TASKS.missing)


def _owner(db: sqlite3.Connection, event: Any, states: dict[tuple[str, bool], str | None]) -> str:
    """The task or model of an event. Raises InvalidRequestError if there is none that accepts it."""
    if not isinstance(event, dict) or not isinstance(event.get("type"), str) or event["type"] not in TYPES:
        raise InvalidRequestError("unknown event type")
    owner, of_model = event.get("task"), bool(event.get("model_event"))
    if not isinstance(owner, str) or not owner:
        raise InvalidRequestError("event without a task")
    if not all(isinstance(event.get(name, ""), str | None) for name in ("metric", "variant", "url")):
        raise InvalidRequestError("metric, variant and url must be text")
    if (owner, of_model) not in states:
        status = "CASE WHEN doc ->> '$.ready' THEN 'published' ELSE '' END" if of_model else "doc ->> '$.status'"
        row = db.execute(f"SELECT {status} FROM {'model' if of_model else 'task'} WHERE id = ?", (owner,)).fetchone()
        states[owner, of_model] = row and row[0]
    state = states[owner, of_model]
    if state is None:
        raise UnknownIDError(f"Invalid {'model' if of_model else 'task'} id: id={owner}", subcode=201 if of_model else 101)
    if state == "published" and not event.get("allow_locked"):
        raise InvalidRequestError(f"{owner} is published")
    return owner


def _iteration(event: Json) -> int:
    iteration = event.get("iter") or 0
    if not isinstance(iteration, int | float) or not abs(iteration) < _LARGEST:
        raise InvalidRequestError("iter must be a number")
    event["iter"] = int(iteration)
    return int(iteration)


def _timestamp(event: Json) -> int:
    given = event.get("timestamp") or event.get("ts")
    if not isinstance(given, int | float) or not 0 < given < _LARGEST:
        return int(time.time() * 1000)
    return int(given)


def _value(event: Json) -> float:
    value = event.get("value")
    if not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        raise InvalidRequestError("value must be a finite number")
    return float(value)


def _add_others(db: sqlite3.Connection, events: list[Json]) -> None:
    """Add all events but scalars. A plot replaces that with the same name and iteration, an image that whose file it has overwritten."""
    rows = []
    for event in events:
        owner, kind = event["task"], event["type"]
        metric, variant = event.get("metric"), event.get("variant")
        if kind == PLOT:
            sql = "DELETE FROM event WHERE owner = ? AND type = ? AND metric IS ? AND variant IS ? AND iter = ?"
            db.execute(sql, (owner, kind, metric, variant, event["iter"]))
        elif kind == IMAGE and event.get("url"):
            sql = "DELETE FROM event WHERE owner = ? AND type = ? AND metric IS ? AND variant IS ? AND doc ->> '$.url' = ?"
            db.execute(sql, (owner, kind, metric, variant, event["url"]))
        timestamp = _timestamp(event)
        document = {key: value for key, value in event.items() if key not in ("model_event", "allow_locked")} | {"timestamp": timestamp}
        row = (owner, kind, timestamp, metric, variant, event["iter"], encode(document).decode())
        if kind in (PLOT, IMAGE):
            _insert(db, [row])
        else:
            rows.append(row)
    _insert(db, rows)


def _insert(db: sqlite3.Connection, rows: list[Any]) -> None:
    db.executemany("INSERT INTO event (owner, type, timestamp, metric, variant, iter, doc) VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


def _touch(db: sqlite3.Connection, reached: dict[str, int]) -> None:
    """Record that these tasks are alive, and the iterations that they have reached."""
    moment = now()
    for owner, iteration in reached.items():
        db.execute(
            "UPDATE task SET doc = json_set(doc, '$.last_update', ?, '$.last_iteration', max(doc ->> '$.last_iteration', ?)) WHERE id = ?",
            (moment, iteration, owner),
        )
