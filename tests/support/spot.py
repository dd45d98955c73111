"""Machines that may be taken away: real clearml-agents on a queue of their own, and a small run that takes its time."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.sidecar import Process

from .agent import plain_agent
from .events import wait_for
from .server import LocalServer
from .toy import make_repository

WORKLOAD = """\
summary: Counts, slowly
queue: gpu01
commands:
  train: {launcher: inline, type: training, config: toy_settings:Train}
"""

SETTINGS = """\
from dataclasses import dataclass

from harness.params import setting


@dataclass
class Train:
    steps: int = setting(12, "steps", ge=1)
    save: int = setting(4, "steps from one checkpoint to the next", ge=1)
    pause: float = setting(0.4, "time per step", unit="s", ge=0)
    wait: float = setting(0.0, "time before the first step", unit="s", ge=0)
"""

SCRIPT = '''\
"""Each step's number depends on all before it."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

import harness


def train(job):
    import time

    s = job.settings
    print("waits", flush=True)
    time.sleep(s.wait)
    start, number = map(int, job.resume.read_text().split()) if job.resume else (0, job.seed)
    print(f"begins after step {start}", flush=True)
    for step in range(start + 1, s.steps + 1):
        number = (number * 1103515245 + 12345) % 2**31
        job.report.scalar("number", "value", number / 2**31, step)
        print(f"step {step}", flush=True)
        if step % s.save == 0:
            job.checkpoints.save(step, lambda path: path.write_text(f"{step} {number}"))
        time.sleep(s.pause)
    job.report.artifact("result", {"number": number})


if __name__ == "__main__":
    harness.main(__file__, train=train)
'''


class Spot:
    """A queue, the repository of its runs, and the agents that serve it."""

    def __init__(self, server: LocalServer, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.queue = str(server.call("queues.create", name=f"spot-{uuid.uuid4().hex[:6]}")["id"])
        self.script = make_repository(folder / "repository", WORKLOAD, SETTINGS, SCRIPT)
        self.commit = subprocess.run(
            ["git", "-C", self.script.parent, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
        ).stdout.strip()
        self.started: list[subprocess.Popen[bytes]] = []

    def environment(self, name: str) -> dict[str, str]:
        """What an agent is started with, as `registry agent` does it."""
        place = self.folder / name
        place.mkdir(exist_ok=True)
        more = {"HARNESS_CACHE": str(self.folder / "cache"), "TMPDIR": str(place)}
        return self.server.env | plain_agent(self.server, place, name, 0.5) | more

    @property
    def argv(self) -> list[str]:
        return [sys.executable, "-m", "clearml_agent", "daemon", "--foreground", "--cpu-only", "--queue", self.queue]

    def agent(self, name: str, *command: str, **more: str) -> subprocess.Popen[bytes]:
        """A machine's agent: a plain clearml-agent unless it is another command."""
        with (self.folder / f"{name}.log").open("ab") as log:
            argv = command or self.argv
            process = subprocess.Popen(argv, env=self.environment(name) | more, stdout=log, stderr=log, start_new_session=True)
        self.started.append(process)
        return process

    @contextmanager
    def agents(self, *names: str) -> Iterator[list[subprocess.Popen[bytes]]]:
        """Agents that are ended when the block ends."""
        running = [self.agent(name) for name in names]
        try:
            yield running
        finally:
            self.end(running)

    def end(self, agents: list[subprocess.Popen[bytes]]) -> None:
        for agent in agents:
            agent.terminate()
        for agent in agents:
            try:
                agent.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(agent.pid, signal.SIGKILL)
                agent.wait()

    def enqueue(self, name: str = "spot run", **arguments: str) -> str:
        """A task as `clearml-task` leaves it on the queue."""
        script = {
            "repository": self.script.parents[2].as_uri(),
            "version_num": self.commit,
            "entry_point": "clearml_tasks/toy/clearml_train.py",
            "working_dir": ".",
            "binary": "python",
            "requirements": {"pip": ""},
        }
        given = {"Args": {key: {"section": "Args", "name": key, "value": value} for key, value in arguments.items()}}
        task = str(self.server.call("tasks.create", name=name, type="training", script=script, hyperparams=given)["id"])
        self.server.call("tasks.enqueue", task=task, queue=self.queue)
        return task

    def task(self, task: str) -> dict[str, Any]:
        found: dict[str, Any] = self.server.call("tasks.get_by_id", task=task)["task"]
        return found

    def log(self, task: str) -> str:
        events = self.server.call("events.get_task_log", task=task, order="asc", batch_size=1000)["events"]
        return "".join(event["msg"] for event in events)

    def lives(self, task: str) -> list[tuple[int, int]]:
        """Of each life of a task's run, by its log: the step after which it began, and how many steps it has done."""
        begun = re.split(r"begins after step (\d+)", self.log(task))[1:]
        return [(int(start), len(re.findall(r"^step ", said, re.MULTILINE))) for start, said in zip(begun[::2], begun[1::2], strict=True)]

    def until(self, task: str, life: int, steps: int) -> None:
        """Wait until so many steps of its run's nth life are done."""
        wait_for(lambda: len(self.lives(task)) >= life and self.lives(task)[life - 1][1] >= steps, 180)

    def ended(self, task: str, *statuses: str, seconds: float = 180) -> dict[str, Any]:
        wait_for(lambda: self.task(task)["status"] in statuses, seconds)
        return self.task(task)

    def runs_of(self, task: str) -> list[int]:
        """The processes that run a task, without those that they started: one, if any."""
        wanted = f"CLEARML_TASK_ID={task}".encode()
        pids = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and wanted in (entry / "environ").read_bytes().split(b"\0"):
                    pids.append(int(entry.name))
            except OSError:
                continue
        return [pid for pid in pids if parent_of(pid) not in pids]

    def run_of(self, task: str) -> int:
        """The process that runs a task, once there is one."""
        return int(wait_for(lambda: self.runs_of(task))[0])

    def curve(self, task: str) -> list[tuple[int, float]]:
        """Every point that the server has of the one curve, repeated ones too."""
        events = self.server.call("events.get_task_events", task=task, event_type="training_stats_scalar", batch_size=1000)["events"]
        return sorted((event["iter"], event["value"]) for event in events if event["metric"] == "number")

    def result(self, task: str) -> Any:
        """The final result, as its artifact tells in short."""
        (artifact,) = (each for each in self.task(task)["execution"]["artifacts"] if each["key"] == "result")
        return artifact["type_data"]["preview"]

    def close(self) -> None:
        for process in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def parent_of(pid: int) -> int:
    stat = Process(pid).stat()
    return int(stat[1]) if stat else 0
