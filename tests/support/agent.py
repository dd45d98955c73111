"""What clearml-agent says to the server, for tests that need no more of it. As read in its version 3.0.3."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

from registry.agents.agent import agent_configuration, git_configuration

from .server import LocalServer

INTERRUPTED = 254
"""Its `ExitStatus.interrupted`, -2, as an exit code."""
WORDS = "Changed by clearml-agent machine:0"
Ask = Callable[..., tuple[int, dict[str, Any]]]
"""Sends an end point's fields; returns HTTP's code and the answer's data."""


def plain_agent(server: LocalServer, place: Path, name: str, poll: float) -> dict[str, str]:
    """What a real clearml-agent is started with, as `registry agent` does it, to run its tasks in this environment.

    Args:
        place: a folder of its own.
        poll: seconds between two looks at its queues.
    """
    return {
        "CLEARML_CONFIG_FILE": str(agent_configuration(place, server.conf.read_text())),
        "CLEARML_WORKER_ID": name,
        "CLEARML_AGENT_QUEUE_POLL_FREQ_SEC": str(poll),
        "CLEARML_AGENT_SKIP_PIP_VENV_INSTALL": sys.executable,
        "CLEARML_AGENT_SKIP_PYTHON_ENV_INSTALL": "1",
        "GIT_CONFIG_GLOBAL": str(git_configuration(place)),
    }


def ends(server: LocalServer, task: str, code: int) -> None:
    """Say that a task's process has ended, as `Worker.handle_task_process_termination` does: without force, whatever the run has said."""
    ways = {0: ("completed", "worker execution done"), INTERRUPTED: ("stopped", "user abort")}
    action, reason = ways.get(code, ("failed", f"worker execution exit code {code}"))
    server.ask(f"tasks.{action}", task=task, status_reason=reason, status_message=WORDS)


def logged_in(server: LocalServer) -> Ask:
    """A login of its own, with the headers by which an agent is known (its `Session._send_request`): the host's name, not the worker's."""
    token = server.call("auth.login")["token"]
    headers = {"Authorization": f"Bearer {token}", "X-ClearML-Worker": "machine", "X-ClearML-Agent": "api-3.0.3"}

    def ask(endpoint: str, **fields: Any) -> tuple[int, dict[str, Any]]:
        answer = requests.post(f"{server.url}/v2.23/{endpoint}", json=fields, headers=headers, timeout=60)
        return answer.status_code, answer.json().get("data") or {}

    return ask


class Agent:
    """The requests that concern tasks, in the order of `Worker.run_tasks_loop` and `run_one_task`."""

    def __init__(self, ask: Ask, worker: str, queue: str) -> None:
        self.ask, self.worker, self.queue = ask, worker, queue
        self.hesitation = 0.0
        """Seconds between taking a task and starting it."""
        self.ask("workers.register", worker=worker, queues=[queue])

    def take(self) -> str | None:
        """The next task of the queue."""
        entry = self.ask("queues.get_next_task", queue=self.queue)[1].get("entry")
        return entry and str(entry["task"])

    def start(self, task: str) -> bool:
        """Say twice that it runs. A first refusal is passed over, at a second one the agent drops the task."""
        self.ask("tasks.started", task=task, status_message="pulled by agent", force=True)
        self.report(task)
        self.ask("tasks.edit", task=task, force=True, runtime={"_exec_agent_hostname": self.worker})
        return self.ask("tasks.started", task=task, status_message="launch by agent", force=True)[0] == 200

    def report(self, task: str | None = None) -> None:
        """Every 30 s, of the task that runs."""
        self.ask("workers.status_report", worker=self.worker, timestamp=0, queues=[self.queue], **({"task": task} if task else {}))

    def work(self, run: Callable[[str], None] = lambda task: None) -> str | None:
        """Take a task and run it. Returns it, unless there was none or it was dropped."""
        task = self.take()
        time.sleep(self.hesitation)
        if task is None or not self.start(task):
            return None
        run(task)
        self.ask("tasks.completed", task=task, status_reason="worker execution done", status_message=WORDS)
        return task
