"""A task's life: what goes with its changes of status. Which status may follow which is in test_real_server.py."""

from __future__ import annotations

from support.events import NewTask
from support.server import LocalServer


def test_reason_message_and_times_are_kept(server: LocalServer, new_task: NewTask) -> None:
    task = new_task()
    server.call("tasks.started", task=task)
    server.call("tasks.failed", task=task, status_reason="exit code 3", status_message="see the log")
    seen = server.call("tasks.get_by_id", task=task)["task"]
    assert (seen["status_reason"], seen["status_message"]) == ("exit code 3", "see the log")
    assert seen["started"] <= seen["completed"] == seen["status_changed"]
    (listed,) = server.call("tasks.get_all", id=[task])["tasks"]
    assert listed["active_duration"] >= 0


def test_who_fails_a_task_last_gives_the_reason(server: LocalServer, new_task: NewTask) -> None:
    """So on ClearML's server: the agent's own words replace those that the run wrote a second before."""
    task = new_task()
    server.call("tasks.started", task=task)
    server.call("tasks.failed", task=task, status_reason="out of memory", status_message="out of memory", force=True)
    first = server.call("tasks.get_by_id", task=task)["task"]
    server.call("tasks.failed", task=task, status_reason="worker execution exit code 1", status_message="Changed by clearml-agent")
    seen = server.call("tasks.get_by_id", task=task)["task"]
    assert (seen["status_reason"], seen["status_message"]) == ("worker execution exit code 1", "Changed by clearml-agent")
    assert seen["completed"] == first["completed"]


def test_queueing_and_dequeueing(server: LocalServer, new_task: NewTask, queue: str) -> None:
    task = new_task()
    server.call("tasks.enqueue", task=task, queue=queue)
    assert server.ask("tasks.enqueue", task=task, queue=queue).status_code == 400
    server.call("tasks.dequeue", task=task)
    assert server.call("tasks.get_by_id", task=task)["task"]["status"] == "created"
    assert server.call("tasks.dequeue", task=task)["dequeued"] == 0
    assert server.call("queues.get_num_entries", queue=queue)["num"] == 0


def test_a_task_that_goes_to_an_agent_is_no_longer_one_of_a_keyboard(server: LocalServer, new_task: NewTask, queue: str) -> None:
    task = new_task(script={}, system_tags=["development", "kept"])
    server.call("tasks.enqueue", task=task, queue=queue)
    assert server.call("tasks.get_by_id", task=task)["task"]["system_tags"] == ["kept"]


def test_enqueueing_takes_a_queues_id_or_its_name_but_not_both(server: LocalServer, new_task: NewTask, queue: str) -> None:
    """Which of the two should win?"""
    task = new_task()
    answer = server.ask("tasks.enqueue", task=task, queue=queue, queue_name="another queue")
    assert (answer.status_code, answer.json()["meta"]["result_subcode"]) == (400, 12)
    assert server.call("tasks.get_by_id", task=task)["task"]["status"] == "created"
    assert server.call("queues.get_all", name="^another queue$")["queues"] == []


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


def test_publishing_a_task_publishes_its_models(server: LocalServer, new_task: NewTask) -> None:
    task = new_task()
    model = server.call("models.create", name="weights", uri="file:///w.bin", task=task)["id"]
    server.call("tasks.add_or_update_model", task=task, name="weights", model=model, type="output")
    server.call("tasks.started", task=task)
    server.call("tasks.completed", task=task, publish=True)
    assert server.call("models.get_by_id", model=model)["model"]["ready"]
    assert server.call("tasks.get_by_id", task=task)["task"]["status"] == "published"


def test_publishing_a_model_publishes_the_ended_task_that_made_it(server: LocalServer, new_task: NewTask) -> None:
    task = new_task()
    model, again = (server.call("models.create", name="weights", uri="file:///w.bin", task=task, ready=False)["id"] for _ in range(2))
    server.call("tasks.started", task=task)
    server.call("tasks.completed", task=task)
    server.call("models.set_ready", model=again, publish_task=False)
    assert server.call("tasks.get_by_id", task=task)["task"]["status"] == "completed"
    answer = server.call("models.set_ready", model=model)
    assert answer["published_task"]["id"] == task
    assert server.call("tasks.get_by_id", task=task)["task"]["status"] == "published"
    refused = server.ask("models.set_ready", model=model)
    assert (refused.status_code, refused.json()["meta"]["result_subcode"]) == (400, 203)
