"""Log lines, plots and images as they are read, and all events of a run in the order of their times."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from . import curves
from .documents import TASKS, Json
from .endpoints import endpoint
from .errors import InvalidRequestError
from .events import IMAGE, LOG, PLOT, SCALAR, VECTOR

_LATEST = 2**63 - 1
_SCALARS = f"""
    SELECT point.timestamp AS time, point.iter AS place, json_object('task', owner, 'type', '{SCALAR}', 'metric', metric,
        'variant', variant, 'iter', point.iter, 'timestamp', point.timestamp, 'value', point.value) AS doc
    FROM series JOIN point ON point.series = series.id WHERE owner = :owner"""
_OTHERS = "SELECT timestamp AS time, id AS place, doc FROM event WHERE owner = :owner AND type = ifnull(:type, type)"


@endpoint("events.get_task_log")
def get_task_log(
    db: sqlite3.Connection,
    task: str,
    batch_size: int = 500,
    navigate_earlier: bool = True,
    from_timestamp: float | None = None,
    order: str | None = None,
) -> Json:
    """Lines before (`navigate_earlier`) or after a time, the nearest first unless `order` says otherwise.

    Lines of the same millisecond are never torn apart, so that the last line's time is where to go on.
    """
    TASKS.get(db, task)
    total = db.execute("SELECT count(*) FROM event WHERE owner = ? AND type = ?", (task, LOG)).fetchone()[0]
    beyond, direction = ("<", "DESC") if navigate_earlier else (">", "ASC")
    start = from_timestamp if from_timestamp is not None else _LATEST if navigate_earlier else -1
    sql = "SELECT timestamp, id, doc FROM event WHERE owner = ? AND type = ? AND timestamp "
    nearest = f"{beyond} ? ORDER BY timestamp {direction}, id {direction} LIMIT ?"
    rows = db.execute(sql + nearest, (task, LOG, start, max(1, batch_size))).fetchall()
    if len(rows) == batch_size:
        seen = {row[1] for row in rows}
        rows += [row for row in db.execute(sql + f"= ? ORDER BY id {direction}", (task, LOG, rows[-1][0])) if row[1] not in seen]
    if order in ("asc", "desc"):
        rows.sort(key=lambda row: row[:2], reverse=order == "desc")
    return {"events": [json.loads(row[2]) for row in rows], "returned": len(rows), "total": total}


@endpoint("events.get_task_events")
def get_task_events(
    db: sqlite3.Connection,
    task: str,
    event_type: str | None = None,
    order: str = "asc",
    batch_size: int = 500,
    scroll_id: str | None = None,
    model_events: bool = False,
) -> Json:
    """Events by time, `batch_size` at a time; `scroll_id` goes on where the last answer ended."""
    start = _start(scroll_id)
    direction = "DESC" if order == "desc" else "ASC"
    union = " UNION ALL ".join(([_SCALARS] if event_type in (None, "", SCALAR) else []) + ([_OTHERS] if event_type != SCALAR else []))
    values = {"owner": task, "type": event_type or None, "batch": batch_size, "start": start}
    total = db.execute(f"SELECT count(*) FROM ({union})", values).fetchone()[0]
    sql = f"SELECT doc FROM ({union}) ORDER BY time {direction}, place {direction} LIMIT :batch OFFSET :start"
    events = [json.loads(doc) for (doc,) in db.execute(sql, values)]
    return {"events": events, "returned": len(events), "total": total, "scroll_id": str(start + len(events))}


@endpoint("events.clear_scroll")
def clear_scroll(db: sqlite3.Connection, scroll_id: str) -> Json:
    return {}


@endpoint("events.get_task_metrics")
def get_task_metrics(db: sqlite3.Connection, tasks: list[str], event_type: str | None = None) -> Json:
    """Per task the names of the metrics that have events of a type (of any, if none is named)."""
    answer = []
    for task in tasks:
        names = set(curves.variants(db, task) if event_type in (None, SCALAR) else ())
        sql = "SELECT DISTINCT metric FROM event WHERE owner = ? AND type = ifnull(?, type) AND metric IS NOT NULL"
        names.update(name for (name,) in db.execute(sql, (task, event_type)))
        answer.append({"task": task, "metrics": sorted(names)})
    return {"metrics": answer}


@endpoint("events.get_vector_metrics_and_variants")
def get_vector_metrics_and_variants(db: sqlite3.Connection, task: str, model_events: bool = False) -> Json:
    """The metrics, with their variants, of which vectors were reported."""
    found: dict[str, list[str]] = {}
    sql = "SELECT DISTINCT metric, variant FROM event WHERE owner = ? AND type = ? AND metric IS NOT NULL ORDER BY metric, variant"
    for metric, variant in db.execute(sql, (task, VECTOR)):
        found.setdefault(metric, []).append(variant)
    return {"metrics": [{"metric": metric, "variants": variants} for metric, variants in found.items()]}


@endpoint("events.get_task_plots")
def get_task_plots(
    db: sqlite3.Connection,
    task: str,
    iters: int = 1,
    metrics: list[dict[str, Any]] | None = None,
    scroll_id: str | None = None,
    no_scroll: bool = False,
    model_events: bool = False,
) -> Json:
    """The plots of each metric and variant at its latest `iters` iterations."""
    plots = _latest_plots(db, task, iters, metrics)[_start(scroll_id) :]
    return {"plots": plots, "returned": len(plots), "total": len(plots), "scroll_id": str(_start(scroll_id) + len(plots))}


@endpoint("events.get_multi_task_plots")
def get_multi_task_plots(db: sqlite3.Connection, tasks: list[str], iters: int = 1, scroll_id: str | None = None) -> Json:
    """{metric: {variant: {task: {iteration: {name, plots}}}}}"""
    answer: Json = {}
    returned = 0
    for task in tasks if not scroll_id else []:
        name = TASKS.get(db, task)["name"]
        for plot in _latest_plots(db, task, iters, None):
            place = answer.setdefault(plot["metric"], {}).setdefault(plot["variant"], {}).setdefault(task, {})
            place.setdefault(str(plot["iter"]), {"name": name, "plots": []})["plots"].append(plot)
            returned += 1
    return {"plots": answer, "returned": returned, "total": returned, "scroll_id": "1"}


def _latest_plots(db: sqlite3.Connection, task: str, iters: int, metrics: Sequence[Json] | None) -> list[Json]:
    chosen = {item.get("metric"): set(item.get("variants") or []) for item in metrics or []}
    sql = """SELECT metric, variant, doc FROM
             (SELECT *, dense_rank() OVER (PARTITION BY metric, variant ORDER BY iter DESC) AS age FROM event WHERE owner = ? AND type = ?)
             WHERE age <= ? ORDER BY metric, variant, iter DESC, id"""
    rows = db.execute(sql, (task, PLOT, max(1, iters)))
    return [
        json.loads(doc)
        for metric, variant, doc in rows
        if not chosen or (metric in chosen and (not chosen[metric] or variant in chosen[metric]))
    ]


@endpoint("events.debug_images")
def debug_images(
    db: sqlite3.Connection,
    metrics: list[dict[str, Any]],
    iters: int = 1,
    navigate_earlier: bool = True,
    refresh: bool = False,
    scroll_id: str | None = None,
    model_events: bool = False,
) -> Json:
    """Per task the images of its latest `iters` iterations; `scroll_id` goes on to earlier ones."""
    return _by_iteration(db, IMAGE, metrics, iters, navigate_earlier, None if refresh else scroll_id)


@endpoint("events.plots")
def plots(
    db: sqlite3.Connection,
    metrics: list[dict[str, Any]],
    iters: int = 1,
    navigate_earlier: bool = True,
    refresh: bool = False,
    scroll_id: str | None = None,
    model_events: bool = False,
) -> Json:
    """As `debug_images`, for plots."""
    return _by_iteration(db, PLOT, metrics, iters, navigate_earlier, None if refresh else scroll_id)


def _by_iteration(db: sqlite3.Connection, kind: str, metrics: Sequence[Json], iters: int, earlier: bool, scroll_id: str | None) -> Json:
    start = _start(scroll_id)
    if not earlier:
        start = max(0, start - 2 * iters)
    wanted: dict[str, dict[str | None, set[str]]] = {}
    for item in metrics:
        if not isinstance(item.get("task"), str):
            raise InvalidRequestError("Validation error: each of metrics needs a task")
        wanted.setdefault(item["task"], {})[item.get("metric")] = set(item.get("variants") or [])
    answer = []
    for task, chosen in wanted.items():
        rows = db.execute("SELECT iter, metric, variant, doc FROM event WHERE owner = ? AND type = ? ORDER BY iter DESC, id", (task, kind))
        found: dict[int, list[Json]] = {}
        for iteration, metric, variant, doc in rows:
            key = metric if metric in chosen else None
            if key in chosen and (not chosen[key] or variant in chosen[key]):
                found.setdefault(iteration, []).append(json.loads(doc))
        shown = list(found.items())[start : start + max(1, iters)]
        answer.append({"task": task, "iterations": [{"iter": iteration, "events": events} for iteration, events in shown]})
    return {"metrics": answer, "scroll_id": str(start + max(1, iters))}


def _start(scroll_id: str | None) -> int:
    if scroll_id and not scroll_id.isdecimal():
        raise InvalidRequestError(f"Invalid scroll id: {scroll_id}")
    return int(scroll_id or 0)
