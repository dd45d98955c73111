"""The embedded server: events per second, and the query behind the comparison page over 50 runs of 10,000 points.

Beside the SDK reporting to the server stands the SDK in its offline mode, which writes the same events to a local file: what the SDK
itself can do at most. Beside the one query for 50 runs stand 50 queries for one run each.
"""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import requests
from support.events import scalar
from support.server import LocalServer

from .table import Row, less_is_better, more_is_better, publish

ROUNDS = 3
RUNS, POINTS = 50, 10_000
REPORTED = 5000
BATCH = 2000
REPORTER = f"""
import sys, time
from clearml import Task
if sys.argv[1] == "offline":
    Task.set_offline(True)
task = Task.init("bench", "events", auto_connect_frameworks=False, auto_resource_monitoring=False, auto_connect_streams=False)
logger = task.get_logger()
start = time.perf_counter()
for step in range({REPORTED}):
    logger.report_scalar("loss", "train", 1.0 / (step + 1), step)
task.flush(wait_for_uploads=True)
if sys.argv[1] == "server":
    while len(task.get_all_reported_scalars().get("loss", {{}}).get("train", {{}}).get("x", [])) < {REPORTED}:
        time.sleep(0.01)
print("seconds", time.perf_counter() - start)
task.close()
"""


def through_the_sdk(server: LocalServer, folder: Path, mode: str) -> float:
    """Events per second from the first report until all of them are stored."""
    command = [sys.executable, "-c", REPORTER, mode]
    done = subprocess.run(command, env=server.env, cwd=folder, capture_output=True, text=True, check=True)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("seconds ")]
    return REPORTED / float(line.split()[1])


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


def seconds(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = LocalServer(folder / "data")
        try:
            publish("server", measure(server, folder))
        finally:
            server.stop()


def measure(server: LocalServer, folder: Path) -> list[Row]:
    sdk = [(through_the_sdk(server, folder, "server"), through_the_sdk(server, folder, "offline")) for _ in range(ROUNDS)]
    tasks, taken_in = fill(server)

    def together(samples: int) -> float:
        return seconds(lambda: server.call("events.multi_task_scalar_metrics_iter_histogram", tasks=tasks, samples=samples))

    def one_by_one(samples: int) -> float:
        return seconds(lambda: [server.call("events.scalar_metrics_iter_histogram", task=task, samples=samples) for task in tasks])

    ours, theirs = (statistics.median(values) for values in zip(*sdk, strict=True))
    rows = [
        more_is_better("events through the SDK (beside it: its offline file)", ours, theirs, "events/s"),
        Row(f"events in batches of {BATCH}", taken_in, None, None, "events/s"),
    ]
    for samples, asker in ((400, "the page"), (6000, "the SDK")):
        queries = [(together(samples), one_by_one(samples)) for _ in range(ROUNDS)]
        ours, theirs = (statistics.median(values) for values in zip(*queries, strict=True))
        metric = f"compare {RUNS} runs x {POINTS:,} points with {samples} samples, as {asker} asks (beside it: one by one)"
        rows.append(less_is_better(metric, ours, theirs, "s"))
    return rows


if __name__ == "__main__":
    main()
