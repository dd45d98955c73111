"""Reading log lines, plots and images."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from . import curves
from .answers import Room, Text
from .documents import TASKS, Json
from .errors import InvalidRequestError
from .events import IMAGE, LOG, PLOT, SCALAR, VECTOR

_LATEST = 2**63 - 1


def get_task_log(
    db: sqlite3.Connection,
    task: str,
    batch_size: int = 500,
    navigate_earlier: bool = True,
    from_timestamp: float | None = None,
    order: str | None = None,
) -> Json:
    """Lines before (`navigate_earlier`) or after a time, the nearest first unless `order` is given.

    Lines of the same millisecond are never split over two pages, so that the next page can start from the last line's time.
    """
    TASKS.get(db, task)
    total = db.execute("SELECT count(*) FROM event WHERE owner = ? AND type = ?", (task, LOG)).fetchone()[0]
    nearest, farthest = (_LATEST, -1) if navigate_earlier else (-1, _LATEST)
    beyond, until, direction = ("<", ">=", "DESC") if navigate_earlier else (">", "<=", "ASC")
    start = nearest if from_timestamp is None else from_timestamp
    lines = f"FROM event WHERE owner = ? AND type = ? AND timestamp {beyond} ?"
    last = f"SELECT timestamp {lines} ORDER BY timestamp {direction} LIMIT 1 OFFSET ?"
    (end,) = db.execute(last, (task, LOG, start, max(1, batch_size) - 1)).fetchone() or (farthest,)
    shown = {"asc": "ASC", "desc": "DESC"}.get(order or "", direction)
    sql = f"SELECT doc {lines} AND timestamp {until} ? ORDER BY timestamp {shown}, id {shown}"
    events = Text((doc for (doc,) in db.execute(sql, (task, LOG, start, end))), Room())
    return {"events": events, "returned": events.count, "total": total}


def get_task_metrics(db: sqlite3.Connection, tasks: list[str], event_type: str | None = None) -> Json:
    """For each task, the names of metrics with events of a type, or of any type."""
    answer = []
    for task in tasks:
        names = set(curves.variants(db, task) if event_type in (None, SCALAR) else ())
        sql = "SELECT DISTINCT metric FROM event WHERE owner = ? AND type = ifnull(?, type) AND metric IS NOT NULL"
        names.update(name for (name,) in db.execute(sql, (task, event_type)))
        answer.append({"task": task, "metrics": sorted(names)})
    return {"metrics": answer}


def get_vector_metrics_and_variants(db: sqlite3.Connection, task: str, model_events: bool = False) -> Json:
    """The metrics, with their variants, for which vectors were reported."""
    found: dict[str, list[str]] = {}
    sql = "SELECT DISTINCT metric, variant FROM event WHERE owner = ? AND type = ? AND metric IS NOT NULL ORDER BY metric, variant"
    for metric, variant in db.execute(sql, (task, VECTOR)):
        found.setdefault(metric, []).append(variant)
    return {"metrics": [{"metric": metric, "variants": variants} for metric, variants in found.items()]}


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
    start = _start(scroll_id)
    ids = [plot.id for plot in _latest_plots(db, task, iters, metrics)[start:]]
    return {"plots": _documents(db, ids, Room()), "returned": len(ids), "total": len(ids), "scroll_id": str(start + len(ids))}


def get_multi_task_plots(db: sqlite3.Connection, tasks: list[str], iters: int = 1, scroll_id: str | None = None) -> Json:
    """{metric: {variant: {task: {iteration: {name, plots}}}}}"""
    answer: Json = {}
    returned = 0
    room = Room()
    for task in tasks if not scroll_id else []:
        name = TASKS.get(db, task)["name"]
        for (metric, variant, iteration), plots in groupby(_latest_plots(db, task, iters, None), lambda plot: plot[1:]):
            ids = [plot.id for plot in plots]
            place = answer.setdefault(metric, {}).setdefault(variant, {}).setdefault(task, {})
            place[str(iteration)] = {"name": name, "plots": _documents(db, ids, room)}
            returned += len(ids)
    return {"plots": answer, "returned": returned, "total": returned, "scroll_id": "1"}


class _Event(NamedTuple):
    id: int
    metric: str | None
    variant: str | None
    iter: int


def _latest_plots(db: sqlite3.Connection, task: str, iters: int, metrics: Sequence[Json] | None) -> list[_Event]:
    chosen = {item.get("metric"): set(item.get("variants") or []) for item in metrics or []}
    sql = """SELECT id, metric, variant, iter FROM
             (SELECT id, metric, variant, iter, dense_rank() OVER (PARTITION BY metric, variant ORDER BY iter DESC) AS age
              FROM event WHERE owner = ? AND type = ?)
             WHERE age <= ? ORDER BY metric, variant, iter DESC, id"""
    plots = map(_Event._make, db.execute(sql, (task, PLOT, max(1, iters))))
    return [plot for plot in plots if not chosen or (plot.metric in chosen and _wanted(plot.variant, chosen[plot.metric]))]


def _wanted(variant: str | None, chosen: set[str]) -> bool:
    return not chosen or variant in chosen


def _documents(db: sqlite3.Connection, ids: Iterable[int], room: Room) -> Text:
    """The stored events, still encoded."""
    return Text((db.execute("SELECT doc FROM event WHERE id = ?", (event,)).fetchone()[0] for event in ids), room)


def debug_images(
    db: sqlite3.Connection,
    metrics: list[dict[str, Any]],
    iters: int = 1,
    navigate_earlier: bool = True,
    refresh: bool = False,
    scroll_id: str | None = None,
    model_events: bool = False,
) -> Json:
    """For each task, the images of its latest `iters` iterations; `scroll_id` leads to earlier ones."""
    return _by_iteration(db, IMAGE, metrics, iters, navigate_earlier, None if refresh else scroll_id)


def plots(
    db: sqlite3.Connection,
    metrics: list[dict[str, Any]],
    iters: int = 1,
    navigate_earlier: bool = True,
    refresh: bool = False,
    scroll_id: str | None = None,
    model_events: bool = False,
) -> Json:
    """Like `debug_images`, for plots."""
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
    room = Room()
    sql = "SELECT id, metric, variant, iter FROM event WHERE owner = ? AND type = ? ORDER BY iter DESC, id"
    for task, chosen in wanted.items():
        found: dict[int, list[int]] = {}
        for event in map(_Event._make, db.execute(sql, (task, kind))):
            key = event.metric if event.metric in chosen else None
            if key in chosen and _wanted(event.variant, chosen[key]):
                found.setdefault(event.iter, []).append(event.id)
        shown = list(found.items())[start : start + max(1, iters)]
        answer.append({"task": task, "iterations": [{"iter": number, "events": _documents(db, ids, room)} for number, ids in shown]})
    return {"metrics": answer, "scroll_id": str(start + max(1, iters))}


def _start(scroll_id: str | None) -> int:
    if scroll_id and not scroll_id.isdecimal():
        raise InvalidRequestError(f"Invalid scroll id: {scroll_id}")
    return int(scroll_id or 0)
