"""The embedded server: events per second, the query behind the comparison page over 50 runs of 10,000 points, and what large things cost.

Beside the SDK reporting to the server stands the SDK in its offline mode, which writes the same events to a local file: what the SDK
itself can do at most. Beside eight clients, each with a task of its own, stands one; beside the processor time that the server takes for
their events stands what they take themselves: on few processors it is the clients that take most of it. Beside the one query for 50 runs
stand 50 queries for one run each, beside writes while large plots arrive those to the idle server, and beside the memory that a large
answer takes its size.
"""

from __future__ import annotations

import json
import math
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import requests
from support.events import log_line, scalar
from support.server import LocalServer

from .table import Row, less_is_better, more_is_better, publish

ROUNDS = 3
TEXT = """
The embedded server under load. Each alternative is named in its row:

- Reporting through the SDK stands beside the SDK's offline mode, which writes the same events to a file with no server at all.
- When eight clients report at once, most of the processor time is the clients' own, as the row of processor time shows.
- One query for 50 runs stands beside 50 queries for one run each.
- A small write while ten large plots arrive stands beside one to the idle server.
- The memory that a large answer takes stands beside the size of the answer.

A ratio above 1 means that ours is better.
"""
RUNS, POINTS = 50, 10_000
REPORTED = 5000
BATCH = 2000
CLIENTS = 8
PLOTS, PLOT_POINTS = 10, 2_000_000
LONG_CURVE, LONG_LOG = 2_000_000, 500_000
REPORTER = f"""
import sys, time
from clearml import Task
if sys.argv[1] == "offline":
    Task.set_offline(True)
quiet = {{"auto_connect_frameworks": False, "auto_resource_monitoring": False, "auto_connect_streams": False}}
task = Task.init("bench", "events", reuse_last_task_id=False, **quiet)  # else all clients of this name report to one task
logger = task.get_logger()
print("ready", flush=True)
sys.stdin.readline()
start, worked = time.perf_counter(), time.process_time()
for step in range({REPORTED}):
    logger.report_scalar("loss", "train", 1.0 / (step + 1), step)
task.flush(wait_for_uploads=True)
if sys.argv[1] == "server":
    while len(task.get_all_reported_scalars().get("loss", {{}}).get("train", {{}}).get("x", [])) < {REPORTED}:
        time.sleep(0.01)
print("seconds", time.perf_counter() - start, time.process_time() - worked)
task.close()
"""

PLOTTER = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import requests
address, access_key, secret_key, *names = sys.argv[1:]
bodies = [Path(name).read_bytes() for name in names]
with ThreadPoolExecutor(len(bodies)) as senders:
    for answer in senders.map(lambda body: requests.post(address, data=body, auth=(access_key, secret_key), timeout=120), bodies):
        answer.raise_for_status()
"""


class Reported(NamedTuple):
    """What it took to report through the SDK, from the first report until all of them are stored."""

    rate: float
    """Events per second, of all clients together."""
    clients: float
    """Seconds of processor time for 1000 events that the clients took."""
    server: float
    """And the server."""


def through_the_sdk(server: LocalServer, folder: Path, mode: str, clients: int = 1) -> Reported:
    """Have clients report, which begin together, each to a task of its own."""
    command = [sys.executable, "-c", REPORTER, mode]
    pipe = subprocess.PIPE
    reporters = [
        subprocess.Popen(command, env=server.env, cwd=folder, text=True, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
        for _ in range(clients)
    ]
    for reporter in reporters:
        assert reporter.stdout
        assert "ready\n" in iter(reporter.stdout.readline, "")
    worked = processor_time(server)
    for reporter in reporters:
        assert reporter.stdin
        reporter.stdin.write("\n")
        reporter.stdin.flush()
    taken = []
    for reporter in reporters:
        assert reporter.stdout
        taken += [line.split()[1:] for line in reporter.stdout if line.startswith("seconds ")]
        assert reporter.wait() == 0
    thousands = clients * REPORTED / 1000
    slowest, together = max(float(wall) for wall, _ in taken), sum(float(cpu) for _, cpu in taken)
    return Reported(1000 * thousands / slowest, together / thousands, (processor_time(server) - worked) / thousands)


def fill(server: LocalServer) -> tuple[list[str], float]:
    """Make the runs to compare; their IDs, and the events per second that the server took in."""
    tasks = [server.call("tasks.create", name=f"run {index}", type="training")["id"] for index in range(RUNS)]
    bodies = [
        "\n".join(json.dumps(scalar(task, step, math.sin(step / (100 + index)))) for step in range(first, first + BATCH))
        for index, task in enumerate(tasks)
        for first in range(0, POINTS, BATCH)
    ]
    with requests.Session() as session:
        session.auth = server.keys
        start = time.perf_counter()
        for body in bodies:
            session.post(f"{server.url}/events.add_batch", data=body, timeout=60).raise_for_status()
        return tasks, RUNS * POINTS / (time.perf_counter() - start)


def writes(server: LocalServer, task: str, until: Callable[[], bool]) -> list[float]:
    """How long each small write took, one after the other."""
    taken: list[float] = []
    with requests.Session() as session:
        session.auth = server.keys

        def write() -> None:
            session.post(f"{server.url}/events.add_batch", json=scalar(task, len(taken), 1.0), timeout=60).raise_for_status()

        while not until():
            taken.append(seconds(write))
    return taken


def beside_plots(server: LocalServer, folder: Path) -> list[Row]:
    """Small writes beside ten plots of 20 MB, and the memory of reading them back."""
    task = server.call("tasks.create", name="plots", type="training")["id"]
    figure = {"type": "plot", "task": task, "metric": "large", "iter": 0, "plot_str": json.dumps({"y": [0.123456] * PLOT_POINTS})}
    end = time.perf_counter() + 2
    idle = writes(server, task, lambda: time.perf_counter() > end)
    for index in range(PLOTS):
        (folder / f"plot{index}").write_text(json.dumps(figure | {"variant": str(index)}))
    command = [
        sys.executable,
        "-c",
        PLOTTER,
        f"{server.url}/events.add_batch",
        *server.keys,
        *(str(folder / f"plot{i}") for i in range(PLOTS)),
    ]
    plotter = subprocess.Popen(command)
    busy = writes(server, task, lambda: plotter.poll() is not None)
    assert plotter.returncode == 0
    return [
        less_is_better(f"a small write beside {PLOTS} plots of 20 MB, p95 (beside it: idle)", p95(busy), p95(idle), "s"),
        memory(
            server, f"memory to read {PLOTS} plots of 20 MB (beside it: the answer)", "events.get_task_plots", task=task, no_scroll=True
        ),
    ]


def p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


def memory(server: LocalServer, metric: str, endpoint: str, **asked: object) -> Row:
    """The most that a server just started takes for an answer, beside what it takes before."""
    server.restart()
    before = peak(server)
    with requests.post(f"{server.url}/{endpoint}", json=asked, auth=server.keys, stream=True, timeout=120) as answer:
        size = sum(map(len, answer.iter_content(2**20)))
    return less_is_better(metric, peak(server) - before, size / 2**20, "MiB")


def peak(server: LocalServer) -> float:
    status = Path(f"/proc/{server.pid}/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def processor_time(server: LocalServer) -> float:
    """Seconds that the server has worked so far, on all processors."""
    user, system = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def large_answers(server: LocalServer) -> list[Row]:
    """A long curve and a long log, written straight into the database: to send them takes minutes."""
    task = server.call("tasks.create", name="long", type="training")["id"]
    server.report(scalar(task, 0, 0.0))
    line = json.dumps(log_line(task, "epoch 3 step 12345 loss 0.1250 " * 4, 0))
    with closing(sqlite3.connect(server.data / "server.db")) as db, db:
        (series,) = db.execute("SELECT id FROM series WHERE owner = ?", (task,)).fetchone()
        db.executemany("INSERT INTO point VALUES (?, ?, ?, ?)", ((series, step, step, step * 0.1) for step in range(1, LONG_CURVE)))
        db.executemany(
            "INSERT INTO event (owner, type, timestamp, doc) VALUES (?, 'log', ?, ?)", ((task, index, line) for index in range(LONG_LOG))
        )
    curve = "events.scalar_metrics_iter_histogram"
    thinned = statistics.median(seconds(lambda: server.call(curve, task=task)) for _ in range(ROUNDS))
    return [
        Row(f"a curve of {LONG_CURVE:,} points with 6000 samples", thinned, None, None, "s"),
        memory(server, f"memory to read all {LONG_CURVE:,} points (beside it: the answer)", curve, task=task, samples=0),
        memory(
            server, f"memory to read {LONG_LOG:,} log lines (beside it: the answer)", "events.get_task_log", task=task, batch_size=LONG_LOG
        ),
    ]


def seconds(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = LocalServer(folder / "data")
        try:
            publish("server", TEXT, measure(server, folder))
        finally:
            server.stop()


def measure(server: LocalServer, folder: Path) -> list[Row]:
    sdk = [(through_the_sdk(server, folder, "server").rate, through_the_sdk(server, folder, "offline").rate) for _ in range(ROUNDS)]
    many = [through_the_sdk(server, folder, "server", CLIENTS) for _ in range(ROUNDS)]
    rate, of_clients, of_server = (statistics.median(values) for values in zip(*many, strict=True))
    tasks, taken_in = fill(server)

    def together(samples: int) -> float:
        return seconds(lambda: server.call("events.multi_task_scalar_metrics_iter_histogram", tasks=tasks, samples=samples))

    def one_by_one(samples: int) -> float:
        return seconds(lambda: [server.call("events.scalar_metrics_iter_histogram", task=task, samples=samples) for task in tasks])

    ours, theirs = (statistics.median(values) for values in zip(*sdk, strict=True))
    rows = [
        more_is_better("events through the SDK (beside it: its offline file)", ours, theirs, "events/s"),
        more_is_better(f"events through the SDK, {CLIENTS} clients at once (beside it: one)", rate, ours, "events/s"),
        less_is_better(f"processor time for 1000 events of {CLIENTS} clients, server (beside it: the clients)", of_server, of_clients, "s"),
        Row(f"events in batches of {BATCH}", taken_in, None, None, "events/s"),
    ]
    for samples, asker in ((400, "the page"), (6000, "the SDK")):
        queries = [(together(samples), one_by_one(samples)) for _ in range(ROUNDS)]
        ours, theirs = (statistics.median(values) for values in zip(*queries, strict=True))
        metric = f"compare {RUNS} runs x {POINTS:,} points with {samples} samples, as {asker} asks (beside it: one by one)"
        rows.append(less_is_better(metric, ours, theirs, "s"))
    return [*rows, *beside_plots(server, folder), *large_answers(server)]


if __name__ == "__main__":
    main()
