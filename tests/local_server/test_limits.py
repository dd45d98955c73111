"""Large requests, large answers and many of them: bounded in memory, and nobody waits long for them."""

from __future__ import annotations

import json
import re
import resource
import socket
import sqlite3
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from support.events import NewTask, OwnServer, log_line, scalar
from support.server import LocalServer

from local_server.bodies import DEEPEST, MOST_VALUES

MIB = 2**20


def post(server: LocalServer, endpoint: str, body: str | bytes) -> requests.Response:
    return requests.post(f"{server.url}/{endpoint}", data=body, auth=server.keys, timeout=120)


def message(answer: requests.Response) -> str:
    return str(answer.json()["meta"]["result_msg"])


def peak(server: LocalServer) -> float:
    """The most memory that the server has held, in MiB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{server.pid}/status").read_text())
    assert found
    return int(found[1]) / 1024


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("events.add_batch", b"{}\n" * (20 * 10**6)),  # 1.9 GiB once all of it is parsed
        ("tasks.create", b'{"name": [' + b"{}," * (5 * 10**6) + b"{}]}"),
        ("events.add", b'{"type": "plot", "task": "x", "more": [' + b"{}," * (20 * 10**6) + b"{}]}"),
    ],
)
def test_what_would_take_the_memory_is_refused_and_does_not(own_server: OwnServer, endpoint: str, body: bytes) -> None:
    server = own_server()
    before = peak(server)
    answer = post(server, endpoint, body)
    assert answer.status_code == 413
    assert f"more than {MOST_VALUES:,}" in message(answer)
    assert peak(server) - before < 400


@pytest.mark.parametrize(("endpoint", "limit"), [("tasks.create", 16 * MIB), ("events.add", 64 * MIB), ("events.add_batch", 128 * MIB)])
def test_a_body_over_its_endpoints_limit_is_refused_naming_the_limit(server: LocalServer, endpoint: str, limit: int) -> None:
    answer = post(server, endpoint, b'{"name": "' + b"x" * limit + b'"}')
    assert (answer.status_code, answer.json()["meta"]["result_code"]) == (413, 413)
    assert f"{limit // MIB} MiB, the limit of {endpoint}" in message(answer)


@pytest.mark.parametrize("field", ["hyperparams", "unknown"])
def test_nesting_is_limited(server: LocalServer, field: str) -> None:
    deep = '{"name": "deep", "type": "training", "%s": %s}'
    for depth in (DEEPEST, 5000, 10**6):
        answer = post(server, "tasks.create", deep % (field, '{"a":' * depth + "1" + "}" * depth))
        assert answer.status_code == 400
    assert "more than 100 levels deep" in message(post(server, "tasks.create", deep % ("x", "[" * DEEPEST + "]" * DEEPEST)))


def test_an_integer_beyond_64_bits_is_refused_and_the_largest_kept(server: LocalServer) -> None:
    """ClearML's own database holds 64 bits."""
    for number, status in ((2**63 - 1, 200), (-(2**63), 200), (2**63, 400), (-(2**63) - 1, 400), (10**400, 400)):
        body = json.dumps({"name": "large number", "type": "training", "runtime": {"n": number}})
        answer = post(server, "tasks.create", body)
        assert answer.status_code == status
        if answer.ok:
            assert server.call("tasks.get_by_id", task=answer.json()["data"]["id"])["task"]["runtime"]["n"] == number


def test_output_that_is_not_utf_8_does_not_lose_its_batch(server: LocalServer, new_task: NewTask) -> None:
    """Python's clients send half a surrogate pair for it. What looks like one and is none stays."""
    task = new_task()
    lines = ["caf\udce9", "😀", r"C:\udata", "\ud83d", "fine"]
    answer = server.report(*(log_line(task, line, 1000 + at) for at, line in enumerate(lines)))
    assert answer["added"] == len(lines)
    seen = server.call("events.get_task_log", task=task, order="asc")["events"]
    assert [event["msg"] for event in seen] == ["caf\ufffd", "😀", r"C:\udata", "\ufffd", "fine"]


def test_a_number_that_is_none_costs_its_event_and_not_the_batch(server: LocalServer, new_task: NewTask) -> None:
    """Texts that look like such numbers stay."""
    task = new_task()
    event = '{"type": "training_stats_scalar", "task": "%s", "metric": "NaN 1e999 Infinity", "variant": "v", "iter": %d, "value": %s}'
    values = ["1.5", "NaN", "-Infinity", "1e999", "1e-999", "1e307", "1" + "0" * 400]
    body = "\n".join(event % (task, step, value) for step, value in enumerate(values))
    answer = post(server, "events.add_batch", body).json()["data"]
    assert (answer["added"], answer["errors_info"]) == (3, {"value must be a finite number": 4})
    line = server.call("events.scalar_metrics_iter_histogram", task=task)["NaN 1e999 Infinity"]["v"]
    assert (line["x"], line["y"]) == ([0, 4, 5], [1.5, 0.0, 1e307])


def test_a_large_plot_comes_back_as_it_was_sent(server: LocalServer, new_task: NewTask) -> None:
    task = new_task()
    text = json.dumps({"data": [{"y": ['größe \\ " \n 😀'] * 100_000}]}, ensure_ascii=False)
    event = {"type": "plot", "task": task, "metric": "large", "variant": "one", "iter": 0, "plot_str": text}
    assert len(text) > MOST_VALUES
    for added in (server.report(event), server.call("events.add", **event | {"iter": 1})):
        assert added["added"] == 1
    plots = server.call("events.get_task_plots", task=task, iters=2)["plots"]
    assert [plot["iter"] for plot in plots] == [1, 0]
    assert all(plot["plot_str"] == text for plot in plots)
    broken = json.dumps(event).encode().replace(b"gr\\u00f6\\u00dfe", b"gr\xf6\xdfe")
    assert post(server, "events.add_batch", broken).status_code == 400


@contextmanager
def beside(act: Any) -> Iterator[None]:
    """Does something again and again in a thread of its own."""
    enough = threading.Event()

    def go_on() -> None:
        while not enough.is_set():
            act()

    with ThreadPoolExecutor(1) as one:
        done = one.submit(go_on)
        try:
            yield
        finally:
            enough.set()
            done.result(60)


def test_beside_large_plots_small_writes_go_on(own_server: OwnServer) -> None:
    """Ten plots of 20 MB at once took others' writes 8.4 s (p95) and 1.4 GiB."""
    server = own_server()
    task = server.call("tasks.create", name="some task", type="training")["id"]
    plot = {"type": "plot", "task": task, "metric": "large", "iter": 0, "plot_str": json.dumps({"y": [0.123456] * 2_000_000})}
    bodies = [json.dumps(plot | {"variant": str(index)}).encode() for index in range(10)]
    seconds: list[float] = []
    with requests.Session() as session:
        session.auth = server.keys

        def write() -> None:
            start = time.perf_counter()
            session.post(f"{server.url}/events.add_batch", json=scalar(task, len(seconds), 1.0), timeout=60).raise_for_status()
            seconds.append(time.perf_counter() - start)

        with beside(write), ThreadPoolExecutor(10) as senders:
            assert all(answer.ok for answer in senders.map(lambda body: post(server, "events.add_batch", body), bodies))
    assert statistics.quantiles(seconds, n=20, method="inclusive")[-1] < 4
    assert peak(server) < 500
    answer = server.call("events.get_task_plots", task=task, no_scroll=True)
    assert [plot["plot_str"] for plot in answer["plots"]] == [plot["plot_str"]] * 10
    assert peak(server) < 800


def written(server: LocalServer, sql: str, rows: Iterator[tuple[Any, ...]]) -> None:
    """Rows that would take minutes to send."""
    with closing(sqlite3.connect(server.data / "server.db")) as db, db:
        db.executemany(sql, rows)


def test_a_long_curve_and_a_long_log_take_neither_long_nor_much_memory(own_server: OwnServer) -> None:
    """A curve of 2 million points took 9 s, 500,000 lines 678 MiB. A fifth of each here: the time and memory of each point are the same."""
    server = own_server()
    task = server.call("tasks.create", name="some task", type="training")["id"]
    server.report(scalar(task, 0, 0.0))
    count = 400_000
    written(server, "INSERT INTO point SELECT 1, ?, ?, ?", ((step, step, step * 0.1) for step in range(1, count)))
    doc = json.dumps(log_line(task, "epoch 3 loss 0.125 " * 10, 0))
    sql = "INSERT INTO event (owner, type, timestamp, doc) VALUES (?, 'log', ?, ?)"
    written(server, sql, ((task, index, doc) for index in range(100_000)))
    server.restart()
    before, started = peak(server), time.monotonic()
    line = server.call("events.scalar_metrics_iter_histogram", task=task, samples=1000)["loss"]["train"]
    assert line["x"] == list(range(0, count, count // 1000))
    assert line["y"] == pytest.approx([0.1 * (start + (count // 1000 - 1) / 2) for start in line["x"]])
    assert time.monotonic() - started < 3
    everything = server.call("events.scalar_metrics_iter_histogram", task=task, samples=0)["loss"]["train"]
    assert everything["y"] == [step * 0.1 for step in range(count)]
    log = server.call("events.get_task_log", task=task, batch_size=10**6)
    assert (log["returned"], len(log["events"])) == (100_000, 100_000)
    assert peak(server) - before < 120


def test_a_sender_that_goes_away_in_the_middle_leaves_no_traceback(own_server: OwnServer) -> None:
    server = own_server()
    address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
    token = server.call("auth.login")["token"]
    head = f"POST /tasks.create HTTP/1.1\r\nHost: 127.0.0.1:{address[1]}\r\nAuthorization: Bearer {token}\r\nContent-Length: 100\r\n\r\n"
    with socket.create_connection(address) as client:
        client.sendall(head.encode() + b'{"name": ')
        time.sleep(0.2)
    assert server.call("tasks.get_all") == {"tasks": []}
    server.stop()
    assert server.log.read_text() == ""


def test_a_response_that_would_exhaust_memory_is_refused_with_a_remedy(own_server: OwnServer) -> None:
    server = own_server()
    task = server.call("tasks.create", name="some task", type="training")["id"]
    doc = json.dumps(log_line(task, "x" * MIB, 0))
    sql = "INSERT INTO event (owner, type, timestamp, doc) VALUES (?, 'log', ?, ?)"
    written(server, sql, ((task, index, doc) for index in range(257)))
    answer = server.ask("events.get_task_log", task=task, batch_size=1000)
    assert answer.status_code == 400
    assert "exceed 256 MiB; request less, by batch_size" in message(answer)
    assert len(server.call("events.get_task_log", task=task, batch_size=2)["events"]) == 2


def test_the_ids_of_thousands_of_tasks_come_at_once(own_server: OwnServer) -> None:
    """5,000 took 2.7 s, as whole documents were read."""
    server = own_server()
    parameters = {f"p{index}": {"section": "Args", "name": f"p{index}", "value": "x" * 40} for index in range(60)}
    task = server.call("tasks.create", name="some task", type="training", hyperparams={"Args": parameters})["id"]
    with closing(sqlite3.connect(server.data / "server.db")) as db:
        (doc,) = db.execute("SELECT doc FROM task").fetchone()
    ids = [f"{index:032x}" for index in range(3000)]
    written(server, "INSERT INTO task VALUES (?, ?)", ((copy, doc.replace(task, copy)) for copy in ids))
    started = time.monotonic()
    found = server.call("tasks.get_all", only_fields=["id"])["tasks"]
    assert time.monotonic() - started < 1
    assert sorted(each["id"] for each in found) == sorted([task, *ids])
    assert all(each == {"id": each["id"]} for each in found)


def test_idle_connections_do_not_keep_others_out(own_server: OwnServer) -> None:
    """400 of them stopped a server that may open 256 files. The oldest make room; one that is asked something is served."""
    server = own_server()
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (256, 256))
    address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
    with ExitStack() as idle, requests.Session() as session:
        session.auth = server.keys
        session.get(f"{server.url}/users.get_current_user", timeout=10).raise_for_status()
        held = [idle.enter_context(socket.create_connection(address)) for _ in range(400)]
        held[-1].sendall(f"GET /users.get_current_user HTTP/1.1\r\nHost: 127.0.0.1:{address[1]}\r\n\r\n".encode())
        assert held[-1].recv(100).startswith(b"HTTP/1.1 401")
        for _ in range(3):
            assert session.get(f"{server.url}/users.get_current_user", timeout=10).ok
            assert server.call("tasks.get_all") == {"tasks": []}
        assert len(list(Path(f"/proc/{server.pid}/fd").iterdir())) < 256
    assert "Too many open files" not in server.log.read_text()


def test_the_limit_of_open_files_is_raised_as_far_as_it_goes(own_server: OwnServer) -> None:
    soft, hard = resource.prlimit(own_server().pid, resource.RLIMIT_NOFILE)
    assert soft == hard or soft >= 2**16


def test_an_event_keeps_every_digit(server: LocalServer, new_task: NewTask) -> None:
    task = new_task()
    server.report(scalar(task, 1, 1 / 3), scalar(task, 2, 1e-300))
    events = server.call("events.get_task_events", task=task, event_type="training_stats_scalar")["events"]
    assert [event["value"] for event in events] == [1 / 3, 1e-300]
