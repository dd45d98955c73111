"""Plain scripts of many scalars, whose server fails them at their end: they end with all points and as completed.

The SDK (2.1.12) repeats a request whose connection is refused or cut, or that is answered with 502, 503 or 429. Any other refusal it logs,
at the end of a script not even that: the points are dropped, and a refused `tasks.completed` leaves the task running for good.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.events import OwnServer
from support.server import LocalServer

SCRIPT = Path(__file__).parent / "scripts" / "report_many.py"
POINTS = 2000


def start(server: LocalServer, folder: Path, names: list[str]) -> dict[str, subprocess.Popen[bytes]]:
    """The scripts, once all of them have a task; each step of theirs is half its number."""
    begun = {}
    for name in names:
        with (folder / f"{name}.log").open("wb") as log:
            begun[name] = subprocess.Popen([sys.executable, SCRIPT, name, str(POINTS)], env=server.env, cwd=folder, stdout=log, stderr=log)
    wait_for(lambda: all((folder / f"{name}.id").exists() for name in names))
    return begun


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def check_whole(server: LocalServer, folder: Path, scripts: dict[str, subprocess.Popen[bytes]]) -> None:
    for name, script in scripts.items():
        assert script.wait(200) == 0, (folder / f"{name}.log").read_text()
    for name in scripts:
        task = (folder / f"{name}.id").read_text()
        assert server.call("tasks.get_by_id", task=task)["task"]["status"] == "completed", name
        curve = server.call("events.scalar_metrics_iter_histogram", task=task, samples=0)["loss"]["train"]
        assert curve["x"] == list(range(POINTS)), name
        assert curve["y"] == [step / 2 for step in range(POINTS)], name


@pytest.mark.slow
def test_scripts_that_end_while_the_disk_is_full_wait_for_room(own_server: OwnServer, tmp_path: Path) -> None:
    """Slow: two processes that import the SDK and wait. A limit on the size of files stands for the disk."""
    server = own_server()
    scripts = start(server, tmp_path, ["first", "second"])
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    wait_for(lambda: server.log.read_text().count("could not store") >= 2)
    assert all(script.poll() is None for script in scripts.values())
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    check_whole(server, tmp_path, scripts)


@pytest.mark.slow
def test_many_scripts_outlive_two_deaths_of_their_server(own_server: OwnServer, tmp_path: Path) -> None:
    """Slow: six processes that import the SDK."""
    server = own_server()
    scripts = start(server, tmp_path, [f"script-{number}" for number in range(6)])
    for _ in range(2):
        server.kill()
        time.sleep(1.5)
        server.start()
        time.sleep(1)
    check_whole(server, tmp_path, scripts)
