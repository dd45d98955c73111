"""Reading scalars: curves of one run, curves of several runs on common axes, single values."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence
from typing import Any

from . import curves
from .answers import Room
from .documents import TASKS, Json
from .errors import InvalidRequestError
from .fields import ITEM, check
from .projects import with_descendants
from .scrolls import keys

SAMPLES = 6000
LARGEST_COMPARISON = 100
_KEYS = ("iter", "timestamp", "iso_time")


def scalar_metrics_iter_histogram(
    db: sqlite3.Connection,
    task: str,
    samples: int = SAMPLES,
    key: str = "iter",
    metrics: list[dict[str, Any]] | None = None,
    model_events: bool = False,
) -> Json:
    """{metric: {variant: {name, x, y}}}, each curve with at most `samples` points (0: all)."""
    _check(db, [task], key, model_events)
    answer: Json = {}
    room = Room()
    for one in curves.series(db, [task], metrics):
        points = curves.curve(db, one, samples, key, room)
        if points:
            answer.setdefault(one.metric, {})[one.variant] = {"name": one.variant, **points}
    return answer


def multi_task_scalar_metrics_iter_histogram(
    db: sqlite3.Connection,
    tasks: list[str],
    samples: int = SAMPLES,
    key: str = "iter",
    metrics: list[dict[str, Any]] | None = None,
    model_events: bool = False,
) -> Json:
    """{metrics: {metric: {variant: {task: {name, x, y}}}}}, where `name` is the task's."""
    if len(tasks) > LARGEST_COMPARISON:
        raise InvalidRequestError(f"Validation error: up to {LARGEST_COMPARISON} tasks can be compared, not {len(tasks)}")
    _check(db, tasks, key, model_events)
    table = "model" if model_events else "task"
    names = dict(db.execute(f"SELECT id, doc ->> '$.name' FROM {table} WHERE id IN ({', '.join('?' * len(tasks))})", tasks).fetchall())
    answer: Json = {}
    room = Room()
    for one in curves.series(db, tasks, metrics):
        points = curves.curve(db, one, samples, key, room)
        if points:
            answer.setdefault(one.metric, {}).setdefault(one.variant, {})[one.owner] = {"name": names[one.owner], **points}
    return {"metrics": answer}


def _check(db: sqlite3.Connection, tasks: Sequence[str], key: str, model_events: bool) -> None:
    if key not in _KEYS:
        raise InvalidRequestError(f"Validation error: key '{key}', expected one of {', '.join(_KEYS)}")
    if not model_events:
        TASKS.require(db, tasks)


def get_task_single_value_metrics(db: sqlite3.Connection, tasks: list[str], model_events: bool = False) -> Json:
    answer: dict[str, list[Json]] = {task: [] for task in tasks}
    for one in curves.series(db, tasks):
        sql = "SELECT timestamp, value FROM point WHERE series = ? AND iter = ? ORDER BY timestamp DESC LIMIT 1"
        row = db.execute(sql, (one.id, curves.SINGLE_VALUE)).fetchone()
        if row:
            answer[one.owner].append({"metric": one.metric, "variant": one.variant, "timestamp": row[0], "value": row[1]})
    return {"tasks": [{"task": task, "values": values} for task, values in answer.items() if values]}


def get_scalar_metrics_and_variants(db: sqlite3.Connection, task: str) -> Json:
    return {"metrics": curves.variants(db, task)}


def get_unique_metric_variants(db: sqlite3.Connection, project: str | None = None, include_subprojects: bool = True) -> Json:
    """The names of scalars reported by the tasks of a project, or of all projects."""
    condition, values = "1", []
    if project:
        values = with_descendants(db, [project]) if include_subprojects else [project]
        condition = f"task.doc ->> '$.project' IN ({', '.join('?' * len(values))})"
    columns = ("metric", "metric_hash", "variant", "variant_hash")
    sql = f"""SELECT DISTINCT {", ".join(columns)} FROM series JOIN task ON task.id = series.owner
              WHERE {condition} ORDER BY metric, variant"""
    return {"metrics": [dict(zip(columns, row, strict=True)) for row in db.execute(sql, values)]}


def get_task_latest_scalar_values(db: sqlite3.Connection, task: str) -> Json:
    document = TASKS.get(db, task)
    answer: dict[str, list[Json]] = {}
    latest = 0
    for one in curves.series(db, [task]):
        sql = f"SELECT {curves.MEAN} FROM (SELECT value FROM point WHERE series = ? ORDER BY iter DESC, timestamp DESC LIMIT 100)"
        recent = db.execute(sql, (one.id,)).fetchone()[0]
        answer.setdefault(one.metric, []).append({"name": one.variant, "last_value": one.value, "last_100_value": recent})
        latest = max(latest, one.timestamp)
    return {
        "metrics": [{"name": metric, "variants": variants} for metric, variants in answer.items()],
        **{"name": document["name"], "status": document["status"], "last_iter": document["last_iteration"], "last_timestamp": latest},
    }


def scalar_metrics_iter_raw(
    db: sqlite3.Connection,
    task: str,
    metric: dict[str, Any],
    key: str = "iter",
    batch_size: int = 10000,
    count_total: bool = False,
    scroll_id: str | None = None,
    model_events: bool = False,
) -> Json:
    """All points of a metric as reported, `batch_size` at a time over all its variants."""
    check("events.scalar_metrics_iter_raw: metric", metric, ITEM)
    place = tuple(keys(scroll_id, 3)) if scroll_id else (0, 0, 0)
    chosen = {one.id: one.variant for one in curves.series(db, [task], [metric])}
    sql = "SELECT iter, timestamp, value FROM point WHERE series = ? AND (iter, timestamp) > (?, ?) ORDER BY iter, timestamp LIMIT ?"
    variants: Json = {}
    returned, batch_size = 0, max(1, batch_size)
    for series in sorted(number for number in chosen if number >= place[0]):
        after = place[1:] if series == place[0] else (-math.inf, -math.inf)
        if rows := db.execute(sql, (series, *after, batch_size - returned)).fetchall():
            variants[chosen[series]] = dict(zip(("iter", "timestamp", "value"), map(list, zip(*rows, strict=True)), strict=True))
            place = (series, *rows[-1][:2])
            returned += len(rows)
    answer: Json = {"variants": variants, "returned": returned, "scroll_id": ":".join(map(str, place))}
    if count_total:
        marks = ", ".join("?" * len(chosen))
        answer["total"] = db.execute(f"SELECT count(*) FROM point WHERE series IN ({marks})", tuple(chosen)).fetchone()[0]
    return answer
