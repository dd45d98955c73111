"""Submitting runs: `registry enqueue`, one process for a whole sweep, against a call of `clearml-task` for each run.

Both start from the shell, submit the same runs to the same embedded server, and leave the same tasks.

    PYTHONPATH=tests python -m benchmarks.registry
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from support.server import LocalServer
from support.toy import make_repository

from benchmarks.table import Row, less_is_better, publish

ROUNDS = 3
QUEUE = "gpu01"
TEXT = """
How long it takes to submit runs: one `registry enqueue` of a sweep, against one call of `clearml-task` for each run. Both start from the
shell, talk to the same embedded server, and leave the same tasks. A ratio above 1 means that ours is faster.
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "clone"
        make_repository(root)
        (root / ".venvs/toy/bin").mkdir(parents=True)
        (root / ".venvs/toy/bin/python").touch()
        server = LocalServer(Path(scratch) / "server")
        try:
            server.call("queues.create", name=QUEUE)
            publish("registry", TEXT, [row(root, server, count) for count in (20, 1)])
        finally:
            server.stop()


def row(root: Path, server: LocalServer, count: int) -> Row:
    """Median seconds for `count` runs, ours and clearml-task's in turn."""
    sweep = "n=" + ",".join(str(1 + number) for number in range(count))
    enqueue = [sys.executable, "-m", "registry", "enqueue", "toy", "command=make", sweep]
    environment = server.env | {
        "REGISTRY_HOME": str(server.data.parent / "home"),
        "PYTHONPATH": os.pathsep.join([str(root / "clearml_tasks/toy"), os.environ.get("PYTHONPATH", "")]),
    }
    home = Path(environment["REGISTRY_HOME"])
    home.mkdir(exist_ok=True)
    if not (home / "server").exists():
        (home / "server").symlink_to(server.data)  # as `registry up` would have it: the clone itself is the repository
    lines = subprocess.run(
        [*enqueue, "--dry-run"], env=environment, cwd=root, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    assert len(lines) == count
    command = str(Path(sys.executable).with_name("clearml-task"))
    theirs = [line.replace("clearml-task", command, 1) for line in lines]
    ours_s, theirs_s = [], []
    for _ in range(ROUNDS):
        ours_s.append(timed([enqueue], environment, root))
        theirs_s.append(timed([["bash", "-c", line] for line in theirs], environment, root))
    ours, alternative = statistics.median(ours_s), statistics.median(theirs_s)
    name = f"enqueue {count} run{'s' if count > 1 else ''}"
    return less_is_better(name, ours, alternative, "s", "start of the process included; the alternative is clearml-task")


def timed(commands: list[list[str]], environment: dict[str, str], folder: Path) -> float:
    """Seconds for running the commands one after the other; each has to succeed."""
    started = time.perf_counter()
    for command in commands:
        subprocess.run(command, env=environment, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
