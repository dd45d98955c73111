"""The embedded server answers single requests as ClearML's own does, as measured there: codes in real_answers.tsv, contents here."""

from __future__ import annotations

import csv
import json
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from support.events import NewTask, log_line, scalar
from support.server import LocalServer


def table() -> dict[str, dict[str, str]]:
    with (Path(__file__).with_name("real_answers.tsv")).open(newline="") as lines:
        rows = csv.DictReader((line for line in lines if not line.startswith("#")), delimiter="\t", quoting=csv.QUOTE_NONE)
        return {row["what"]: row for row in rows}


REAL = table()


class Scene(dict[str, str]):
    """Makes what a request is about, when its body names it."""

    def __init__(self, server: LocalServer, new_task: NewTask, project: str, queue: str) -> None:
        super().__init__(queue=queue, unknown="0" * 32)
        self._server, self._new_task = server, new_task
        self._makers: dict[str, Callable[[], str]] = {
            "draft": self._after,
            "bare": lambda: new_task(script={}),
            "ended": lambda: self._after("started", "completed"),
            "published": lambda: self._after("started", "completed", "publish"),
            "queued": lambda: self._after("enqueue"),
            "full": lambda: self._after("enqueue") and self["queue"],
            "parent": self._parent,
            "model": lambda: str(server.call("models.create", name="weights", uri="file:///w.bin")["id"]),
            "project_name": lambda: str(server.call("projects.get_by_id", project=project)["project"]["name"]),
            "project_of_draft": lambda: self._after() and project,
        }

    def __missing__(self, name: str) -> str:
        self[name] = self._makers[name]()
        return self[name]

    def _after(self, *steps: str) -> str:
        """A task after these changes of its status."""
        task = self._new_task()
        for step in steps:
            self._server.call(f"tasks.{step}", task=task, **({"queue": self["queue"]} if step == "enqueue" else {}))
        return task

    def _parent(self) -> str:
        task = self._after()
        self._new_task("child", parent=task)
        return task


@pytest.mark.parametrize("what", REAL)
def test_a_request_is_answered_as_on_the_real_server(server: LocalServer, new_task: NewTask, project: str, queue: str, what: str) -> None:
    row = REAL[what]
    body = json.loads(string.Template(row["body"]).substitute(Scene(server, new_task, project, queue)))
    answer = server.ask(row["endpoint"], **body)
    found = answer.json()["meta"]["result_subcode"]
    assert (answer.status_code, str(found)) == (int(row["code"]), row["subcode"] or str(found)), answer.text


def task_of(server: LocalServer, identity: str) -> dict[str, Any]:
    task: dict[str, Any] = server.call("tasks.get_by_id", task=identity)["task"]
    return task


def names(server: LocalServer, project: str, **asked: Any) -> list[str]:
    return sorted(task["name"] for task in server.call("tasks.get_all", project=[project], **asked)["tasks"])


def test_a_completed_task_can_be_published_by_completing_it_again(server: LocalServer, new_task: NewTask) -> None:
    task = new_task()
    server.call("tasks.started", task=task)
    server.call("tasks.completed", task=task)
    assert server.call("tasks.completed", task=task, publish=True)["published"] == 1
    assert task_of(server, task)["status"] == "published"


def test_a_clone_is_its_originals_child_and_stores_where_that_did(server: LocalServer, new_task: NewTask) -> None:
    task = new_task(output_dest="s3://bucket/folder")
    clone = task_of(server, server.call("tasks.clone", task=task)["id"])
    assert (clone["parent"], clone["output"]) == (task, {"destination": "s3://bucket/folder"})


def test_what_is_not_set_is_not_told(server: LocalServer, new_task: NewTask) -> None:
    task = new_task()
    server.call("tasks.started", task=task)
    server.call("tasks.stopped", task=task)
    seen = task_of(server, task)
    assert "active_duration" not in seen
    assert "destination" not in seen["output"]


def test_reset_and_delete_tell_what_went_with_the_task(server: LocalServer, new_task: NewTask, queue: str) -> None:
    task = new_task()
    made = {ready: server.call("models.create", name="weights", uri="file:///w.bin", ready=ready)["id"] for ready in (True, False)}
    for ready, model in made.items():
        server.call("tasks.add_or_update_model", task=task, name=f"ready {ready}", model=model, type="output")
    server.report(scalar(task, 1, 0.5), log_line(task, "hello", 1))
    server.call("tasks.enqueue", task=task, queue=queue)
    answer = server.call("tasks.reset", task=task, return_file_urls=True)
    assert (answer["deleted_models"], answer["events"], answer["dequeued"]) == (1, {"deleted": 2}, {"dequeued": 1})
    assert answer["urls"] == {"event_urls": [], "artifact_urls": [], "model_urls": []}
    deleted = server.call("tasks.delete", task=task)
    assert (deleted["deleted"], deleted["deleted_models"], deleted["urls"]) == (True, 0, {})
    assert server.call("models.get_by_id", model=made[True])["model"]["ready"]
    assert server.ask("models.get_by_id", model=made[False]).status_code == 400


def test_an_emptied_section_of_hyper_parameters_stays(server: LocalServer, new_task: NewTask) -> None:
    """What is counted is what was asked for."""
    task = new_task(hyperparams={"Args": {"lr": {"section": "Args", "name": "lr", "value": "1"}}})
    keys = [{"section": "Args", "name": "lr"}, {"section": "Args", "name": "never there"}]
    assert server.call("tasks.delete_hyper_params", task=task, hyperparams=keys) == {"deleted": 2}
    assert task_of(server, task)["hyperparams"] == {"Args": {}}


def test_a_status_can_be_excluded(server: LocalServer, project: str, new_task: NewTask) -> None:
    new_task("draft")
    server.call("tasks.started", task=new_task("runs"))
    assert names(server, project, status=["-created"]) == ["runs"]


def test_null_among_tags_stands_for_no_tag(server: LocalServer, project: str, new_task: NewTask) -> None:
    for name, tags in (("one", ["a"]), ("two", ["b"]), ("none", [])):
        new_task(name, tags=tags)
    assert names(server, project, tags=[None]) == ["none"]
    assert names(server, project, tags=[None, "a"]) == ["none", "one"]


def test_null_in_a_list_stands_for_what_is_not_set(server: LocalServer, project: str, new_task: NewTask) -> None:
    parent = new_task("parent")
    new_task("child", parent=parent)
    assert names(server, project, parent=[None]) == ["parent"]
    assert names(server, project, parent=[None, parent]) == ["child", "parent"]


def test_an_unknown_filter_is_ignored(server: LocalServer, project: str, new_task: NewTask) -> None:
    new_task("found")
    assert names(server, project, wishes=["many"], task_types=["training"]) == ["found"]


def test_several_times_of_which_one_has_to_fit(server: LocalServer, project: str, new_task: NewTask) -> None:
    """As the SDK's TriggerScheduler asks a server of 1.16.3 and above."""
    new_task("old")
    moment = server.call("tasks.get_all", project=[project])["tasks"][0]["last_change"]
    server.call("tasks.started", task=new_task("new"))
    assert names(server, project, _or_={"fields": ["started", "last_change"], "datetime": [f">{moment}"]}) == ["new"]
    assert names(server, project, _or_={"fields": ["started", "last_change"], "datetime": [f">={moment}"]}) == ["new", "old"]


def test_a_range_of_creation_times(server: LocalServer, project: str, new_task: NewTask) -> None:
    new_task("found")
    assert names(server, project, created=[">=2020-01-01T00:00:00", "<2100-01-01T00:00:00"]) == ["found"]
    assert names(server, project, created=[">=2020-01-01T00:00:00", "<2021-01-01T00:00:00"]) == []


def test_references_are_expanded_on_request(server: LocalServer, project: str, new_task: NewTask) -> None:
    task = new_task()
    (seen,) = server.call("tasks.get_all_ex", id=[task], only_fields=["status", "project.name", "user.name"])["tasks"]
    name = server.call("projects.get_by_id", project=project)["project"]["name"]
    assert seen == {
        "id": task,
        "status": "created",
        "project": {"id": project, "name": name},
        "user": {"id": seen["user"]["id"], "name": "local"},
    }
    (plain,) = server.call("tasks.get_all_ex", id=[task], only_fields=["project"])["tasks"]
    assert plain == {"id": task, "project": project}


def test_a_queue_told_in_full_names_its_tasks_and_workers(server: LocalServer, new_task: NewTask, queue: str) -> None:
    task = new_task("waits")
    server.call("tasks.enqueue", task=task, queue=queue)
    server.call("workers.register", worker="serving:0", queues=[queue])
    (seen,) = server.call("queues.get_all_ex", id=[queue])["queues"]
    assert [entry["task"] for entry in seen["entries"]] == [{"id": task, "name": "waits"}]
    assert [worker["name"] for worker in seen["workers"]] == ["serving:0"]
    server.call("workers.unregister", worker="serving:0")


def test_a_task_taken_from_its_queue_becomes_a_draft_on_request(server: LocalServer, new_task: NewTask, queue: str) -> None:
    task = new_task()
    server.call("tasks.enqueue", task=task, queue=queue)
    server.call("queues.remove_task", queue=queue, task=task, update_task_status=True)
    assert task_of(server, task)["status"] == "created"


def test_projects_told_in_full_are_all_that_is_below_one(server: LocalServer) -> None:
    server.call("projects.create", name="above/middle/below")
    (top,) = server.call("projects.get_all", name="^above$")["projects"]

    def below(endpoint: str) -> set[str]:
        return {project["name"] for project in server.call(endpoint, parent=[top["id"]])["projects"]}

    assert below("projects.get_all_ex") == {"above/middle", "above/middle/below"}
    assert below("projects.get_all") == {"above/middle"}


def test_deleting_a_project_tells_its_files(server: LocalServer, project: str, new_task: NewTask) -> None:
    task = new_task()
    server.call("tasks.add_or_update_artifacts", task=task, artifacts=[{"key": "a", "type": "x", "uri": "http://h/a", "mode": "output"}])
    answer = server.call("projects.delete", project=project, force=True, delete_contents=True)
    assert answer["urls"]["artifact_urls"] == ["http://h/a"]


def test_the_latest_values_come_with_their_task(server: LocalServer, new_task: NewTask) -> None:
    task = new_task("reports")
    server.report(scalar(task, 3, 0.5))
    answer = server.call("events.get_task_latest_scalar_values", task=task)
    assert (answer["name"], answer["status"], answer["last_iter"], answer["last_timestamp"]) == ("reports", "created", 3, 1_700_000_003_000)
    assert answer["metrics"] == [{"name": "loss", "variants": [{"name": "train", "last_value": 0.5, "last_100_value": 0.5}]}]


def test_ping_asks_for_no_keys(server: LocalServer) -> None:
    assert requests.post(f"{server.url}/v2.23/debug.ping", timeout=10).status_code == 200


@pytest.mark.parametrize(
    ("header", "subcode"),
    [("Basic bm9ib2R5Om5vdGhpbmc=", 22), ("Bearer no.valid.token", 30), ("Digest abc", 10), ("", 20)],
    ids=["a wrong key", "a bad token", "a wrong scheme", "nothing"],
)
def test_what_is_wrong_with_credentials(server: LocalServer, header: str, subcode: int) -> None:
    headers = {"Authorization": header} if header else {}
    answer = requests.post(f"{server.url}/tasks.get_all", json={}, headers=headers, timeout=10)
    assert (answer.status_code, answer.json()["meta"]["result_subcode"]) == (401, subcode)


def test_what_is_no_json(server: LocalServer) -> None:
    answer = requests.post(f"{server.url}/tasks.get_all", data="{broken", auth=server.keys, timeout=10)
    assert (answer.status_code, answer.json()["meta"]["result_subcode"]) == (400, 0)
