"""Which tasks go back to their queue, how often, and when: of tasks on the server, without agents or runs.

What an agent says, and when, is as in `handle_task_termination` and `run_one_task` of clearml-agent 3.0's worker.py.
"""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.agent import INTERRUPTED, WORDS, ends
from support.server import LocalServer

from harness import data, remote_checkpoints, requeue, sidecar, tracking
from harness.checkpoint import Checkpoints
from harness.errors import CheckpointError, DataError, ServerError
from harness.reasons import reason_of, tell
from harness.sidecar import GOODBYE, Process

TOLD = "stopped by SIGTERM; the last checkpoint is kept"


class Tasks:
    """Tasks of a queue of its own, and what runs, agents and persons do to them."""

    def __init__(self, server: LocalServer) -> None:
        self.server = server
        self.queue = str(server.call("queues.create", name=f"requeue-{uuid.uuid4().hex[:6]}")["id"])
        session = SimpleNamespace(send_request=lambda service, action, json: server.ask(f"{service}.{action}", **json))
        self.connection = SimpleNamespace(session=session)

    def waiting(self, times: int = 1) -> str:
        """A task in the queue."""
        given = {"Args": {"requeue": {"section": "Args", "name": "requeue", "value": str(times)}}}
        task = str(self.server.call("tasks.create", name="some run", type="training", hyperparams=given)["id"])
        self.server.call("tasks.enqueue", task=task, queue=self.queue)
        return task

    def started(self, times: int = 1) -> str:
        """A task that an agent has taken."""
        return self.take(self.waiting(times))

    def take(self, task: str) -> str:
        while self.server.call("queues.get_next_task", queue=self.queue)["entry"]["task"] != task:
            pass
        self.server.call("tasks.started", task=task, force=True)
        return task

    def stopped(self, task: str, reason: str = TOLD) -> dict[str, Any]:
        """A run says that it has stopped."""
        tell(self.connection, task, reason)
        self.server.call("tasks.stopped", task=task, force=True, status_reason=reason, status_message=reason)
        return self.look(task)

    def look(self, task: str) -> dict[str, Any]:
        return requeue.look(self.connection, task)

    def put_back(self, task: str) -> str:
        return requeue.put_back(self.connection, self.look(task), TOLD)

    def order(self) -> list[str]:
        return [entry["task"] for entry in self.server.call("queues.get_by_id", queue=self.queue)["queue"]["entries"]]


@pytest.fixture(scope="module")
def tasks(server: LocalServer) -> Tasks:
    return Tasks(server)


def test_it_is_the_first_in_its_queue_and_says_why(tasks: Tasks) -> None:
    task, other = tasks.started(2), tasks.waiting()
    tasks.stopped(task)
    tasks.put_back(task)
    found = tasks.look(task)
    assert tasks.order()[0] == task
    assert other in tasks.order()
    assert (found["status"], found["status_reason"], requeue.count(found)) == ("queued", f"requeued 1 of 2: {TOLD}", 1)


def test_after_so_many_times_it_stays_and_says_so(tasks: Tasks) -> None:
    task = tasks.started(2)
    for _ in range(2):
        tasks.stopped(task)
        tasks.put_back(task)
        tasks.take(task)
    found = tasks.stopped(task)
    assert not requeue.goes_back(found)
    tasks.put_back(task)
    found = tasks.look(task)
    assert (found["status"], requeue.count(found), reason_of(found)) == ("stopped", 2, f"{TOLD}; it has already been requeued 2 times")


def test_two_who_do_it_count_once(tasks: Tasks) -> None:
    task = tasks.started(1)
    seen = tasks.stopped(task)
    requeue.put_back(tasks.connection, seen, TOLD)
    with pytest.raises(ServerError, match="already queued"):
        requeue.put_back(tasks.connection, tasks.look(task), TOLD)
    assert requeue.count(tasks.look(task)) == 1
    assert tasks.order().count(task) == 1


def test_who_waits_still_waits_between_the_count_and_the_queue(tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that counts and then does not enqueue, or takes its time."""
    task = tasks.started(1)
    found = tasks.stopped(task)
    with pytest.raises(ServerError):
        requeue.put_back(tasks.connection, {**found, "execution": {"queue": "f" * 32}}, TOLD)
    found = tasks.look(task)
    comeback = requeue.Comeback()
    assert (requeue.count(found), comeback.awaited(found)) == (1, True)
    monkeypatch.setattr(requeue, "AWAITED", 0.0)
    assert not comeback.awaited(found)


def test_a_reset_and_a_clone_begin_anew(tasks: Tasks) -> None:
    task = tasks.started(1)
    tasks.stopped(task)
    tasks.put_back(task)
    clone = str(tasks.server.call("tasks.clone", task=task)["id"])
    runtime = tasks.look(task)["runtime"]
    assert requeue.count(tasks.look(clone)) == 0
    assert requeue.count({"id": clone, "runtime": runtime}) == 0  # of a server that copies it
    tasks.server.call("tasks.reset", task=task, force=True)
    assert requeue.count(tasks.look(task)) == 0


@pytest.mark.parametrize(
    ("reason", "message", "own", "back"),
    [
        (TOLD, TOLD, TOLD, True),
        ("user abort", WORDS, TOLD, True),  # its agent, after the run has said why
        ("user abort", WORDS, None, True),  # an agent that gets a SIGTERM
        ("its agent was ended", "", None, True),
        ("its agent is gone; the last checkpoint is kept", "", None, True),
        ("task was stopped by tasks.stop", WORDS, None, False),
        ("task was stopped by tasks.stop", WORDS, TOLD, False),
        ("stopped from the command line", "", None, False),
        ("stopped by node 1 (task abc)", "", None, False),
        ("archived", "", None, False),
        ("", "", None, False),
    ],
)
def test_who_ended_the_run(reason: str, message: str, own: str | None, back: bool) -> None:
    properties = {"reason": {"value": own, "description": "of task a, started now"}} if own else {}
    stated = {
        "status_reason": reason,
        "status_message": message,
        "hyperparams": {"properties": properties, "Args": {"requeue": {"value": "1"}}},
    }
    assert requeue.goes_back({"id": "a", "status": "stopped", "started": "now", **stated}) == back


def test_none_that_failed_or_may_not_goes_back() -> None:
    task = {"id": "a", "status": "stopped", "status_reason": TOLD}
    assert not requeue.goes_back(task)
    task["hyperparams"] = {"Args": {"requeue": {"value": "1"}}}
    assert requeue.goes_back(task)
    assert not requeue.goes_back({**task, "status": "failed"})


class TestWhen:
    """The sidecar waits until the agent has nothing more to say."""

    @pytest.fixture
    def agent(self) -> Iterator[subprocess.Popen[bytes]]:
        """A process in an agent's place."""
        process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        yield process
        process.kill()
        process.wait()

    @pytest.fixture
    def after(self, tasks: Tasks, agent: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
        """What the sidecar does once a run has ended, and what happens at its first look."""
        monkeypatch.setattr(sidecar, "RANKS", 0.0)
        events: list[Callable[[], object]] = []
        monkeypatch.setattr(sidecar.time, "sleep", lambda _: events.pop(0)() if events else None)

        def settle(task: str, *words: str, then: Callable[[], object] | None = None) -> str:
            events[:] = [then] if then else []
            started = tasks.look(task)["started"]
            return sidecar.put_back(tasks.connection, task, started, Process(agent.pid), words, time.monotonic())

        return settle

    def test_a_run_is_requeued_after_its_agent_saw_it_stopped_and_killed_it(self, tasks: Tasks, after: Callable[..., str]) -> None:
        task = tasks.started()
        tasks.stopped(task)
        assert after(task, TOLD) == f"requeued 1 of 1: {TOLD}"

    def test_an_agent_that_was_told_to_end_has_said_so(self, tasks: Tasks, after: Callable[..., str]) -> None:
        task = tasks.started()
        assert after(task, then=lambda: ends(tasks.server, task, INTERRUPTED)) == "requeued 1 of 1: user abort"

    def test_a_run_that_ends_by_itself_waits_for_its_agents_final_report(self, tasks: Tasks, after: Callable[..., str]) -> None:
        task = tasks.started()
        tasks.stopped(task)
        seen = []

        def word() -> None:
            seen.append(tasks.look(task)["status"])
            ends(tasks.server, task, INTERRUPTED)

        assert after(task, TOLD, GOODBYE, then=word) == f"requeued 1 of 1: {TOLD}"
        assert seen == ["stopped"]

    def test_an_agent_that_says_nothing_is_not_waited_for_long(
        self, tasks: Tasks, after: Callable[..., str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        task = tasks.started()
        tasks.stopped(task)
        monkeypatch.setenv("CLEARML_AGENT_QUEUE_POLL_FREQ_SEC", "0.1")
        assert after(task, TOLD, GOODBYE) == f"requeued 1 of 1: {TOLD}"

    def test_a_run_that_could_not_say_it_any_more(self, tasks: Tasks, agent: subprocess.Popen[bytes], after: Callable[..., str]) -> None:
        task = tasks.started()
        agent.kill()
        agent.wait()
        assert after(task, TOLD) == f"requeued 1 of 1: {TOLD}"

    def test_killed_together_with_its_agent(self, tasks: Tasks, agent: subprocess.Popen[bytes], after: Callable[..., str]) -> None:
        task = tasks.started()
        agent.kill()
        agent.wait()
        assert after(task) == "requeued 1 of 1: its agent is gone"

    def test_a_person_has_the_last_word(self, tasks: Tasks, after: Callable[..., str]) -> None:
        task = tasks.started()
        by_person = {"status_reason": "task was stopped by tasks.stop", "status_message": WORDS}
        told = after(task, then=lambda: tasks.server.call("tasks.stopped", task=task, **by_person))
        assert (told, tasks.look(task)["status"]) == ("not requeued: task was stopped by tasks.stop", "stopped")
        tasks.server.call("tasks.stopped", task=task, **by_person)
        assert after(task, TOLD) == "not requeued: a person has stopped the task"

    def test_what_failed_or_has_come_to_its_end_is_left_alone(self, tasks: Tasks, after: Callable[..., str]) -> None:
        task = tasks.started()
        assert after(task, then=lambda: ends(tasks.server, task, 0)) == "not requeued: the task is completed"
        task = tasks.started()
        assert after(task, then=lambda: ends(tasks.server, task, 247)).startswith("not requeued: a process was ended by SIGKILL")
        assert tasks.look(task)["status"] == "failed"

    def test_what_another_agent_runs_by_now_is_left_alone(self, tasks: Tasks, after: Callable[..., str]) -> None:
        task = tasks.started(9)
        tasks.stopped(task)

        def elsewhere() -> None:
            tasks.put_back(task)
            tasks.take(task)

        assert after(task, TOLD, GOODBYE, then=elsewhere) == "not requeued: the task is in_progress"
        assert requeue.count(tasks.look(task)) == 1


def test_who_waits_for_a_task_s_data_waits_on(tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    task = tasks.started()
    tasks.stopped(task)

    class Found:
        """A task of the SDK's."""

        name, session = "some run", tasks.connection.session

        def get_status(self) -> str:
            return str(tasks.look(task)["status"])

    looks = [lambda: tasks.put_back(task), lambda: tasks.take(task), lambda: tasks.server.call("tasks.completed", task=task)]
    monkeypatch.setattr(data.time, "sleep", lambda _: looks.pop(0)())
    found = Found()
    assert data.finished_task(SimpleNamespace(get_task=lambda task_id: found), task) is found
    assert not looks
    stopped = tasks.started(0)
    tasks.stopped(stopped)
    monkeypatch.setattr(Found, "get_status", lambda _: "stopped")
    with pytest.raises(DataError, match="is stopped"):
        data.finished_task(SimpleNamespace(get_task=lambda task_id: found), stopped)


@pytest.mark.parametrize(
    ("here", "uploaded", "expected"), [(3, 5, "uploaded"), (5, 3, "here"), (5, 5, "here"), (None, 3, "uploaded"), (None, None, None)]
)
def test_it_goes_on_from_its_newest_checkpoint_wherever_that_is(
    here: int | None, uploaded: int | None, expected: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine to which a run comes back has older ones."""
    model = SimpleNamespace(name="checkpoint-0", id="m", config_dict={"step": uploaded})
    sdk = SimpleNamespace(get_task=lambda task_id: SimpleNamespace(name="t", models={"output": [model] if uploaded else []}))
    monkeypatch.setitem(sys.modules, "clearml", SimpleNamespace(Task=sdk))
    monkeypatch.setattr(remote_checkpoints, "fetched", lambda model, folder: Path("uploaded"))
    if here:
        Checkpoints(tmp_path / "checkpoints").save(here, lambda path: path.write_text("here"))
    found = tracking.Tracked.own_checkpoint(SimpleNamespace(id="abc"), tmp_path)  # type: ignore[arg-type]
    assert (found and {"uploaded": "uploaded"}.get(found.name, "here")) == expected


def test_newer_checkpoints_that_cannot_be_fetched_are_an_error_not_a_fresh_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = SimpleNamespace(name="checkpoint-0", id="m", config_dict={"step": 5}, url="http://nowhere", get_weights=lambda **_: None)
    sdk = SimpleNamespace(get_task=lambda task_id: SimpleNamespace(name="t", models={"output": [model]}))
    monkeypatch.setitem(sys.modules, "clearml", SimpleNamespace(Task=sdk))
    with pytest.raises(CheckpointError, match="could not be fetched"):
        tracking.Tracked.own_checkpoint(SimpleNamespace(id="abc"), tmp_path)  # type: ignore[arg-type]
