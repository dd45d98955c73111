"""Agents and a launcher in a few lines each, for tests of runs on several machines that need neither clearml-agent nor torch."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .agent import ends
from .events import wait_for
from .server import LocalServer
from .toy import make_repository

TORCHRUN = '''\
"""In place of torchrun: starts the ranks of one machine, which do not talk to each other. Node 0 opens the port of the rendezvous."""
import argparse, os, socket, subprocess, sys

parser = argparse.ArgumentParser()
for name in ("nnodes", "node_rank", "nproc_per_node"):
    parser.add_argument(f"--{name}", type=int, required=True)
for name in ("rdzv_backend", "rdzv_endpoint"):
    parser.add_argument(f"--{name}", required=True)
parser.add_argument("script")
asked = parser.parse_args()
assert "RANK" not in os.environ, "a place of the parent's reaches the launcher"
host, port = asked.rdzv_endpoint.split(":")
if asked.node_rank == 0:
    meeting = socket.create_server((host, int(port)))
ranks = []
for local in range(asked.nproc_per_node):
    rank = asked.node_rank * asked.nproc_per_node + local
    place = {"RANK": rank, "LOCAL_RANK": local, "WORLD_SIZE": asked.nnodes * asked.nproc_per_node}
    environment = os.environ | {name: str(value) for name, value in place.items()}
    ranks.append(subprocess.Popen([sys.executable, asked.script], env=environment))
sys.exit(max(abs(rank.wait()) for rank in ranks))
'''


class Machines:
    """Machines that take the toy workload's tasks from a queue of their own, one by one."""

    def __init__(self, server: LocalServer, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.queue = str(server.call("queues.create", name=f"machines-{uuid.uuid4().hex[:8]}")["id"])
        self.script = make_repository(folder / "repository")
        (folder / "data").mkdir()
        (folder / "data" / "numbers.txt").write_text("1\n2\n")
        launcher = folder / "launcher" / "torch" / "distributed"
        launcher.mkdir(parents=True)
        (launcher / "run.py").write_text(TORCHRUN)
        self.running: list[subprocess.Popen[bytes]] = []

    def enqueue(self, *arguments: str) -> str:
        """A task as `clearml-task` leaves it on the queue."""
        body = {
            "name": "toy train",
            "type": "training",
            "hyperparams": self.stated(*arguments),
            "script": {"entry_point": "clearml_train.py"},
        }
        task = str(self.server.call("tasks.create", **body)["id"])
        self.server.call("tasks.enqueue", task=task, queue=self.queue)
        return task

    def stated(self, *arguments: str) -> dict[str, Any]:
        """Arguments as they stand in a task."""
        pairs = (token.partition("=")[::2] for token in arguments)
        return {"Args": {name: {"section": "Args", "name": name, "value": value} for name, value in pairs}}

    def waiting(self) -> list[str]:
        """The tasks in the queue."""
        return [entry["task"] for entry in self.server.call("queues.get_by_id", queue=self.queue)["queue"]["entries"]]

    def take(self, cwd: Path | None = None, **environment: str) -> tuple[str, subprocess.Popen[bytes]]:
        """The next task of the queue, once there is one, and the process that runs it."""
        entry = wait_for(lambda: self.server.call("queues.get_next_task", queue=self.queue).get("entry"))
        task = str(entry["task"])
        self.server.call("tasks.started", task=task)
        return task, self.start(task, [], cwd, self.server.env | {"CLEARML_TASK_ID": task} | environment)

    def by_hand(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """A run without server or agent; its log is called `by-hand-<NODE_RANK>`."""
        mine = {name: value for name, value in os.environ.items() if not name.startswith("CLEARML_")} | {"HOME": str(self.folder)}
        return self.start(f"by-hand-{environment['NODE_RANK']}", arguments, None, mine | environment)

    def start(self, name: str, arguments: Sequence[str], cwd: Path | None, environment: dict[str, str]) -> subprocess.Popen[bytes]:
        known = {"HARNESS_CACHE": str(self.folder / "cache"), "PYTHONPATH": str(self.folder / "launcher")}
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, self.script, *arguments],
                cwd=cwd or self.folder,
                env=environment | known,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.running.append(process)
        return process

    def ended(self, task: str, process: subprocess.Popen[bytes]) -> dict[str, Any]:
        """The task once its process has ended, and the agent has said so."""
        ends(self.server, task, process.wait(100))
        return self.task(task)

    def task(self, task: str) -> dict[str, Any]:
        found: dict[str, Any] = self.server.call("tasks.get_by_id", task=task)["task"]
        return found

    def log(self, task: str) -> str:
        return (self.folder / f"{task}.log").read_text()

    def close(self) -> None:
        for process in self.running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
