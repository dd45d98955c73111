"""A task's life: which status may follow which."""

from __future__ import annotations

import pytest
from support.events import NewTask
from support.server import LocalServer

from local_server.statuses import REACHED_FROM

END_POINTS = {
    "in_progress": "started",
    "completed": "completed",
    "stopped": "stopped",
    "failed": "failed",
    "closed": "close",
    "published": "publish",
}
WAYS = {
    "created": [],
    "in_progress": ["started"],
    "completed": ["started", "completed"],
    "stopped": ["started", "stopped"],
    "failed": ["started", "failed"],
    "closed": ["started", "close"],
    "published": ["started", "completed", "publish"],
}


@pytest.mark.parametrize("target", END_POINTS)
@pytest.mark.parametrize("current", WAYS)
def test_only_legal_transitions_pass(server: LocalServer, new_task: NewTask, current: str, target: str) -> None:
    task = new_task()
    for step in WAYS[current]:
        server.call(f"tasks.{step}", task=task)
    answer = server.ask(f"tasks.{END_POINTS[target]}", task=task)
    legal = current in REACHED_FROM[target]
    assert answer.status_code == (200 if legal else 400)
    assert answer.json()["meta"]["result_subcode"] == (0 if legal else 110)
    assert server.call("tasks.get_by_id", task=task)["task"]["status"] == (target if legal else current)


def test_force_overrides_all_but_publication(server: LocalServer, new_task: NewTask) -> None:
    task = new_task()
    server.call("tasks.started", task=task)
    server.call("tasks.completed", task=task)
    server.call("tasks.started", task=task, force=True)
    server.call("tasks.publish", task=task, force=True)
    assert server.ask("tasks.started", task=task, force=True).status_code == 400


def test_reason_message_and_times_are_kept(server: LocalServer, new_task: NewTask) -> None:
    task = new_task()
    server.call("tasks.started", task=task)
    server.call("tasks.failed", task=task, status_reason="exit code 3", status_message="see the log")
    seen = server.call("tasks.get_by_id", task=task)["task"]
    assert (seen["status_reason"], seen["status_message"]) == ("exit code 3", "see the log")
    assert seen["started"] <= seen["completed"] == seen["status_changed"]
    assert seen["active_duration"] >= 0


def test_queueing_and_dequeueing(server: LocalServer, new_task: NewTask, queue: str) -> None:
    task = new_task()
    server.call("tasks.enqueue", task=task, queue=queue)
    assert server.ask("tasks.enqueue", task=task, queue=queue).status_code == 400
    server.call("tasks.dequeue", task=task)
    assert server.call("tasks.get_by_id", task=task)["task"]["status"] == "created"
    assert server.ask("tasks.dequeue", task=task).status_code == 400
    assert server.call("queues.get_num_entries", queue=queue)["num"] == 0


def test_a_task_without_a_script_cannot_be_queued(server: LocalServer, new_task: NewTask, queue: str) -> None:
    answer = server.ask("tasks.enqueue", task=new_task(script={}), queue=queue)
    assert answer.status_code == 400
    assert "entry_point" in answer.json()["meta"]["result_msg"]


def test_enqueueing_by_name_makes_the_queue(server: LocalServer, new_task: NewTask) -> None:
    task = new_task()
    server.call("tasks.enqueue", task=task, queue_name="made on demand")
    made = server.call("queues.get_all", name="^made on demand$")["queues"][0]
    assert [entry["task"] for entry in made["entries"]] == [task]
    assert server.call("tasks.get_by_id", task=task)["task"]["execution"]["queue"] == made["id"]


def test_stop_asks_the_agent_that_runs_the_task(server: LocalServer, new_task: NewTask) -> None:
    task = new_task()
    server.call("tasks.started", task=task)
    server.call("workers.register", worker="runner:0")
    server.call("workers.status_report", worker="runner:0", task=task, timestamp=0)
    server.call("tasks.stop", task=task)
    seen = server.call("tasks.get_by_id", task=task)["task"]
    assert (seen["status"], seen["status_message"]) == ("in_progress", "stopping")
    server.call("workers.unregister", worker="runner:0")


def test_stop_ends_a_task_that_no_agent_runs(server: LocalServer, new_task: NewTask) -> None:
    task = new_task()
    server.call("tasks.started", task=task)
    server.call("tasks.stop", task=task)
    assert server.call("tasks.get_by_id", task=task)["task"]["status"] == "stopped"
    assert server.ask("tasks.stop", task=task).status_code == 400


def test_publishing_a_task_publishes_its_models(server: LocalServer, new_task: NewTask) -> None:
    task = new_task()
    model = server.call("models.create", name="weights", uri="file:///w.bin", task=task)["id"]
    server.call("tasks.add_or_update_model", task=task, name="weights", model=model, type="output")
    server.call("tasks.started", task=task)
    server.call("tasks.completed", task=task, publish=True)
    assert server.call("models.get_by_id", model=model)["model"]["ready"]
    assert server.call("tasks.get_by_id", task=task)["task"]["status"] == "published"
