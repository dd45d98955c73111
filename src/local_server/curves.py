"""Scalars as they are stored: one series per task, metric and variant, its points in the order of their iterations."""

from __future__ import annotations

import hashlib
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

# The SDK reports single values (a test score) at this iteration; they belong to no curve.
SINGLE_VALUE = -(2**31)

# The mean of a group of points; a sum beyond the largest double is no mean.
MEAN = "min(max(value), max(min(value), avg(value)))"

Point = tuple[int, int, float]
"""Iteration, timestamp in milliseconds, value."""


@dataclass(frozen=True)
class Series:
    """One curve of a task (or a model) with its statistics."""

    id: int
    owner: str
    metric: str
    variant: str
    metric_hash: str
    variant_hash: str
    value: float
    iter: int
    timestamp: int
    min_value: float
    min_iter: int
    max_value: float
    max_iter: int


def add(db: sqlite3.Connection, owner: str, metric: str, variant: str, points: Sequence[Point]) -> None:
    """Add points to a series. A point with the same iteration and time replaces: a repeated request changes nothing."""
    lowest, highest, last = min(points, key=lambda p: p[2]), max(points, key=lambda p: p[2]), max(points)
    values = (owner, metric, variant, _md5(metric), _md5(variant), last[2], last[0], last[1], lowest[2], lowest[0], highest[2], highest[0])
    (series,) = db.execute(
        """INSERT INTO series
            (owner, metric, variant, metric_hash, variant_hash, value, iter, timestamp, min_value, min_iter, max_value, max_iter)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (owner, metric, variant) DO UPDATE SET
            value = CASE WHEN (excluded.iter, excluded.timestamp) >= (iter, timestamp) THEN excluded.value ELSE value END,
            timestamp = CASE WHEN (excluded.iter, excluded.timestamp) >= (iter, timestamp) THEN excluded.timestamp ELSE timestamp END,
            iter = max(iter, excluded.iter),
            min_iter = CASE WHEN excluded.min_value < min_value THEN excluded.min_iter ELSE min_iter END,
            min_value = min(min_value, excluded.min_value),
            max_iter = CASE WHEN excluded.max_value > max_value THEN excluded.max_iter ELSE max_iter END,
            max_value = max(max_value, excluded.max_value)
        RETURNING id""",
        values,
    ).fetchone()
    sql = "INSERT OR REPLACE INTO point (series, iter, timestamp, value) VALUES (?, ?, ?, ?)"
    db.executemany(sql, [(series, *point) for point in points])


def series(db: sqlite3.Connection, owners: Iterable[str], metrics: Sequence[dict[str, Any]] | None = None) -> Iterator[Series]:
    """The series of some tasks, ordered by name; `metrics` chooses `{metric, variants}`, where no variants means all."""
    chosen = {item.get("metric"): set(item.get("variants") or []) for item in metrics or []}
    ids = list(owners)
    columns = ", ".join(Series.__dataclass_fields__)
    sql = f"SELECT {columns} FROM series WHERE owner IN ({', '.join('?' * len(ids))}) ORDER BY metric, variant, owner"
    for row in db.execute(sql, ids).fetchall():
        one = Series(*row)
        if not chosen or (one.metric in chosen and (not chosen[one.metric] or one.variant in chosen[one.metric])):
            yield one


def curve(db: sqlite3.Connection, one: Series, samples: int, key: str = "iter") -> tuple[list[Any], list[float], list[int]]:
    """A series' x, y and iterations with at most `samples` points (0: all). Where it has more, equal stretches of x are averaged.

    Of points reported for the same iteration the last one counts. `key`: iter, timestamp (milliseconds) or iso_time.
    """
    x = "iter" if key == "iter" else "timestamp"
    curve = f"FROM point WHERE series = {one.id} AND iter > {SINGLE_VALUE}"
    count = db.execute(f"SELECT count(*) {curve}").fetchone()[0] if samples > 0 else 0
    if count > max(0, samples):
        low, high = db.execute(f"SELECT min({x}), max({x}) {curve}").fetchone()
        stretch = f"({x} - {low}) * {samples} / {high - low + 1}"
        rows = db.execute(f"SELECT min({x}), {MEAN}, min(iter) {curve} GROUP BY {stretch} ORDER BY {stretch}").fetchall()
    else:
        order = "iter, timestamp" if key == "iter" else "timestamp, iter"
        rows = list({row[0]: row for row in db.execute(f"SELECT {x}, value, iter {curve} ORDER BY {order}")}.values())
    return [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]


def last_metrics(db: sqlite3.Connection, owners: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Per task, what ClearML keeps as `last_metrics`: by hash of metric and variant the last, least and greatest value."""
    found: dict[str, dict[str, Any]] = {owner: {} for owner in owners}
    for part in range(0, len(owners), 500):
        for one in series(db, owners[part : part + 500]):
            found[one.owner].setdefault(one.metric_hash, {})[one.variant_hash] = {
                "metric": one.metric,
                "variant": one.variant,
                "value": one.value,
                "min_value": one.min_value,
                "min_value_iteration": one.min_iter,
                "max_value": one.max_value,
                "max_value_iteration": one.max_iter,
            }
    return found


def variants(db: sqlite3.Connection, owner: str) -> dict[str, list[str]]:
    """The variants of each metric."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for one in series(db, [owner]):
        found[one.metric].append(one.variant)
    return dict(found)


def forget(db: sqlite3.Connection, owner: str) -> int:
    """Delete all events of a task or model; returns how many."""
    points = db.execute("DELETE FROM point WHERE series IN (SELECT id FROM series WHERE owner = ?)", (owner,)).rowcount
    db.execute("DELETE FROM series WHERE owner = ?", (owner,))
    return points + db.execute("DELETE FROM event WHERE owner = ?", (owner,)).rowcount


def urls(db: sqlite3.Connection, owner: str) -> list[str]:
    """The files that a task's events refer to."""
    rows = db.execute("SELECT DISTINCT doc ->> '$.url' FROM event WHERE owner = ? AND doc ->> '$.url' IS NOT NULL", (owner,))
    return [url for (url,) in rows]


def _md5(name: str) -> str:
    return hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
