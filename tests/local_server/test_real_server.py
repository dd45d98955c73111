"""The embedded server answers as ClearML's own does: what was measured there is in real_server.tsv, every action in every status.

Where it answers otherwise on purpose, docs/embedded-server.md says so.
"""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support.validation import violations

from local_server.answers import envelope, pieces
from local_server.errors import AnswerError
from local_server.queues import DEFAULT
from local_server.store import Store
from local_server.table import TABLE

Cell = tuple[str, str]
"""Action and the status in which it is asked for."""
Outcome = tuple[int, int, str, bool]
"""HTTP code, subcode, the status afterwards, whether the task still stands in its queue."""

# How a task gets into a status, and what the `edit` actions edit.
WAYS = {
    "created": [],
    "queued": ["enqueue"],
    "in_progress": ["started"],
    "stopped": ["started", "stopped"],
    "completed": ["started", "completed"],
    "failed": ["started", "failed"],
    "closed": ["started", "stopped", "close"],
    "published": ["started", "completed", "publish"],
}
EDITS: dict[str, Any] = {"name": "another name", "tags": ["one"], "runtime": {"key": "value"}, "script": {"branch": "another"}}


def table() -> dict[Cell, Outcome]:
    """The measured answers."""
    with (Path(__file__).with_name("real_server.tsv")).open(newline="") as lines:
        rows = csv.DictReader((line for line in lines if not line.startswith("#")), delimiter="\t")
        return {
            (row["action"], row["from"]): (int(row["code"]), int(row["subcode"]), row["after"], row["in_queue"] == "yes") for row in rows
        }


REAL = table()


def call(db: sqlite3.Connection, endpoint: str, **body: Any) -> dict[str, Any]:
    """An end point's answer, which must be what the SDK's schema allows."""
    data = TABLE.find(endpoint).call(db, body)
    answer = bytes(envelope(endpoint, "2.23", pieces(data)).body)
    assert list(violations(endpoint, "2.23", json.dumps(body).encode(), answer)) == []
    return data


def act(db: sqlite3.Connection, task: str, action: str) -> tuple[int, int]:
    """Code and subcode of an action; those of a `_many` action for its one task."""
    name, *words = action.split()
    body: dict[str, Any] = {"force": True} if "force" in words else {}
    body |= {word: EDITS[word] for word in words if word in EDITS}
    body |= {"queue_name": DEFAULT} if name.startswith("enqueue") else {}
    body |= {"ids": [task]} if name.endswith("_many") else {"tasks": [task]} if name == "archive" else {"task": task}
    try:
        answer = call(db, f"tasks.{name}", **body)
    except AnswerError as error:
        return error.status, error.subcode
    return tuple(answer["failed"][0]["error"]["codes"]) if answer.get("failed") else (200, 0)


def outcome(db: sqlite3.Connection, action: str, status: str) -> Outcome:
    task = call(db, "tasks.create", name="some task", type="training")["id"]
    for step in WAYS[status]:
        assert act(db, task, step) == (200, 0)
    code, subcode = act(db, task, action)
    row = db.execute("SELECT doc ->> '$.status' FROM task WHERE id = ?", (task,)).fetchone()
    waiting = call(db, "queues.get_by_id", queue=call(db, "queues.get_default")["id"])["queue"]["entries"]
    return code, subcode, row[0] if row else "gone", task in [entry["task"] for entry in waiting]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Mapping[Cell, Outcome]:
    """What the embedded server's end points do in each cell, on one database: over HTTP, 1,300 synced requests would take 10 s."""
    store = Store(tmp_path_factory.mktemp("statuses") / "server.db")

    try:
        return store.write(lambda db: {cell: outcome(db, *cell) for cell in REAL}).result()
    finally:
        store.close()


def test_the_table_holds_40_actions_in_8_statuses() -> None:
    assert len(REAL) == 320
    assert {status for _, status in REAL} == set(WAYS)


@pytest.mark.parametrize("cell", REAL, ids=" from ".join)
def test_an_action_in_a_status_ends_as_on_the_real_server(outcomes: Mapping[Cell, Outcome], cell: Cell) -> None:
    assert outcomes[cell] == REAL[cell]
