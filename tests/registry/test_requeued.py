"""Runs that are being requeued, as the registry sees them."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from support.command_line import Registry

from harness import requeue
from harness.reasons import tell
from harness.requeue import count
from registry.agents.stopping import give_up
from registry.backends import Queue, Server
from registry.tasks.watch import wait

pytestmark = pytest.mark.filterwarnings("ignore::pyparsing.warnings.PyparsingDeprecationWarning")  # of the SDK's


class TestRequeued:
    """A run that its machine has ended is being requeued."""

    TOLD = "stopped by SIGTERM; the last checkpoint is kept"

    @pytest.fixture
    def stopped(self, embedded: Server, queue: Queue) -> str:
        """A run that may be requeued once, and has reported that it stopped."""
        given = {"Args": {"requeue": {"section": "Args", "name": "requeue", "value": "1"}}}
        task = str(embedded.call("tasks.create", name=f"spot-{uuid.uuid4().hex[:6]}", type="training", hyperparams=given)["id"])
        embedded.call("tasks.enqueue", task=task, queue=queue.id)
        self.take(embedded, queue, task)
        tell(SimpleNamespace(session=embedded.session), task, self.TOLD)
        embedded.call("tasks.stopped", task=task, status_reason=self.TOLD, status_message=self.TOLD)
        return task

    def take(self, server: Server, queue: Queue, task: str) -> None:
        assert server.call("queues.get_next_task", queue=queue.id)["entry"]["task"] == task
        server.call("tasks.started", task=task, force=True)

    def step_by_step(self, monkeypatch: pytest.MonkeyPatch, *steps: Callable[[], object]) -> list[Callable[[], object]]:
        """Between two requests for the task, one of the steps happens."""
        left = list(steps)
        for module in ("registry.tasks.watch.sleep", "registry.agents.stopping.time.sleep"):
            monkeypatch.setattr(module, lambda _: left.pop(0)())
        return left

    def test_waiting_continues_while_it_is_requeued(
        self, clone: Any, embedded: Server, queue: Queue, stopped: str, registry: Registry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        back = self.back(embedded, stopped)
        steps = (lambda: self.take(embedded, queue, stopped), lambda: embedded.call("tasks.completed", task=stopped))
        left = self.step_by_step(monkeypatch, back, *steps)
        told = io.StringIO()
        (task,) = wait(embedded, [stopped], Console(file=told))
        assert (task["status"], left) == ("completed", [])
        assert [line.rpartition(" ")[2] for line in told.getvalue().splitlines()] == ["stopped", "queued", "in_progress", "completed"]
        assert "completed (requeued 1 of 1)" in registry("status", stopped).out
        assert json.loads(registry("status", stopped, "--json").out)[0]["requeued"] == 1

    def test_following_its_log_continues(
        self, clone: Any, embedded: Server, queue: Queue, stopped: str, registry: Registry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def finish() -> None:
            self.take(embedded, queue, stopped)
            embedded.call("tasks.completed", task=stopped)

        left = self.step_by_step(monkeypatch, self.back(embedded, stopped), finish)
        assert registry("logs", stopped, "--follow").code == 0
        assert left == []

    def test_the_supervisor_of_its_agent_requeues_it(self, embedded: Server, stopped: str) -> None:
        give_up(embedded, stopped, "nobody", "its agent was ended")
        assert (embedded.task(stopped)["status"], count(embedded.task(stopped))) == ("queued", 1)

    def test_a_task_that_could_not_report_is_requeued_too(self, embedded: Server, queue: Queue, stopped: str) -> None:
        embedded.call("tasks.started", task=stopped)
        give_up(embedded, stopped, "nobody", "its agent was ended")
        assert embedded.task(stopped)["status_reason"] == "requeued 1 of 1: its agent was ended"

    def test_a_task_that_a_user_has_stopped_is_not_requeued(self, embedded: Server, stopped: str) -> None:
        embedded.call("tasks.started", task=stopped, status_message="stopping")  # as tasks.stop leaves it for an agent
        give_up(embedded, stopped, "nobody", "its agent was ended")
        assert embedded.task(stopped)["status"] == "stopped"

    def test_a_task_stopped_by_a_user_does_not_run_again(
        self, clone: Any, embedded: Server, queue: Queue, stopped: str, registry: Registry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        left = self.step_by_step(monkeypatch, self.back(embedded, stopped))
        assert registry("stop", stopped).err.endswith(": removed from its queue\n")
        assert (embedded.task(stopped)["status"], embedded.queues()[queue.name].waiting, left) == ("created", 0, [])

    def back(self, server: Server, task: str) -> Callable[[], object]:
        return lambda: requeue.put_back(server, requeue.look(server, task), self.TOLD)
