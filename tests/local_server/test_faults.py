"""Kills, full disks, taken ports, folders from the future: nothing acknowledged is lost, and one clear line is told."""

from __future__ import annotations

import os
import resource
import socket
import sqlite3
import subprocess
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from support.events import OwnServer, log_line, scalar
from support.server import LocalServer, failed_start, one_line

from local_server.errors import InvalidRequestError, StartError
from local_server.store import VERSION, Store


def test_kill_9_in_a_storm_of_events_loses_none_that_was_acknowledged(own_server: OwnServer) -> None:
    server = own_server()
    tasks = [server.call("tasks.create", name=f"task {index}", type="training")["id"] for index in range(4)]
    acknowledged: dict[str, list[int]] = {task: [] for task in tasks}
    enough = threading.Event()

    def storm(task: str) -> None:
        for first in range(0, 10**6, 20):
            steps = range(first, first + 20)
            try:
                server.report(
                    *(scalar(task, step, float(step)) for step in steps), *(log_line(task, str(step), step + 1) for step in steps)
                )
            except requests.RequestException:
                return
            acknowledged[task] += steps
            if sum(map(len, acknowledged.values())) > 4000:
                enough.set()

    with ThreadPoolExecutor(4) as reporters:
        ended = [reporters.submit(storm, task) for task in tasks]
        assert enough.wait(60)
        server.kill()
        for each in ended:
            each.result(60)
    server.start()
    for task in tasks:
        curve = server.call("events.scalar_metrics_iter_histogram", task=task, samples=0)["loss"]["train"]
        assert set(acknowledged[task]) <= set(curve["x"])
        log = server.call("events.get_task_log", task=task, batch_size=10**6)["events"]
        assert set(acknowledged[task]) <= {int(event["msg"]) for event in log}
        # What was not acknowledged is there whole, or not at all.
        assert len(curve["x"]) == len(log)
        assert len(log) % 20 == 0


def test_a_full_disk_is_told_and_nothing_acknowledged_is_lost(own_server: OwnServer) -> None:
    """A limit on the size of files stands for the disk: the database cannot grow, as on a full one."""
    server = own_server()
    task = server.call("tasks.create", name="some task", type="training")["id"]
    grown = max(path.stat().st_size for path in server.data.iterdir())
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (grown + 200_000, resource.RLIM_INFINITY))
    stored = 0
    while True:
        answer = server.ask("events.add", **log_line(task, "x" * 10_000, stored + 1))
        if not answer.ok:
            break
        stored += 1
    assert (answer.status_code, answer.json()["meta"]["result_code"], answer.headers["Retry-After"]) == (503, 503, "5")
    assert "could not store" in answer.json()["meta"]["result_msg"]
    assert server.call("events.get_task_log", task=task)["total"] == stored
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    server.call("events.add", **log_line(task, "goes on", 10**6))
    server.kill()
    server.start()
    assert server.call("events.get_task_log", task=task)["total"] == stored + 1


def test_a_disk_that_is_full_at_the_start_is_one_line(tmp_path: Path) -> None:
    limited = failed_start(
        "--data", str(tmp_path / "data"), "--port", "0", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    )
    assert "cannot use" in one_line(limited)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_small_disk_that_really_fills_up(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let even root mount")
    server = LocalServer(disk / "data")
    try:
        task = server.call("tasks.create", name="some task", type="training")["id"]
        file = requests.post(server.files_url, files={"/large": b"x" * 4 * 2**20}, auth=server.keys, timeout=60)
        assert (file.status_code, file.text) == (507, "the server could not store the file: No space left on device")
        answers = [server.ask("events.add", **log_line(task, "x" * 100_000, step + 1)) for step in range(40)]
        refused = [answer.json()["meta"]["result_msg"] for answer in answers if not answer.ok]
        assert refused
        assert all("disk is full" in message or "disk I/O" in message for message in refused)
        assert server.call("events.get_task_log", task=task)["total"] == len(answers) - len(refused)
    finally:
        server.kill()
        subprocess.run(["umount", str(disk)], check=True)


def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        line = one_line(failed_start("--data", str(tmp_path / "data"), "--port", str(port)))
    assert line == f"local_server: port {port} of 127.0.0.1 is taken by another program; choose another with --port"


def test_a_folder_in_use_is_one_line(own_server: OwnServer) -> None:
    server = own_server()
    assert one_line(failed_start("--data", str(server.data), "--port", "0")).endswith("is in use by another server")
    assert [queue["name"] for queue in server.call("queues.get_all")["queues"]] == ["default"]


def test_a_folder_of_a_newer_version_is_one_line_and_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "server.db"
    newer = sqlite3.connect(path)
    newer.execute(f"PRAGMA user_version={VERSION + 1}")
    newer.close()
    assert "newer version" in one_line(failed_start("--data", str(path.parent), "--port", "0"))
    kept = sqlite3.connect(path)
    assert kept.execute("PRAGMA user_version").fetchone() == (VERSION + 1,)
    kept.close()


def test_damaged_keys_and_database_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "keys.json").write_text("{}")
    assert "keys.json" in one_line(failed_start("--data", str(tmp_path / "a"), "--port", "0"))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "server.db").write_text("this is no database" * 100)
    assert "server.db" in one_line(failed_start("--data", str(tmp_path / "b"), "--port", "0"))


def test_sigterm_ends_it_well_and_a_restart_finds_everything(own_server: OwnServer) -> None:
    server = own_server()
    queue = server.call("queues.create", name="kept")["id"]
    url = server.url
    server.stop()
    assert not (server.data / "server.json").exists()
    server.start()
    assert server.url == url
    assert server.call("queues.get_by_id", queue=queue)["queue"]["name"] == "kept"


def test_a_silent_task_is_stopped_and_one_that_pings_is_not(own_server: OwnServer) -> None:
    server = own_server("own", "--silence", "1.5")
    silent, alive = (server.call("tasks.create", name=name, type="training")["id"] for name in ("silent", "alive"))
    for task in (silent, alive):
        server.call("tasks.started", task=task)
    deadline = time.monotonic() + 30
    while (task := server.call("tasks.get_by_id", task=silent)["task"])["status"] == "in_progress":
        server.call("tasks.ping", task=alive)
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert (task["status"], task["status_reason"]) == ("stopped", "Forced stop (non-responsive)")
    assert server.call("tasks.get_by_id", task=alive)["task"]["status"] == "in_progress"


def test_changes_that_wait_are_committed_together_and_refused_alone(tmp_path: Path) -> None:
    store = Store(tmp_path / "server.db")
    begun, go_on = threading.Event(), threading.Event()

    def hold(db: sqlite3.Connection) -> None:
        begun.set()
        go_on.wait(10)

    def insert(number: int) -> Future[None]:
        def work(db: sqlite3.Connection) -> None:
            db.execute("INSERT INTO queue (id, doc) VALUES (?, '{}')", (number,))
            if number == 3:
                raise InvalidRequestError("not this one")

        return store.write(work)

    held = store.write(hold)
    begun.wait(10)
    waiting = [insert(number) for number in range(6)]
    go_on.set()
    held.result(10)
    problems = [future.exception(10) for future in waiting]
    assert [str(problem) for problem in problems if problem] == ["not this one"]
    rows = store.read(lambda db: db.execute("SELECT id FROM queue ORDER BY id").fetchall()).result(10)
    assert [int(number) for (number,) in rows] == [0, 1, 2, 4, 5]
    store.close()


def test_a_change_refused_by_sqlite_does_not_affect_others_in_the_same_commit(tmp_path: Path) -> None:
    """A function of ours that fails inside a statement is an OperationalError, as a full disk is."""
    store = Store(tmp_path / "server.db")
    begun, go_on = threading.Event(), threading.Event()

    def hold(db: sqlite3.Connection) -> None:
        begun.set()
        go_on.wait(10)

    def bad(db: sqlite3.Connection) -> None:
        db.execute("SELECT json_extract('{', '$')")

    held = store.write(hold)
    begun.wait(10)
    before = store.write(lambda db: db.execute("INSERT INTO queue (id, doc) VALUES ('a', '{}')"))
    refused = store.write(bad)
    after = store.write(lambda db: db.execute("INSERT INTO queue (id, doc) VALUES ('b', '{}')"))
    go_on.set()
    for future in (held, before, after):
        future.result(10)
    assert isinstance(refused.exception(10), InvalidRequestError)
    assert store.read(lambda db: db.execute("SELECT count(*) FROM queue").fetchone()).result(10) == (2,)
    store.close()


def test_a_file_of_the_first_version_is_brought_to_this_one(tmp_path: Path) -> None:
    """It had no leases, nor points in the order of their times."""
    Store(tmp_path / "server.db").close()
    older = sqlite3.connect(tmp_path / "server.db")
    older.executescript("DROP TABLE lease; DROP TABLE lost; DROP INDEX point_time; PRAGMA user_version=1")
    older.execute("INSERT INTO task (id, doc) VALUES ('kept', '{}')")
    older.commit()
    older.close()
    store = Store(tmp_path / "server.db")
    counts = "SELECT (SELECT count(*) FROM task), (SELECT count(*) FROM lease), (SELECT count(*) FROM lost)"
    assert store.read(lambda db: db.execute(counts).fetchone()).result(10) == (1, 0, 0)
    store.close()


def test_a_store_refuses_a_newer_file(tmp_path: Path) -> None:
    Store(tmp_path / "server.db").close()
    newer = sqlite3.connect(tmp_path / "server.db")
    newer.execute(f"PRAGMA user_version={VERSION + 1}")
    newer.close()
    with pytest.raises(StartError, match="newer version"):
        Store(tmp_path / "server.db")
