"""Tasks: made, edited, cloned, reset, deleted."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from support.events import NewTask, log_line, scalar
from support.server import LocalServer


def task_of(server: LocalServer, identity: str) -> dict[str, Any]:
    task: dict[str, Any] = server.call("tasks.get_by_id", task=identity)["task"]
    return task


def parameters(server: LocalServer, identity: str) -> dict[str, str]:
    (found,) = server.call("tasks.get_hyper_params", tasks=[identity])["params"]
    return {f"{item['section']}/{item['name']}": item["value"] for item in found["hyperparams"]}


def item(section: str, name: str, value: str) -> dict[str, str]:
    return {"section": section, "name": name, "value": value}


@pytest.mark.parametrize("endpoint", ["tasks.get_by_id", "tasks.stopped", "tasks.edit", "tasks.delete", "tasks.clone", "tasks.ping"])
def test_an_unknown_task_is_refused(server: LocalServer, endpoint: str) -> None:
    answer = server.ask(endpoint, task="0" * 32)
    meta = answer.json()["meta"]
    assert (answer.status_code, meta["result_code"], meta["result_subcode"]) == (400, 400, 101)
    assert "0" * 32 in meta["result_msg"]


@pytest.mark.parametrize("kind", ["tasks", "projects", "models"])
def test_names_under_three_characters_are_refused(server: LocalServer, kind: str) -> None:
    more = {"tasks": {"type": "training"}, "models": {"uri": "file:///w"}}.get(kind, {})
    answer = server.ask(f"{kind}.create", name="ab", **more)
    assert answer.status_code == 400
    assert "short" in answer.json()["meta"]["result_msg"]


def test_a_missing_or_mistyped_field_is_named(server: LocalServer) -> None:
    assert "'type' is missing" in server.ask("tasks.create", name="no type").json()["meta"]["result_msg"]
    assert "'task' of tasks.started" in server.ask("tasks.started", task=3).json()["meta"]["result_msg"]
    assert "'force' of tasks.started" in server.ask("tasks.started", task="x", force="yes").json()["meta"]["result_msg"]


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("tasks.create", '{"name": "poison", "type": "training", "tags": "no list"}'),
        ("tasks.create", '{"name": "poison", "type": "training", "hyperparams": {"Args": [1]}}'),
        ("tasks.create", '{"name": "half \\ud800 pair", "type": "training"}'),
        ("tasks.get_all", '{"page": "first"}'),
        ("tasks.get_all", '{"id": [{"$gt": ""}]}'),
        ("tasks.get_all", '{"_any_": {"fields": "name", "pattern": "x"}}'),
        ("models.create", '{"name": "poison", "uri": "u", "labels": {"cat": "one"}}'),
        ("events.add", '{"type": "plot", "task": "x", "metric": {"a": 1}}'),
        ("events.add", '{"type": "training_stats_scalar", "task": "x", "value": 1, "iter": 1e30}'),
        ("events.get_task_log", '{"task": "x", "batch_size": 1000000000000000000000000}'),
    ],
)
def test_what_makes_no_sense_is_refused_and_does_no_harm(server: LocalServer, endpoint: str, body: str) -> None:
    answer = requests.post(f"{server.url}/{endpoint}", data=body, auth=server.keys, timeout=10)
    assert (answer.status_code, answer.json()["meta"]["result_code"]) == (400, 400)
    assert server.call("tasks.get_all", name="poison", search_text="poison", tags=["x"], order_by=["name"]) == {"tasks": []}


def test_numbers_that_json_does_not_know_become_null(server: LocalServer) -> None:
    """Python writes NaN into JSON; stored as such, it would break every later query."""
    body = '{"name": "not a number", "type": "training", "runtime": {"x": NaN, "y": Infinity, "z": -1e999}}'
    task = requests.post(f"{server.url}/tasks.create", data=body, auth=server.keys, timeout=10).json()["data"]["id"]
    assert task_of(server, task)["runtime"] == {"x": None, "y": None, "z": None}


def test_edit_merges_script_and_execution_and_replaces_the_rest(server: LocalServer, new_task: NewTask) -> None:
    task = new_task(script={"repository": "r", "entry_point": "e"}, runtime={"a": "1"}, container={"image": "x"})
    server.call("tasks.edit", task=task, force=True, script={"version_num": "abc"}, runtime={"b": "2"}, container={"arguments": "-v"})
    seen = task_of(server, task)
    assert seen["script"] == {"repository": "r", "entry_point": "e", "version_num": "abc"}
    assert seen["runtime"] == {"b": "2"}
    assert seen["container"] == {"arguments": "-v"}
    assert seen["execution"]["artifacts"] == []


def test_a_running_task_is_edited_by_force(server: LocalServer, new_task: NewTask) -> None:
    """As the SDK does, which asks for force in all its edits."""
    task = new_task()
    server.call("tasks.started", task=task)
    for fields in ({"script": {"diff": "x"}}, {"tags": ["kept"]}):
        assert server.ask("tasks.edit", task=task, **fields).status_code == 400
        server.call("tasks.edit", task=task, **fields, force=True)
    assert (task_of(server, task)["tags"], task_of(server, task)["script"]["diff"]) == (["kept"], "x")


@pytest.mark.parametrize("field", ["project", "parent"])
def test_an_edit_to_an_unknown_project_or_parent_is_refused_and_changes_nothing(server: LocalServer, new_task: NewTask, field: str) -> None:
    """As for a new task (400/16 in real_answers.tsv): ClearML's server validates both alike, `edit` in apiserver/services/tasks.py."""
    task = new_task("some task", comment="before")
    before = task_of(server, task)
    answer = server.ask("tasks.edit", task=task, comment="after", **{field: "0" * 32})
    assert (answer.status_code, answer.json()["meta"]["result_subcode"]) == (400, 16)
    assert task_of(server, task) == before


def test_an_edit_of_the_output_destination_keeps_the_rest_of_the_output(server: LocalServer, new_task: NewTask) -> None:
    """ClearML's server sets `destination` in the output that is there, by `prepare_create_fields` in its apiserver/services/tasks.py."""
    task = new_task()
    server.call("tasks.update", task=task, output__error="out of memory")
    server.call("tasks.edit", task=task, output_dest="s3://bucket/folder")
    assert task_of(server, task)["output"] == {"error": "out of memory", "destination": "s3://bucket/folder"}


def test_hyper_parameters_are_set_one_by_one_or_by_section(server: LocalServer, new_task: NewTask) -> None:
    task = new_task()
    edit = {"task": task, "force": True}
    server.call(
        "tasks.edit_hyper_params",
        **edit,
        hyperparams=[item("Args", "train.lr", "1"), item("Args", "$odd \"key'.", "2"), item("B", "x", "3")],
    )
    server.call("tasks.edit_hyper_params", **edit, hyperparams=[item("Args", "train.lr", "9")])
    assert parameters(server, task) == {"Args/train.lr": "9", "Args/$odd \"key'.": "2", "B/x": "3"}
    server.call("tasks.edit_hyper_params", **edit, hyperparams=[item("Args", "only", "1")], replace_hyperparams="section")
    assert parameters(server, task) == {"Args/only": "1", "B/x": "3"}
    server.call("tasks.edit_hyper_params", **edit, hyperparams=[item("C", "all", "1")], replace_hyperparams="all")
    assert parameters(server, task) == {"C/all": "1"}
    server.call("tasks.delete_hyper_params", **edit, hyperparams=[{"section": "C"}])
    assert parameters(server, task) == {}


def test_user_properties_can_be_set_on_a_finished_task(server: LocalServer, new_task: NewTask) -> None:
    task = new_task()
    server.call("tasks.started", task=task)
    server.call("tasks.completed", task=task)
    server.call("tasks.edit_hyper_params", task=task, hyperparams=[item("properties", "dataset_id", "d")])
    assert server.ask("tasks.edit_hyper_params", task=task, hyperparams=[item("Args", "lr", "1")]).status_code == 400
    assert parameters(server, task) == {"properties/dataset_id": "d"}


def test_configurations(server: LocalServer, new_task: NewTask) -> None:
    task = new_task()
    server.call(
        "tasks.edit_configuration",
        task=task,
        configuration=[{"name": "General", "value": "a: 1", "type": "yaml"}, {"name": "empty", "value": ""}],
    )
    server.call("tasks.edit_configuration", task=task, configuration=[{"name": "General", "value": "a: 2"}])
    (found,) = server.call("tasks.get_configurations", tasks=[task], names=["General"])["configurations"]
    assert found["configuration"] == [{"name": "General", "value": "a: 2", "type": "yaml"}]
    assert server.call("tasks.delete_configuration", task=task, configuration=["General", "none"]) == {"deleted": 1}


def test_artifacts_are_known_by_key_and_mode(server: LocalServer, new_task: NewTask) -> None:
    task = new_task()
    server.call("tasks.started", task=task)

    def add(key: str, mode: str, uri: str) -> None:
        server.call("tasks.add_or_update_artifacts", task=task, artifacts=[{"key": key, "mode": mode, "type": "dict", "uri": uri}])

    add("table", "output", "1")
    add("table", "input", "2")
    add("table", "output", "3")
    assert [(each["mode"], each["uri"]) for each in task_of(server, task)["execution"]["artifacts"]] == [("output", "3"), ("input", "2")]
    server.call("tasks.delete_artifacts", task=task, artifacts=[{"key": "table", "mode": "output"}])
    assert [each["uri"] for each in task_of(server, task)["execution"]["artifacts"]] == ["2"]


def test_a_clone_has_the_settings_and_not_the_results(server: LocalServer, new_task: NewTask, queue: str) -> None:
    task = new_task(
        "original",
        hyperparams={"Args": {"lr": item("Args", "lr", "1")}},
        container={"image": "clip"},
        tags=["mine"],
        execution={"artifacts": [{"key": "in", "mode": "input", "type": "x"}, {"key": "out", "mode": "output", "type": "x"}]},
    )
    server.report(scalar(task, 1, 0.5), log_line(task, "hello", 1))
    server.call("tasks.enqueue", task=task, queue=queue)
    clone = server.call("tasks.clone", task=task, new_task_name="copy", new_task_parent=task)["id"]
    seen = task_of(server, clone)
    assert (seen["name"], seen["status"], seen["parent"], seen["tags"]) == ("copy", "created", task, ["mine"])
    assert (seen["hyperparams"], seen["container"]) == (task_of(server, task)["hyperparams"], {"image": "clip"})
    assert [artifact["key"] for artifact in seen["execution"]["artifacts"]] == ["in"]
    assert seen["last_metrics"] == {}
    assert seen["last_iteration"] == 0


def test_reset_forgets_what_was_reported(server: LocalServer, new_task: NewTask) -> None:
    task = new_task(hyperparams={"Args": {"lr": item("Args", "lr", "1")}})
    server.call("tasks.started", task=task)
    server.report(scalar(task, 7, 0.5), log_line(task, "hello", 1))
    server.call("tasks.completed", task=task)
    answer = server.call("tasks.reset", task=task)
    assert (answer["events"], answer["dequeued"], answer["deleted_models"]) == ({"deleted": 2}, {"dequeued": 0}, 0)
    seen = task_of(server, task)
    assert (seen["status"], seen["last_iteration"], seen["last_metrics"], seen.get("started")) == ("created", 0, {}, None)
    assert parameters(server, task) == {"Args/lr": "1"}
    assert seen["status_reason"] == "reset"
    assert server.call("events.get_task_log", task=task)["total"] == 0


def test_deleting(server: LocalServer, new_task: NewTask) -> None:
    parent = new_task()
    child = new_task(parent=parent)
    server.call("tasks.add_or_update_artifacts", task=parent, artifacts=[{"key": "a", "type": "x", "uri": "http://h/a", "mode": "output"}])
    answer = server.call("tasks.delete", task=parent, return_file_urls=True)
    assert answer["deleted"]
    assert answer["updated_children"] == 1
    assert answer["urls"]["artifact_urls"] == ["http://h/a"]
    assert server.ask("tasks.get_by_id", task=parent).status_code == 400
    assert task_of(server, child)["parent"] is None


def test_many_at_once_each_by_itself(server: LocalServer, new_task: NewTask) -> None:
    running, draft = new_task(), new_task()
    server.call("tasks.started", task=running)
    answer = server.call("tasks.delete_many", ids=[running, draft, "0" * 32])
    assert [each["id"] for each in answer["succeeded"]] == [draft]
    assert [(each["id"], each["error"]["codes"]) for each in answer["failed"]] == [(running, [400, 123]), ("0" * 32, [400, 101])]
    server.call("tasks.archive_many", ids=[running])
    assert "archived" in task_of(server, running)["system_tags"]
    server.call("tasks.unarchive_many", ids=[running])
    assert task_of(server, running)["system_tags"] == []


def test_projects_form_a_tree(server: LocalServer, new_task: NewTask) -> None:
    leaf = server.call("projects.create", name="root of tree/x/leaf")["id"]
    task = new_task(project=leaf)
    (root,) = server.call("projects.get_all", name="^root of tree$", include_stats=True)["projects"]
    assert {project["name"] for project in root["sub_projects"]} == {"root of tree/x", "root of tree/x/leaf"}
    assert root["stats"]["active"]["status_count"]["created"] == 1
    server.call("projects.update", project=root["id"], name="new root")
    assert server.call("projects.get_by_id", project=leaf)["project"]["name"] == "new root/x/leaf"
    assert server.ask("projects.delete", project=root["id"]).status_code == 400
    server.call("projects.delete", project=root["id"], force=True)
    assert task_of(server, task)["project"] is None


def test_project_names_are_unique(server: LocalServer) -> None:
    server.call("projects.create", name="only one")
    assert server.ask("projects.create", name="only one").status_code == 400


def test_models(server: LocalServer, new_task: NewTask, project: str) -> None:
    task = new_task()
    made = {"task": task, "framework": "PyTorch", "tags": ["best"], "ready": False}
    model = server.call("models.create", name="weights", uri="file:///a.bin", **made)["id"]
    server.call("tasks.add_or_update_model", task=task, name="last", model=model, type="output")
    server.call("models.edit", model=model, uri="file:///b.bin", labels={"cat": 1})
    server.call("models.add_or_update_metadata", model=model, metadata=[{"key": "acc", "value": "0.9", "type": "float"}])
    (seen,) = server.call("models.get_all", project=[project], tags=["best"], task=[task])["models"]
    assert (seen["uri"], seen["labels"], seen["metadata"]["acc"]["value"]) == ("file:///b.bin", {"cat": 1}, "0.9")
    assert task_of(server, task)["models"]["output"] == [{"name": "last", "model": model}]
    server.call("models.set_ready", model=model, publish_task=False)
    assert server.ask("models.delete", model=model).status_code == 400
    assert server.call("models.delete", model=model, force=True) == {"deleted": True, "url": "file:///b.bin"}
    unknown = server.ask("models.get_by_id", model=model)
    assert (unknown.status_code, unknown.json()["meta"]["result_subcode"]) == (400, 201)


def test_a_tasks_output_model_follows_its_file(server: LocalServer, new_task: NewTask) -> None:
    """By end points of the API up to 2.13; from 2.20 on the SDK has others, and the server answers 301."""
    task = new_task("trains")

    def ask(version: str, endpoint: str, **fields: Any) -> requests.Response:
        return requests.post(f"{server.url}/{version}{endpoint}", json={"task": task, **fields}, auth=server.keys, timeout=10)

    first = ask("v2.13/", "models.update_for_task", uri="file:///1").json()["data"]
    second = ask("v2.9/", "models.update_for_task", uri="file:///2", iteration=5).json()["data"]
    assert (first["created"], second["created"], second["id"]) == (True, False, first["id"])
    assert ask("v2.13/", "models.get_by_task_id").json()["data"]["model"]["uri"] == "file:///2"
    assert task_of(server, task)["last_iteration"] == 5
    for version in ("v2.20/", "v2.23/", ""):
        for endpoint in ("models.update_for_task", "models.get_by_task_id"):
            assert ask(version, endpoint).status_code == 301
