"""What became of runs: found by any name they have, compared, read and stopped."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from support.agent import Agent, ends, logged_in
from support.command_line import Registry
from support.events import wait_for
from support.server import LocalServer

from harness import requeue
from harness.reasons import tell
from harness.requeue import count
from registry import supervisor
from registry.backends import Queue, Server
from registry.compare import comparison, differing, results
from registry.errors import RunFailedError
from registry.stopping import give_up, stop
from registry.watch import numbers, wait

pytestmark = pytest.mark.filterwarnings("ignore::pyparsing.warnings.PyparsingDeprecationWarning")  # of the SDK's


def send_events(server: Server, events: list[dict[str, Any]]) -> None:
    lines = "".join(json.dumps(event) + "\n" for event in events)
    answer = server.session.send_request("events", "add_batch", data=lines, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200


def run_on(server: Server, name: str, settings: dict[str, str], losses: list[float]) -> str:
    """A task that has run: its settings, a loss and an accuracy."""
    section = {key: {"section": "Settings", "name": key, "value": value, "type": "str"} for key, value in settings.items()}
    body = {"name": name, "type": "training", "project": server.project("clearml-example-project"), "hyperparams": {"Settings": section}}
    task = str(server.call("tasks.create", **body)["id"])
    server.call("tasks.started", task=task)
    now = int(time.time() * 1000)
    scalars = [
        {
            "type": "training_stats_scalar",
            "task": task,
            "metric": metric,
            "variant": "value",
            "value": value,
            "iter": step,
            "timestamp": now + step,
        }
        for step, loss in enumerate(losses)
        for metric, value in (("loss", loss), ("accuracy", 1 - loss))
    ]
    log = [
        {"type": "log", "task": task, "level": "info", "worker": "w", "timestamp": now + step, "msg": f"step {step}\n"} for step in range(3)
    ]
    send_events(server, scalars + log)
    server.call("tasks.completed", task=task)
    return task


@pytest.fixture
def pair(embedded: Server) -> tuple[str, str]:
    name = uuid.uuid4().hex[:6]
    first = run_on(embedded, f"{name}-first", {"lr": "0.1", "steps": "3"}, [0.9, 0.2, 0.4])
    return first, run_on(embedded, f"{name}-second", {"lr": "0.01", "steps": "3"}, [0.9, 0.5, 0.3])


class TestCompare:
    def test_differing_settings_and_the_best_of_each_scalar(self, clone: Any, pair: tuple[str, str], registry: Registry) -> None:
        outcome = registry("compare", *pair)
        assert outcome.code == 0, outcome.err
        rows = {name: rest for name, *rest in (re.split(r"\s{2,}", line.strip()) for line in outcome.lines)}
        assert rows["lr"] == ["0.1", "0.01"]
        assert "steps" not in rows
        assert rows["loss/value"] == ["0.4 (min 0.2)", "0.3 (min 0.3)"]
        assert rows["accuracy/value"] == ["0.6 (max 0.8)", "0.7 (max 0.7)"]
        assert rows["status"] == ["completed", "completed"]
        assert re.search(rf"^page: http://\S+/compare\?ids={pair[0]},{pair[1]}$", outcome.err, re.MULTILINE)

    def test_as_json(self, clone: Any, pair: tuple[str, str], registry: Registry) -> None:
        first, second = json.loads(registry("compare", *pair, "--json").out)
        assert (first["settings"], second["settings"]) == ({"lr": "0.1"}, {"lr": "0.01"})
        assert first["scalars"]["loss/value"] == {"last": pytest.approx(0.4), "best": pytest.approx(0.2), "best_is": "min"}

    def test_the_declared_metric_comes_first_and_marks_the_best(self, embedded: Server, pair: tuple[str, str]) -> None:
        for task in pair:
            declared = {"section": "properties", "name": "metrics", "value": '{"main": "loss/value", "lower": "accuracy/value"}'}
            embedded.call("tasks.edit_hyper_params", task=task, hyperparams=[declared])
        tasks = [embedded.task(task) for task in pair]
        assert results(tasks) == [
            ("loss/value", ["0.4 (min 0.2) *", "0.3 (min 0.3)"]),
            ("accuracy/value", ["0.6 (min 0.1)", "0.7 (min 0.1)"]),
        ]
        assert numbers(tasks[0]) == "loss/value=0.4  accuracy/value=0.6"

    def test_of_one_run_that_has_it_none_is_the_best(self) -> None:
        properties = {"metrics": {"value": '{"main": "loss/value"}'}}
        item = {"metric": "loss", "variant": "value", "value": 0.4, "min_value": 0.2, "max_value": 0.9}
        task = {"hyperparams": {"properties": properties}, "last_metrics": {"m": {"v": item}}}
        assert results([task, {}]) == [("loss/value", ["0.4 (min 0.2)", ""])]

    def test_what_a_server_answers_as_not_finite_is_no_number(self) -> None:
        """Python's JSON reads NaN, should a server write it."""
        item = {"metric": "loss", "variant": "value", "value": float("nan"), "min_value": 0.2, "max_value": float("inf")}
        task = {"last_metrics": {"m": {"v": item}}}
        assert results([task]) == [("loss/value", ["not finite"])]
        assert numbers(task) == "loss/value not finite"

    def test_what_diverged_is_told_in_short_and_before_what_did_not(self) -> None:
        gaps = {f"loss/{name}": "at step 3, since step 7" for name in "abcd"} | {"loss/e": "at step 3"}
        item = {"metric": "accuracy", "variant": "value", "value": 0.5}
        properties = {"not_finite": {"value": json.dumps(gaps)}}
        told = numbers({"hyperparams": {"properties": properties}, "last_metrics": {"m": {"v": item}}})
        assert told == "  ".join([*(f"loss/{name} not finite since step 7" for name in "abc"), "and 2 more not finite"])

    def test_tasks_that_have_not_run(self) -> None:
        created = {"id": "a", "name": "a", "status": "created", "hyperparams": {"Args": {"steps": {"value": "3"}}}}
        other = {**created, "hyperparams": {"Args": {"steps": {"value": "4"}}}}
        assert differing([created, other]) == [("steps", ["3", "4"])]
        assert results([created, other]) == []
        assert comparison([created, other])[-1] == ("run", [("status", ["created", "created"]), ("duration", ["", ""])])


class TestFinding:
    def test_by_id_by_its_beginning_and_by_name(self, clone: Any, embedded: Server, pair: tuple[str, str], registry: Registry) -> None:
        first, _ = pair
        for reference in (first, first[:10], embedded.task(first)["name"]):
            (found,) = json.loads(registry("status", reference, "--json").out)
            assert found["id"] == first

    def test_all_that_are_unknown_are_named(self, clone: Any, pair: tuple[str, str], registry: Registry) -> None:
        outcome = registry("compare", pair[0], "nobody", "ffffffffffffffffffffffffffffffff")
        assert (outcome.code, outcome.out) == (2, "")
        assert "no task 'nobody'" in outcome.err
        assert "no task ffffffffffffffffffffffffffffffff" in outcome.err

    def test_a_name_of_several_asks_for_an_id(self, clone: Any, embedded: Server, registry: Registry) -> None:
        name = f"twin-{uuid.uuid4().hex[:6]}"
        twins = [run_on(embedded, name, {}, []) for _ in range(2)]
        outcome = registry("logs", name)
        assert outcome.code == 2
        assert all(twin in outcome.err for twin in twins)


def test_logs_come_in_order(clone: Any, pair: tuple[str, str], registry: Registry) -> None:
    assert registry("logs", pair[0]).lines == ["step 0", "step 1", "step 2"]
    assert registry("logs", pair[0], "--follow").lines == ["step 0", "step 1", "step 2"]  # it has ended


def test_a_log_is_followed_until_the_task_ends(
    clone: Any, embedded: Server, queue: Queue, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    (task,) = registry("enqueue", "toy", "command=make", "--queue", queue.name).lines
    embedded.call("tasks.started", task=task)
    line = {"type": "log", "task": task, "level": "info", "worker": "w"}
    looks = []

    def between_looks(_: float) -> None:
        looks.append(len(looks))
        now = int(time.time() * 1000)
        send_events(embedded, [{**line, "timestamp": now, "msg": f"look {looks[-1]}: {half}"} for half in ("one", "two")])
        if len(looks) == 3:
            embedded.call("tasks.completed", task=task)

    monkeypatch.setattr("registry.watch.sleep", between_looks)
    assert registry("logs", task, "--follow").lines == [f"look {look}: {half}" for look in range(3) for half in ("one", "two")]


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

    def test_one_whose_agent_reports_it_is_ended_by_that(self, embedded: Server, running: str, registry: Registry) -> None:
        assert registry("stop", running).err.endswith(": stopping\n")
        assert embedded.tasks(id=[running])[0]["status_message"] == "stopping"

    @pytest.mark.parametrize("ended", [False, True], ids=["in_progress", "stopped by the server"])
    def test_what_an_agent_that_is_gone_left_running_here_is_ended(
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
                assert f"stopped: {gone}" in registry("status", running).out
            assert "its agent was gone" in registry("stop", running).err
            assert run.wait(10) == -signal.SIGTERM
        finally:
            run.kill()
            run.wait()
        assert embedded.task(running)["status"] == "stopped"
        assert registry("stop", running).code == 2

    def test_one_that_has_ended_is_refused(self, clone: Any, pair: tuple[str, str], registry: Registry) -> None:
        outcome = registry("stop", pair[0])
        assert outcome.code == 2
        assert "is completed; there is nothing to stop" in outcome.err


class TestReasons:
    TOLD = "rank 0: ValueError: step 2 went wrong"

    @pytest.fixture
    def failed(self, clone: Any, server: LocalServer, embedded: Server) -> str:
        """A task whose run has said why it failed, and whose agent has spoken after it."""
        body = {"name": f"failed-{uuid.uuid4().hex[:6]}", "type": "training", "project": embedded.project("clearml-example-project")}
        task = str(embedded.call("tasks.create", **body)["id"])
        embedded.call("tasks.started", task=task)
        tell(SimpleNamespace(session=embedded.session), task, self.TOLD)
        embedded.call("tasks.failed", task=task, status_reason=self.TOLD, status_message=self.TOLD)
        ends(server, task, 1)
        return task

    def test_status_and_logs_tell_the_run_s_own(self, embedded: Server, failed: str, registry: Registry) -> None:
        assert embedded.task(failed)["status_reason"] == "worker execution exit code 1"
        assert f"failed: {self.TOLD}" in registry("status", failed).out
        assert json.loads(registry("status", failed, "--json").out)[0]["reason"] == self.TOLD
        assert registry("logs", failed).err == f"{embedded.task(failed)['name']} ({failed}): failed: {self.TOLD}\n"

    def test_who_waits_is_told_it(self, embedded: Server, failed: str) -> None:
        with pytest.raises(RunFailedError, match=re.escape(f"({failed}): failed: {self.TOLD}")):
            wait(embedded, [failed], Console(file=io.StringIO()))


def test_status_lists_the_newest_first(clone: Any, embedded: Server, pair: tuple[str, str], registry: Registry) -> None:
    listed = [task["id"] for task in json.loads(registry("status", "--json").out)]
    assert listed[:2] == [pair[1], pair[0]]
    assert embedded.task(pair[1])["name"] in registry("status").out


class TestStopWhileItStarts:
    """A real server makes even a running task a draft when it is told to dequeue it (measured: 200, status created)."""

    @pytest.fixture
    def waiting(self, embedded: Server, queue: Queue) -> dict[str, Any]:
        """A queued task, as `registry stop` has just read it."""
        task = embedded.call("tasks.create", name="waiting", type="training", script={"entry_point": "run.py"})["id"]
        embedded.call("tasks.enqueue", task=task, queue=queue.id)
        return embedded.task(task)

    @pytest.fixture
    def asked(self, embedded: Server, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The end points that are called."""
        called, call = [], embedded.call

        def noting(endpoint: str, **body: Any) -> dict[str, Any]:
            called.append(endpoint)
            return call(endpoint, **body)

        monkeypatch.setattr(embedded, "call", noting)
        return called

    def test_one_that_waits_is_a_draft_again(self, embedded: Server, queue: Queue, waiting: dict[str, Any]) -> None:
        assert stop(embedded, waiting) == "queued"
        assert embedded.task(waiting["id"])["status"] == "created"
        assert embedded.queues()[queue.name].waiting == 0

    def test_one_that_has_started_meanwhile_is_stopped(
        self, embedded: Server, queue: Queue, waiting: dict[str, Any], asked: list[str]
    ) -> None:
        embedded.call("queues.get_next_task", queue=queue.id)
        embedded.call("tasks.started", task=waiting["id"], force=True)
        assert stop(embedded, waiting) == "in_progress"
        assert embedded.task(waiting["id"])["status"] == "stopped"
        assert "tasks.dequeue" not in asked

    def test_one_that_an_agent_has_taken_is_stopped_once_it_has_started(
        self, embedded: Server, queue: Queue, waiting: dict[str, Any], asked: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        embedded.call("queues.get_next_task", queue=queue.id)
        monkeypatch.setattr("registry.stopping.time.sleep", lambda seconds: embedded.call("tasks.started", task=waiting["id"], force=True))
        assert stop(embedded, waiting) == "in_progress"
        assert embedded.task(waiting["id"])["status"] == "stopped"
        assert "tasks.dequeue" not in asked

    def test_one_that_was_taken_and_never_starts_is_a_draft_again(
        self, embedded: Server, queue: Queue, waiting: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        embedded.call("queues.get_next_task", queue=queue.id)
        monkeypatch.setattr("registry.stopping.START_WITHIN", 0.5)
        assert stop(embedded, waiting) == "queued"
        assert embedded.task(waiting["id"])["status"] == "created"

    def test_one_that_has_ended_meanwhile_keeps_its_end(self, embedded: Server, queue: Queue, waiting: dict[str, Any]) -> None:
        embedded.call("queues.get_next_task", queue=queue.id)
        embedded.call("tasks.started", task=waiting["id"], force=True)
        embedded.call("tasks.completed", task=waiting["id"])
        assert stop(embedded, waiting) == "completed"
        assert embedded.task(waiting["id"])["status"] == "completed"


class TestRequeued:
    """A run that its machine ended is on its way back to its queue."""

    TOLD = "stopped by SIGTERM; the last checkpoint is kept"

    @pytest.fixture
    def stopped(self, embedded: Server, queue: Queue) -> str:
        """A run that may go back once, and has said that it has stopped."""
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
        """Between any two looks at the task, one of the steps happens."""
        left = list(steps)
        for module in ("registry.watch.sleep", "registry.stopping.time.sleep"):
            monkeypatch.setattr(module, lambda _: left.pop(0)())
        return left

    def test_who_waits_for_it_waits_on(
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

    def test_its_log_is_followed_on(
        self, clone: Any, embedded: Server, queue: Queue, stopped: str, registry: Registry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def finish() -> None:
            self.take(embedded, queue, stopped)
            embedded.call("tasks.completed", task=stopped)

        left = self.step_by_step(monkeypatch, self.back(embedded, stopped), finish)
        assert registry("logs", stopped, "--follow").code == 0
        assert left == []

    def test_its_agent_s_supervisor_puts_it_back(self, embedded: Server, stopped: str) -> None:
        give_up(embedded, stopped, "nobody", "its agent was ended")
        assert (embedded.task(stopped)["status"], count(embedded.task(stopped))) == ("queued", 1)

    def test_a_task_that_could_say_nothing_is_put_back_too(self, embedded: Server, queue: Queue, stopped: str) -> None:
        embedded.call("tasks.started", task=stopped)
        give_up(embedded, stopped, "nobody", "its agent was ended")
        assert embedded.task(stopped)["status_reason"] == "requeued 1 of 1: its agent was ended"

    def test_one_that_a_person_has_asked_to_stop_is_not_put_back(self, embedded: Server, stopped: str) -> None:
        embedded.call("tasks.started", task=stopped, status_message="stopping")  # as tasks.stop leaves it for an agent
        give_up(embedded, stopped, "nobody", "its agent was ended")
        assert embedded.task(stopped)["status"] == "stopped"

    def test_stopped_by_a_person_it_does_not_come_back(
        self, clone: Any, embedded: Server, queue: Queue, stopped: str, registry: Registry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        left = self.step_by_step(monkeypatch, self.back(embedded, stopped))
        assert registry("stop", stopped).err.endswith(": taken off its queue\n")
        assert (embedded.task(stopped)["status"], embedded.queues()[queue.name].waiting, left) == ("created", 0, [])

    def back(self, server: Server, task: str) -> Callable[[], object]:
        return lambda: requeue.put_back(server, requeue.look(server, task), self.TOLD)
