"""The toy workload with its task on a server, by hand and as an agent would run it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .server import LocalServer
from .toy import make_repository


class Toy:
    """The toy workload, or another that `make` puts into a folder, run against a server."""

    def __init__(self, server: LocalServer, folder: Path, make: Callable[..., Path] = make_repository, **parts: str) -> None:
        self.server, self.folder = server, folder
        self.script = make(folder / "repository", **parts)
        (folder / "data").mkdir()
        (folder / "data" / "numbers.txt").write_text("1\n2\n")
        self.environment = {**server.env, "HARNESS_CACHE": str(folder / "cache")}

    def command(self, *tokens: str) -> list[str]:
        return [sys.executable, str(self.script), *tokens]

    def start(self, *tokens: str, **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*tokens),
            cwd=self.folder,
            env=self.environment | more,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @contextlib.contextmanager
    def running(self, *tokens: str, **more: str) -> Iterator[subprocess.Popen[str]]:
        """A run that is killed at the latest when the block ends."""
        process = self.start(*tokens, **more)
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def run(self, *tokens: str, **more: str) -> tuple[int, str, dict[str, Any]]:
        """Exit code, output and task."""
        process = self.start(*tokens, **more)
        out, _ = process.communicate(timeout=200)
        identity = more.get("CLEARML_TASK_ID")
        if identity and process.returncode == 0:
            self.server.call("tasks.completed", task=identity)  # as the agent does
        return process.returncode, out, self.task(identity or self.newest())

    def newest(self) -> str:
        found = self.server.call("tasks.get_all", name="^toy ", order_by=["-created"], page=0, page_size=1, only_fields=["id"])
        return str(found["tasks"][0]["id"])

    def task(self, identity: str) -> dict[str, Any]:
        task: dict[str, Any] = self.server.call("tasks.get_by_id", task=identity)["task"]
        return task

    def remote(self, output_uri: str = "", **arguments: str) -> str:
        """A task as `clearml-task` leaves it and as an agent finds it."""
        hyperparams = {"Args": {name: {"section": "Args", "name": name, "value": value} for name, value in arguments.items()}}
        body = {"name": "toy remote", "type": "training", "hyperparams": hyperparams, "output_dest": output_uri}
        identity = str(self.server.call("tasks.create", **body)["id"])
        self.server.call("tasks.started", task=identity)
        return identity

    def carry_out(self, identity: str) -> tuple[int, str, dict[str, Any]]:
        """Run a draft or a queued task as an agent would: exit code, output and task."""
        if self.task(identity)["status"] == "queued":
            self.server.call("tasks.dequeue", task=identity)
        self.server.call("tasks.started", task=identity)
        return self.run(CLEARML_TASK_ID=identity)

    def log(self, identity: str) -> str:
        """What stands in a task's console log."""
        return "".join(event["msg"] for event in self.server.call("events.get_task_log", task=identity)["events"])


def parameters(task: dict[str, Any], section: str) -> dict[str, str]:
    return {name: entry["value"] for name, entry in task["hyperparams"].get(section, {}).items()}
