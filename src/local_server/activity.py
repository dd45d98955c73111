"""The activity of workers and queues over a period, as far as it can be told, since no history of their reports is kept."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from . import queues
from .documents import QUEUES, TASKS, WORKERS, Json
from .errors import InvalidRequestError

MOST_POINTS = 10_000
_AGGREGATIONS: dict[str, Callable[[Sequence[float]], float]] = {"avg": lambda values: sum(values) / len(values), "min": min, "max": max}


def _dates(from_date: float, to_date: float, interval: int) -> range:
    """The starts of the intervals, in seconds since the epoch."""
    if interval < 1 or to_date < from_date or (to_date - from_date) / interval > MOST_POINTS:
        raise InvalidRequestError(
            f"Validation error: interval must be at least 1, and from_date to to_date at most {MOST_POINTS} intervals"
        )
    return range(int(from_date), int(to_date) + 1, interval)


def _date_of(dates: range, moment: float) -> int | None:
    """The start of the interval that contains a moment; None if none does."""
    place = int(moment - dates.start) // dates.step
    return dates[place] if moment >= dates.start and place < len(dates) else None


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def get_stats(
    db: sqlite3.Connection,
    from_date: float,
    to_date: float,
    interval: int,
    items: list[dict[str, Any]],
    worker_ids: list[str] | None = None,
    split_by_variant: bool = False,
) -> Json:
    """The last readings of each worker's machine; lists (one value per GPU) are aggregated, or split into variants."""
    dates = _dates(from_date, to_date, interval)
    answer = []
    for worker in WORKERS.select(db, "1 ORDER BY id"):
        date = _date_of(dates, _seconds(worker["last_report_time"]))
        if date is not None and (not worker_ids or worker["id"] in worker_ids):
            stats = worker.get("machine_stats") or {}
            answer.append({"worker": worker["id"], "metrics": _readings(stats, date, items, split_by_variant)})
    return {"workers": answer}


def _readings(stats: Json, date: int, items: Sequence[Json], split: bool) -> list[Json]:
    readings = []
    for key in dict.fromkeys(item.get("key") for item in items):
        value = stats.get(str(key))
        values = [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, int | float)]
        parts = [(str(index), [each]) for index, each in enumerate(values)] if split else [(None, values)] * bool(values)
        asked = [str(item.get("category") or "avg") for item in items if item.get("key") == key]
        for variant, part in parts:
            told = [{"aggregation": name, "values": [_AGGREGATIONS[name](part)]} for name in asked if name in _AGGREGATIONS]
            readings.append({"metric": key, "dates": [date], "stats": told} | ({"variant": variant} if variant is not None else {}))
    return readings


def get_activity_report(db: sqlite3.Connection, from_date: float, to_date: float, interval: int) -> Json:
    """For each interval, how many workers there were, and how many of them ran a task."""
    dates = _dates(from_date, to_date, interval)
    present = [
        (worker["id"], _seconds(worker["register_time"]), _seconds(worker["last_report_time"])) for worker in WORKERS.select(db, "1")
    ]
    ran = [
        (task["last_worker"], _seconds(task["started"]), _seconds(task.get("completed") or task["last_update"]))
        for task in TASKS.select(db, "doc ->> '$.last_worker' IS NOT NULL AND doc ->> '$.started' IS NOT NULL")
    ]
    return {"total": _series(dates, present), "active": _series(dates, ran)}


def _series(dates: range, spans: Sequence[tuple[str, float, float]]) -> Json:
    counts = [len({worker for worker, since, until in spans if since < date + dates.step and until >= date}) for date in dates]
    return {"dates": list(dates), "counts": counts}


def get_queue_metrics(
    db: sqlite3.Connection, from_date: float, to_date: float, interval: int, queue_ids: list[str] | None = None, refresh: bool = False
) -> Json:
    """How many tasks are waiting now, and for how long on average; for all queues together if none is named."""
    dates = _dates(from_date, to_date, interval)
    moment = datetime.now(UTC).timestamp()
    date = _date_of(dates, moment)
    QUEUES.require(db, queue_ids or [])
    every = [queue["id"] for queue in QUEUES.select(db, "1")]
    answer = []
    for name, ids in [(queue, [queue]) for queue in queue_ids] if queue_ids else [("all", every)]:
        waited = [moment - _seconds(entry["added"]) for queue in ids for entry in queues.entries(db, queue)]
        average = sum(waited) / len(waited) if waited else 0.0
        shown = date is not None
        point = {"dates": [date] * shown, "queue_lengths": [len(waited)] * shown, "avg_waiting_times": [average] * shown}
        answer.append({"queue": name, **point})
    return {"queues": answer}
