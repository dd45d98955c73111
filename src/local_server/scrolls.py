"""All events of a run, page by page, in order of time.

A page starts after the keys of the previous page's last event, which are its `scroll_id`, rather than at an offset: events that are added
in the meantime do not shift the pages, and the last page of a long curve costs no more than the first.
"""

from __future__ import annotations

import math
import re
import sqlite3
from collections.abc import Iterator
from heapq import merge
from itertools import islice
from typing import Any, NamedTuple, Self

from . import curves
from .answers import Room, Text, encode
from .documents import Json
from .errors import InvalidRequestError
from .events import SCALAR, TYPES

_PART = 1000
"""The number of points that are read ahead, over all series together."""
_OTHERS = 0
"""Stands for the series of events that are not scalars."""

Event = tuple[int, int, int, Any]
"""Timestamp, series (or _OTHERS), iteration (or the event's ID), and the value (or the event's document)."""


class Scroll(NamedTuple):
    """The number of events when the first page was requested, and the keys of the last event that was returned."""

    total: int
    timestamp: float
    series: float
    place: float

    @classmethod
    def read(cls, scroll_id: str) -> Self:
        """Raises InvalidRequestError if it is not a `scroll_id` of this server."""
        return cls(*keys(scroll_id, 4))

    def __str__(self) -> str:
        """The `scroll_id`; before the first event it is empty, which is where a scroll begins."""
        return ":".join(map(str, self)) if math.isfinite(self.timestamp) else ""

    def start(self, series: int) -> tuple[float, float]:
        """The timestamp and place after which to continue in a series.

        Events with the same time are ordered by series. At the time of the last event, a series before its own has been read completely, so
        it continues after every place (inf); one behind it has not been read at all, so it continues before every place
        (-inf). In descending order both are the other way round, and so is the comparison.
        """
        if series == self.series:
            return self.timestamp, self.place
        return self.timestamp, math.inf if series < self.series else -math.inf


def keys(scroll_id: str, count: int) -> list[int]:
    """The numbers in a `scroll_id`. Raises InvalidRequestError unless there are `count` of them."""
    if not re.fullmatch(rf"-?[0-9]{{1,19}}(:-?[0-9]{{1,19}}){{{count - 1}}}", scroll_id):
        raise InvalidRequestError(f"Invalid scroll id: {scroll_id}")
    return [int(number) for number in scroll_id.split(":")]


def get_task_events(
    db: sqlite3.Connection,
    task: str,
    event_type: str | None = None,
    order: str = "asc",
    batch_size: int = 500,
    scroll_id: str | None = None,
    model_events: bool = False,
) -> Json:
    """Events by time, `batch_size` at a time; `scroll_id` continues where the last response ended. `total` is that of the first page.

    Each series, and each other type of event, is read in its own order from an index; merging these streams needs no sorting.
    """
    backwards = order == "desc"
    begin = math.inf if backwards else -math.inf
    scroll = Scroll.read(scroll_id) if scroll_id else Scroll(_count(db, task, event_type), begin, begin, begin)
    named = {one.id: one for one in curves.series(db, [task])} if event_type in (None, SCALAR) else {}
    kinds = [event_type] if event_type else sorted(TYPES)
    streams = [
        *(_points(db, one, scroll.start(one), backwards, _PART // len(named) + 1) for one in named),
        *(_others(db, task, kind, scroll.start(_OTHERS), backwards) for kind in kinds if kind != SCALAR),
    ]
    last = scroll

    def texts() -> Iterator[str | bytes]:
        nonlocal last
        for timestamp, series, place, content in islice(merge(*streams, reverse=backwards), max(1, batch_size)):
            last = Scroll(scroll.total, timestamp, series, place)
            yield content if series == _OTHERS else _scalar(named[series], timestamp, place, content)

    events = Text(texts(), Room())
    return {"events": events, "returned": events.count, "total": scroll.total, "scroll_id": str(last)}


def _count(db: sqlite3.Connection, owner: str, kind: str | None) -> int:
    points = "SELECT count(*) FROM series JOIN point ON point.series = series.id WHERE owner = ?"
    others = "SELECT count(*) FROM event WHERE owner = ? AND type = ifnull(?, type)"
    (scalars,) = db.execute(points, (owner,)).fetchone() if kind in (None, SCALAR) else (0,)
    return int(scalars + db.execute(others, (owner, kind)).fetchone()[0])


def _points(db: sqlite3.Connection, series: int, after: tuple[float, float], backwards: bool, part: int) -> Iterator[Event]:
    """The points of one series, read in parts, since thousands of series may be open at once."""
    beyond, direction = ("<", "DESC") if backwards else (">", "ASC")
    sql = f"""SELECT timestamp, series, iter, value FROM point WHERE series = ? AND (timestamp, iter) {beyond} (?, ?)
        ORDER BY timestamp {direction}, iter {direction} LIMIT ?"""
    while rows := db.execute(sql, (series, *after, part)).fetchall():
        yield from rows
        after = rows[-1][0], rows[-1][2]


def _others(db: sqlite3.Connection, owner: str, kind: str, after: tuple[float, float], backwards: bool) -> Iterator[Event]:
    """The events of one type, read one by one, since each may be large."""
    beyond, direction = ("<", "DESC") if backwards else (">", "ASC")
    sql = f"""SELECT timestamp, {_OTHERS}, id, doc FROM event WHERE owner = ? AND type = ? AND (timestamp, id) {beyond} (?, ?)
        ORDER BY timestamp {direction}, id {direction}"""
    yield from db.execute(sql, (owner, kind, *after))


def _scalar(one: curves.Series, timestamp: int, iteration: int, value: float) -> bytes:
    event = {"task": one.owner, "type": SCALAR, "metric": one.metric, "variant": one.variant, "iter": iteration}
    return encode(event | {"timestamp": timestamp, "value": value})


def clear_scroll(db: sqlite3.Connection, scroll_id: str) -> Json:
    return {}
