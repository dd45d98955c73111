"""A database that is not whole: found at the start, not served, and what to do is said in one line."""

from __future__ import annotations

import os

import pytest
from support.events import OwnServer, scalar
from support.server import LocalServer, failed_start, one_line


def reported(server: LocalServer, batches: int = 20) -> str:
    """A task whose points are many commits and many pages."""
    task = str(server.call("tasks.create", name="some task", type="training")["id"])
    for first in range(0, batches * 200, 200):
        server.report(*(scalar(task, step, float(step)) for step in range(first, first + 200)))
    return task


@pytest.mark.parametrize("part", [0.5, 0.9])
def test_a_database_that_is_cut_is_not_served_and_one_line_says_what_to_do(own_server: OwnServer, part: float) -> None:
    server = own_server()
    reported(server)
    server.stop()
    path = server.data / "server.db"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])
    line = one_line(failed_start("--data", str(server.data), "--port", "0"))
    assert f"{path} is damaged, so the server does not start" in line
    assert "move server.db, server.db-wal and server.db-shm out of" in line
    path.write_bytes(whole)
    server.start()


def test_a_page_of_the_database_that_was_written_over_is_found(own_server: OwnServer) -> None:
    server = own_server()
    reported(server)
    server.stop()
    path = server.data / "server.db"
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2 // 4096 * 4096)
        file.write(os.urandom(4096))
    assert "is damaged, so the server does not start" in one_line(failed_start("--data", str(server.data), "--port", "0"))


@pytest.mark.parametrize("harm", ["cut", "written over"])
def test_a_torn_journal_costs_no_more_than_its_end(own_server: OwnServer, harm: str) -> None:
    """What was committed before is there, whole and alone. What SQLite leaves out although it is there is said, and kept."""
    server = own_server()
    task = reported(server, batches=6)
    server.kill()
    journal = server.data / "server.db-wal"
    half = journal.stat().st_size // 2
    with journal.open("r+b") as file:
        if harm == "cut":
            file.truncate(half)
        else:
            file.seek(half)
            file.write(os.urandom(6000))
    server.start()
    found = server.call("events.scalar_metrics_iter_histogram", task=task, samples=0)["loss"]["train"]["x"]
    assert found == list(range(len(found)))
    assert len(found) % 200 == 0
    assert 0 < len(found) < 1200
    assert ("is damaged" in server.log.read_text()) == (harm == "written over")
    assert (server.data / "server.db-wal.damaged").exists() == (harm == "written over")
    server.report(scalar(task, 10**6, 1.0))
    server.restart()


def test_a_journal_of_a_killed_server_is_whole(own_server: OwnServer) -> None:
    server = own_server()
    reported(server, batches=3)
    server.kill()
    server.start()
    assert "damaged" not in server.log.read_text()
