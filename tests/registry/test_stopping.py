"""Stopping runs: queued, running, starting meanwhile, or left by a dead agent."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.agent import Agent, logged_in
from support.command_line import Registry
from support.events import wait_for
from support.server import LocalServer

from registry.agents import supervisor
from registry.agents.stopping import stop
from registry.backends import Queue, Server
from registry.errors import RefusedError

pytestmark = pytest.mark.filterwarnings("ignore::pyparsing.warnings.PyparsingDeprecationWarning")  # of the SDK's


class TestStop:
    def test_a_queued_task_leaves_its_queue(self, clone: Any, embedded: Server, queue: Queue, registry: Registry) -> None:
        (task,) = registry("enqueue", "toy", "command=make", "--queue", queue.name).lines
        assert registry("stop", task).code == 0
        assert embedded.call("queues.get_all", id=[queue.id])["queues"][0]["entries"] == []
        assert embedded.task(task)["status"] == "created"

    def test_a_running_task_is_told_to_end(self, clone: Any, embedded: Server, queue: Queue, registry: Registry) -> None:
        (task,) = registry("enqueue", "toy", "command=make", "--queue", queue.name).lines
        embedded.call("tasks.started", task=task)
        assert registry("stop", task).code == 0
        assert embedded.task(task)["status"] == "stopped"  # there is no agent that would end it

    @pytest.fixture
    def agent(self, embedded: Server, server: LocalServer, queue: Queue) -> Agent:
        return Agent(logged_in(server), f"machine:{queue.name}", queue.id)

    @pytest.fixture
    def running(self, embedded: Server, queue: Queue, agent: Agent) -> str:
        """A task that an agent runs and reports."""
        task = embedded.call("tasks.create", name="running", type="training", script={"entry_point": "run.py"})["id"]
        embedded.call("tasks.enqueue", task=task, queue=queue.id)
        assert agent.take() == task
        assert agent.start(task)
        return str(task)

    def test_a_task_with_a_live_agent_is_ended_by_the_agent(self, embedded: Server, running: str, registry: Registry) -> None:
        assert registry("stop", running).err.endswith(": stopping\n")
        assert embedded.tasks(id=[running])[0]["status_message"] == "stopping"

    @pytest.mark.parametrize("ended", [False, True], ids=["in_progress", "stopped by the server"])
    def test_what_a_dead_agent_left_running_is_ended(
        self, embedded: Server, running: str, registry: Registry, tmp_path: Path, *, ended: bool
    ) -> None:
        folder = tmp_path / "home/agents/agent-1"  # it has no record: no such agent is alive
        folder.mkdir(parents=True)
        marks = {supervisor.MARK: str(folder), "CLEARML_TASK_ID": running}
        run = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], env=os.environ | marks)
        try:
            wait_for(lambda: supervisor.task_of([run.pid]) == running)
            if ended:
                gone = "worker machine:0 is gone: no report for 100 s"
                embedded.call("tasks.stopped", task=running, status_reason=gone, status_message=gone)
                assert re.search(rf"stopped .* {gone}$", registry("status", running).lines[1].rstrip())
            assert "its agent was gone" in registry("stop", running).err
            assert run.wait(10) == -signal.SIGTERM
        finally:
            run.kill()
            run.wait()
        assert embedded.task(running)["status"] == "stopped"
        assert registry("stop", running).code == 2

    @pytest.fixture
    def three(self, embedded: Server, queue: Queue, registry: Registry) -> list[str]:
        """Queued tasks."""
        return registry("enqueue", "toy", "command=make", "n=1,2,3", "--queue", queue.name).lines

    def test_each_of_several_tasks_is_stopped_once(self, embedded: Server, three: list[str], registry: Registry) -> None:
        outcome = registry("stop", *three, three[0][:12])
        assert (outcome.code, outcome.err.count("removed from its queue")) == (0, 3)
        assert {embedded.task(task)["status"] for task in three} == {"created"}

    def test_if_one_cannot_be_stopped_none_is(self, embedded: Server, three: list[str], pair: tuple[str, str], registry: Registry) -> None:
        for wrong in ([*pair], ["nobody", "somebody"]):
            outcome = registry("stop", *three, *wrong)
            assert (outcome.code, outcome.err.count("\n  - ")) == (2, 2)
        assert {embedded.task(task)["status"] for task in three} == {"queued"}

    def test_a_failure_does_not_prevent_stopping_the_others(
        self, embedded: Server, three: list[str], registry: Registry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        call = Server.call

        def refusing(server: Server, endpoint: str, **body: Any) -> Any:
            if endpoint == "tasks.dequeue" and body["task"] == three[1]:
                raise RefusedError("the server refuses tasks.dequeue")
            return call(server, endpoint, **body)

        monkeypatch.setattr(Server, "call", refusing)
        outcome = registry("stop", *three)
        assert outcome.code == 1
        assert f"({three[1]}): the server refuses tasks.dequeue" in outcome.err
        assert [embedded.task(task)["status"] for task in three] == ["created", "queued", "created"]

    def test_a_task_that_has_ended_is_refused(self, clone: Any, pair: tuple[str, str], registry: Registry) -> None:
        outcome = registry("stop", pair[0])
        assert outcome.code == 2
        assert "is completed, so it cannot be stopped" in outcome.err


class TestStopWhileItStarts:
    """A real server turns even a running task into a draft when told to dequeue it (measured: 200, status created)."""

    @pytest.fixture
    def waiting(self, embedded: Server, queue: Queue) -> dict[str, Any]:
        """A queued task, as `registry stop` has just read it."""
        task = embedded.call("tasks.create", name="waiting", type="training", script={"entry_point": "run.py"})["id"]
        embedded.call("tasks.enqueue", task=task, queue=queue.id)
        return embedded.task(task)

    @pytest.fixture
    def asked(self, embedded: Server, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The endpoints that are called."""
        called, call = [], embedded.call

        def noting(endpoint: str, **body: Any) -> dict[str, Any]:
            called.append(endpoint)
            return call(endpoint, **body)

        monkeypatch.setattr(embedded, "call", noting)
        return called

    def test_a_waiting_task_becomes_a_draft(self, embedded: Server, queue: Queue, waiting: dict[str, Any]) -> None:
        assert stop(embedded, waiting) == "queued"
        assert embedded.task(waiting["id"])["status"] == "created"
        assert embedded.queues()[queue.name].waiting == 0

    def test_a_task_that_started_meanwhile_is_stopped(
        self, embedded: Server, queue: Queue, waiting: dict[str, Any], asked: list[str]
    ) -> None:
        embedded.call("queues.get_next_task", queue=queue.id)
        embedded.call("tasks.started", task=waiting["id"], force=True)
        assert stop(embedded, waiting) == "in_progress"
        assert embedded.task(waiting["id"])["status"] == "stopped"
        assert "tasks.dequeue" not in asked

    def test_a_task_that_an_agent_has_taken_is_stopped_once_it_has_started(
        self, embedded: Server, queue: Queue, waiting: dict[str, Any], asked: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        embedded.call("queues.get_next_task", queue=queue.id)
        start = partial(embedded.call, "tasks.started", task=waiting["id"], force=True)
        monkeypatch.setattr("registry.agents.stopping.time.sleep", lambda seconds: start())
        assert stop(embedded, waiting) == "in_progress"
        assert embedded.task(waiting["id"])["status"] == "stopped"
        assert "tasks.dequeue" not in asked

    def test_a_task_that_was_taken_but_never_starts_becomes_a_draft(
        self, embedded: Server, queue: Queue, waiting: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        embedded.call("queues.get_next_task", queue=queue.id)
        monkeypatch.setattr("registry.agents.stopping.START_WITHIN", 0.5)
        assert stop(embedded, waiting) == "queued"
        assert embedded.task(waiting["id"])["status"] == "created"

    def test_a_task_that_ended_meanwhile_keeps_its_status(self, embedded: Server, queue: Queue, waiting: dict[str, Any]) -> None:
        embedded.call("queues.get_next_task", queue=queue.id)
        embedded.call("tasks.started", task=waiting["id"], force=True)
        embedded.call("tasks.completed", task=waiting["id"])
        assert stop(embedded, waiting) == "completed"
        assert embedded.task(waiting["id"])["status"] == "completed"
