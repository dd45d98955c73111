"""Stored scalars: one series per task, metric and variant, with its points in order of iteration."""

from __future__ import annotations

import hashlib
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from .answers import Room, Text, encode

# The SDK reports single values (a test score) at this iteration; they belong to no curve.
SINGLE_VALUE = -(2**31)
_LATEST = 253_402_300_799_000  # the end of the year 9999, after which Python knows no dates
_PART = 10_000
# From this many points per sample on, one search per interval is faster than grouping all points by intervals.
_DENSE = 20

# The mean of a group of points. If the sum exceeds the largest double, avg is infinite: then the nearest value of the group is used.
MEAN = "min(max(value), max(min(value), avg(value)))"

Point = tuple[int, int, float]
"""Iteration, timestamp in milliseconds, value."""


@dataclass(frozen=True)
class Series:
    """A curve of a task (or a model), with its statistics."""

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
    """Add points to a series. A point replaces one with the same iteration and time, so that a repeated request has no effect."""
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
    """The series of some tasks, ordered by name; `metrics` selects `{metric, variants}`, all variants if none are given."""
    chosen = {item.get("metric"): set(item.get("variants") or []) for item in metrics or []}
    ids = list(owners)
    columns = ", ".join(Series.__dataclass_fields__)
    sql = f"SELECT {columns} FROM series WHERE owner IN ({', '.join('?' * len(ids))}) ORDER BY metric, variant, owner"
    for row in db.execute(sql, ids).fetchall():
        one = Series(*row)
        if not chosen or (one.metric in chosen and (not chosen[one.metric] or one.variant in chosen[one.metric])):
            yield one


def curve(db: sqlite3.Connection, one: Series, samples: int, key: str, room: Room) -> dict[str, Text] | None:
    """A series' x and y, and its iterations if they are not the x axis, with at most `samples` points (0: all); None if it is empty.

    If it has more points, they are averaged over equal intervals of x. Of several points for one iteration the last one counts. The page
    needs the iterations to draw gaps.

    Args:
        key: iter, timestamp (milliseconds) or iso_time.
    """
    points = _averages(db, one.id, samples, key) if samples > 0 and _has_more(db, one.id, samples) else _points(db, one.id, key)
    lists: dict[str, list[bytes]] = {name: [] for name in ("x", "y", *(["iter"] if key != "iter" else []))}
    while part := list(islice(points, _PART)):
        moments, values, iterations = zip(*part, strict=True)
        told = {"x": [_iso(moment) for moment in moments] if key == "iso_time" else moments, "y": values, "iter": iterations}
        for name, texts in lists.items():
            texts.append(encode(told[name])[1:-1])
    return {name: Text(texts, room) for name, texts in lists.items()} if lists["x"] else None


def _has_more(db: sqlite3.Connection, series: int, points: int) -> bool:
    sql = f"SELECT 1 FROM point WHERE series = ? AND iter > {SINGLE_VALUE} LIMIT 1 OFFSET ?"
    return db.execute(sql, (series, points)).fetchone() is not None


def _points(db: sqlite3.Connection, series: int, key: str) -> Iterator[tuple[int, float, int]]:
    """The x, value and iteration of each point; of several with the same x, the last one."""
    x, order = ("iter", "iter, timestamp") if key == "iter" else ("timestamp", "timestamp, iter")
    rows = db.execute(f"SELECT {x}, value, iter FROM point WHERE series = ? AND iter > {SINGLE_VALUE} ORDER BY {order}", (series,))
    last = next(rows, None)
    for row in rows:
        if last and row[0] != last[0]:
            yield last
        last = row
    if last:
        yield last


def _averages(db: sqlite3.Connection, series: int, samples: int, key: str) -> Iterator[tuple[int, float, int]]:
    """The least x, the mean value and the least iteration of each of `samples` equal intervals of x that contains points.

    Points are stored in order of iteration. A long curve over iterations is therefore read interval by interval: grouping its points would
    sort all of them. Over time, or for a short curve, one grouped query is faster.
    """
    x = "iter" if key == "iter" else "timestamp"
    curve = f"FROM point WHERE series = {series} AND iter > {SINGLE_VALUE}"
    (low,), (high,) = (db.execute(f"SELECT {which}({x}) {curve}").fetchone() for which in ("min", "max"))
    span = high - low + 1
    if key == "iter" and _has_more(db, series, _DENSE * samples):
        for index in range(samples):
            begin, end = (low - (-at * span // samples) for at in (index, index + 1))
            sql = f"SELECT min(iter), {MEAN}, min(iter) FROM point WHERE series = ? AND iter >= ? AND iter < ?"
            found = db.execute(sql, (series, begin, end)).fetchone()
            if found[0] is not None:
                yield found
    else:
        stretch = f"({x} - {low}) * {samples} / {span}"
        yield from db.execute(f"SELECT min({x}), {MEAN}, min(iter) {curve} GROUP BY {stretch} ORDER BY {stretch}")


def _iso(moment: int) -> str:
    return datetime.fromtimestamp(min(moment, _LATEST) / 1000, UTC).isoformat(timespec="milliseconds")


def last_metrics(db: sqlite3.Connection, owners: Sequence[str]) -> dict[str, dict[str, Any]]:
    """ClearML's `last_metrics` of each task: the last, least and greatest value by the hashes of metric and variant."""
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
    """Delete all events of a task or model; returns how many there were."""
    points = db.execute("DELETE FROM point WHERE series IN (SELECT id FROM series WHERE owner = ?)", (owner,)).rowcount
    db.execute("DELETE FROM series WHERE owner = ?", (owner,))
    return points + db.execute("DELETE FROM event WHERE owner = ?", (owner,)).rowcount


def urls(db: sqlite3.Connection, owner: str) -> list[str]:
    """The files that a task's events refer to."""
    rows = db.execute("SELECT DISTINCT doc ->> '$.url' FROM event WHERE owner = ? AND doc ->> '$.url' IS NOT NULL", (owner,))
    return [url for (url,) in rows]


def _md5(name: str) -> str:
    return hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
