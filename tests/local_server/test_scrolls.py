"""Events and points that are read by pages: each once, whatever is added meanwhile, and the last page as cheaply as the first."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.events import NewTask, log_line, scalar
from support.server import LocalServer

from local_server import curves
from local_server.documents import Json
from local_server.metrics import scalar_metrics_iter_raw
from local_server.scrolls import get_task_events
from local_server.store import Store

SCALAR = "training_stats_scalar"


def pages(server: LocalServer, endpoint: str, **asked: Any) -> Iterator[Json]:
    """Until one is empty."""
    page: Json = {"scroll_id": None}
    for _ in range(100):
        page = server.call(f"events.{endpoint}", **asked, scroll_id=page["scroll_id"])
        yield page
        if page["returned"] == 0:
            return
    pytest.fail("pages without end")


def test_events_of_all_types_come_by_time(server: LocalServer, new_task: NewTask) -> None:
    task = new_task()
    server.report(scalar(task, 1, 0.5, timestamp=2000), log_line(task, "before", 1000), log_line(task, "after", 3000))
    first, rest, end = pages(server, "get_task_events", task=task, batch_size=2)
    assert [event["type"] for event in first["events"] + rest["events"]] == ["log", SCALAR, "log"]
    assert [(page["returned"], page["total"]) for page in (first, rest, end)] == [(2, 3), (1, 3), (0, 3)]
    backwards = [event for page in pages(server, "get_task_events", task=task, order="desc", batch_size=1) for event in page["events"]]
    assert backwards == (first["events"] + rest["events"])[::-1]
    assert [event["msg"] for event in server.call("events.get_task_events", task=task, event_type="log")["events"]] == ["before", "after"]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_what_has_one_time_is_told_once_whatever_the_page(server: LocalServer, new_task: NewTask, order: str, batch_size: int) -> None:
    task = new_task()
    sent = [scalar(task, step, step / 8, variant=name, timestamp=1000 + step // 4) for step in range(-4, 8) for name in ("a", "b")]
    server.report(*sent, *(log_line(task, f"line {index}", 1000 + index // 3) for index in range(6)))
    found = [event for page in pages(server, "get_task_events", task=task, order=order, batch_size=batch_size) for event in page["events"]]
    times = [event["timestamp"] for event in found]
    assert times == sorted(times, reverse=order == "desc")
    told = sorted((event.get("variant", ""), event.get("iter", 0), event.get("msg", "")) for event in found)
    lines = [("", 0, f"line {index}") for index in range(6)]
    assert told == sorted([*((event["variant"], event["iter"], "") for event in sent), *lines])


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_what_is_added_while_events_are_paged_moves_none(server: LocalServer, new_task: NewTask, order: str) -> None:
    """Reported late, under another name, and at the times just read: events that were there are told once each."""
    task = new_task()
    there = {(name, step) for name in ("b", "d") for step in range(10)}
    server.report(*(scalar(task, step, 0.0, variant=name) for name, step in there))
    told = []
    for number, page in enumerate(pages(server, "get_task_events", task=task, event_type=SCALAR, order=order, batch_size=3)):
        assert page["total"] == len(there)
        told += [(event["variant"], event["iter"]) for event in page["events"]]
        if number < 6:
            more = [scalar(task, step, 1.0, variant=f"{name}{number}") for name in "ace" for step in (0, 5, 9)]
            server.report(*more, scalar(task, 5, 1.0, variant="b", timestamp=1_700_000_005_001 + number))
    assert len(told) > len(there)  # some of what was added lay ahead
    again = ("b", 5)  # told for each of its times that lay ahead
    assert sorted(point for point in told if point in there and point != again) == sorted(there - {again})


def test_raw_points_come_in_batches(server: LocalServer, new_task: NewTask) -> None:
    task = new_task()
    server.report(*(scalar(task, step, float(step)) for step in range(5)))
    asked = {"task": task, "metric": {"metric": "loss"}, "batch_size": 3}
    first, rest, end = pages(server, "scalar_metrics_iter_raw", **asked, count_total=True)
    assert [page["total"] for page in (first, rest, end)] == [5, 5, 5]
    assert first["variants"]["train"]["value"] + rest["variants"]["train"]["value"] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert (first["variants"]["train"]["iter"], first["variants"]["train"]["timestamp"][0]) == ([0, 1, 2], 1_700_000_000_000)
    assert end["variants"] == {}


def test_what_is_added_while_raw_points_are_read_moves_none(server: LocalServer, new_task: NewTask) -> None:
    task = new_task()
    there = [(name, step) for name in ("b", "d") for step in range(10)]
    server.report(*(scalar(task, step, 0.0, variant=name) for name, step in there))
    told = []
    for number, page in enumerate(pages(server, "scalar_metrics_iter_raw", task=task, metric={"metric": "loss"}, batch_size=3)):
        told += [(name, step) for name, line in page["variants"].items() for step in line["iter"]]
        if number < 6:
            server.report(*(scalar(task, -1 - number, 1.0, variant=name) for name in "bd"), scalar(task, number, 1.0, variant="a"))
    assert sorted(point for point in told if point in there) == there


def test_a_page_may_be_larger_than_what_is_read_ahead(server: LocalServer, new_task: NewTask) -> None:
    task = new_task()
    server.report(*(scalar(task, step, 0.5) for step in range(2500)))
    page = server.call("events.get_task_events", task=task, event_type=SCALAR, batch_size=5000)
    assert [event["iter"] for event in page["events"]] == list(range(2500))


@pytest.mark.parametrize("scroll_id", ["5", "x", "1:2:3:4:5", "1:2:3:4\n", "1::3:4", "1.5:2:3:4"])
def test_what_no_page_gave_is_no_scroll_id(server: LocalServer, new_task: NewTask, scroll_id: str) -> None:
    for endpoint, more in (("get_task_events", {}), ("scalar_metrics_iter_raw", {"metric": {"metric": "loss"}})):
        refused = server.ask(f"events.{endpoint}", task=new_task(), scroll_id=scroll_id, **more)
        assert (refused.status_code, refused.json()["meta"]["result_msg"]) == (400, f"Invalid scroll id: {scroll_id}")


def test_nothing_reported_is_an_empty_page_that_is_asked_for_again(server: LocalServer, new_task: NewTask) -> None:
    task = new_task()
    first = server.call("events.get_task_events", task=task)
    assert first == {"events": [], "returned": 0, "total": 0, "scroll_id": ""}
    server.report(scalar(task, 1, 0.5))
    assert server.call("events.get_task_events", task=task, scroll_id=first["scroll_id"])["returned"] == 1


def steps(db: sqlite3.Connection, page: Any) -> int:
    """How many hundreds of instructions SQLite's machine takes for a page: not how long."""
    counted = 0

    def count() -> int:
        nonlocal counted
        counted += 1
        return 0

    db.set_progress_handler(count, 100)
    page()
    db.set_progress_handler(None, 0)
    return counted


@pytest.mark.parametrize("kind", [SCALAR, "log", None])
def test_the_last_page_of_a_long_run_costs_what_the_second_of_a_short_one_does(tmp_path: Path, kind: str | None) -> None:
    """All points were counted, and sorted, for each page."""
    store = Store(tmp_path / "server.db")

    def fill(db: sqlite3.Connection, task: str, count: int) -> None:
        for name in ("a", "b"):
            curves.add(db, task, "loss", name, [(step, step, 0.5) for step in range(count)])
        db.executemany(
            "INSERT INTO event (owner, type, timestamp, doc) VALUES (?, 'log', ?, '{}')", ((task, index) for index in range(count))
        )

    def costs(db: sqlite3.Connection, task: str) -> list[int]:
        page: Json = {"scroll_id": None}
        found = []

        def turn() -> None:
            nonlocal page
            page = get_task_events(db, task=task, event_type=kind, batch_size=500, scroll_id=page["scroll_id"])

        while page.get("returned", 500) == 500:
            found.append(steps(db, turn))
        return found

    for task, count in (("short", 1000), ("long", 20_000)):
        store.write(partial(fill, task=task, count=count)).result()
    short, long = (store.read(partial(costs, task=task)).result() for task in ("short", "long"))
    store.close()
    assert len(long) > 40
    assert max(long[1:]) < 2 * short[1]


def test_the_last_batch_of_raw_points_costs_what_the_first_does(tmp_path: Path) -> None:
    store = Store(tmp_path / "server.db")
    points = [(step, step, 0.5) for step in range(20_000)]
    store.write(lambda db: curves.add(db, "some task", "loss", "train", points)).result()

    def read(db: sqlite3.Connection) -> list[int]:
        (one,) = curves.series(db, ["some task"])
        begins = [f"{one.id}:{step}:{step}" for step in (0, 18_000)]
        asked = {"task": "some task", "metric": {"metric": "loss"}, "batch_size": 1000}
        return [steps(db, lambda begin=begin: scalar_metrics_iter_raw(db, **asked, scroll_id=begin)) for begin in begins]

    first, last = store.read(read).result()
    store.close()
    assert last < 2 * first
