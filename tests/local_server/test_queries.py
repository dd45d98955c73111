"""`get_all`: which documents, in which order, and how much of them."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.events import NewTask, OwnServer, scalar
from support.server import LocalServer


def names(server: LocalServer, project: str, **asked: Any) -> list[str]:
    return sorted(task["name"] for task in server.call("tasks.get_all", project=[project], **asked)["tasks"])


# Tags of the tasks in the table below.
TAGGED = {"ann": ["a"], "abe": ["a", "b"], "bea": ["b"], "nil": [], "cas": ["c"]}


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        (["a"], "abe ann"),
        (["a", "b"], "abe ann bea"),
        (["a", "-b"], "ann"),
        (["-a"], "bea cas nil"),
        (["__$all", "a", "b"], "abe"),
        (["__$and", "a", "b"], "abe"),
        (["__$or", "a", "c"], "abe ann cas"),
        (["__$not", "a"], "bea cas nil"),
        (["__$all", "b", "__$not", "a"], "bea"),
        (["__$all", "a", "__$or", "b", "c"], "abe"),
        (["__$all", "__$or", "a", "c", "__$and", "__$or", "b", "c"], "abe cas"),
        (["__$all", "__$or", "a", "__$not", "b"], "abe ann cas nil"),
    ],
)
def test_tag_operators(server: LocalServer, project: str, new_task: NewTask, tags: list[str], found: str) -> None:
    for name, given in TAGGED.items():
        new_task(name, tags=given)
    assert " ".join(names(server, project, tags=tags)) == found


def test_names_are_regular_expressions(server: LocalServer, project: str, new_task: NewTask) -> None:
    for name in ("clip lr=1", "clip lr=2", "[x] clip"):
        new_task(name)
    assert names(server, project, name="^clip") == ["clip lr=1", "clip lr=2"]
    assert names(server, project, name=r"^\[x\]\ clip$") == ["[x] clip"]


@pytest.mark.parametrize("pattern", ["[", "(?=look)ahead", r"(back)\1", "a{100000}"])
def test_what_cannot_be_matched_in_linear_time_is_refused(server: LocalServer, pattern: str) -> None:
    """ClearML's subcode for a bad regular expression is 21."""
    for asked in ({"name": pattern}, {"_any_": {"fields": ["name", "comment"], "pattern": pattern}}):
        for endpoint in ("tasks.get_all", "projects.get_all", "models.get_all", "queues.get_all"):
            answer = server.ask(endpoint, **asked)
            assert (answer.status_code, answer.json()["meta"]["result_subcode"]) == (400, 21)
            assert "linear time" in answer.json()["meta"]["result_msg"]


def test_a_pattern_that_backtracks_for_minutes_elsewhere_is_matched_at_once(server: LocalServer, project: str, new_task: NewTask) -> None:
    """With Python's own matcher this takes 2^60 steps."""
    new_task("a" * 60 + "!")
    started = time.monotonic()
    assert names(server, project, name="^(a+)+$") == []
    assert names(server, project, _all_={"fields": ["name"], "pattern": "^(a|a)+!$"}) == ["a" * 60 + "!"]
    assert time.monotonic() - started < 5


def test_any_and_all_of_several_fields(server: LocalServer, project: str, new_task: NewTask) -> None:
    new_task("resnet", comment="wide")
    new_task("wide resnet", comment="")
    new_task("vit", comment="wide resnet")
    pattern = {"fields": ["name", "comment"], "pattern": "resnet"}
    assert names(server, project, _any_=pattern) == ["resnet", "vit", "wide resnet"]
    assert names(server, project, _all_=pattern) == []
    assert names(server, project, _all_={"fields": ["name", "comment"], "pattern": "^(wide|vit)"}) == ["vit"]


def test_text_is_searched_in_any_case_and_taken_literally(server: LocalServer, project: str, new_task: NewTask) -> None:
    task = new_task("100% done", comment="On Purpose")
    new_task("100 done")
    assert names(server, project, search_text="100%") == ["100% done"]
    assert names(server, project, search_text="purpose") == ["100% done"]
    assert names(server, project, search_text=task[:12]) == ["100% done"]


def test_by_status_type_parent_and_id(server: LocalServer, project: str, new_task: NewTask) -> None:
    first = new_task("first", type="testing")
    new_task("second", parent=first)
    server.call("tasks.started", task=first)
    assert names(server, project, status=["in_progress", "failed"]) == ["first"]
    assert names(server, project, type=["testing"]) == ["first"]
    assert names(server, project, parent=first) == ["second"]
    assert names(server, project, id=[first]) == ["first"]


def test_by_the_time_of_the_last_change_of_status(server: LocalServer, project: str, new_task: NewTask) -> None:
    new_task("early")
    moment = server.call("tasks.get_all", project=[project])["tasks"][0]["status_changed"]
    new_task("late")
    assert names(server, project, status_changed=[f">{moment}"]) == ["late"]
    assert names(server, project, status_changed=[f"<={moment}"]) == ["early"]
    assert names(server, project, status_changed=[f">={moment}", "<2100-01-01T00:00:00Z"]) == ["early", "late"]
    assert names(server, project, status_changed=[">1700000000"]) == ["early", "late"]
    assert server.ask("tasks.get_all", status_changed=[">yesterday"]).status_code == 400


def test_order_and_pages(server: LocalServer, project: str, new_task: NewTask) -> None:
    for name in ("bbb", "aaa", "ccc"):
        new_task(name)

    def page(number: int, order: list[str]) -> list[str]:
        found = server.call("tasks.get_all", project=[project], order_by=order, page=number, page_size=2, only_fields=["name"])["tasks"]
        return [task["name"] for task in found]

    assert page(0, ["name"]) + page(1, ["name"]) == ["aaa", "bbb", "ccc"]
    assert page(0, ["-created"]) == ["ccc", "aaa"]
    assert page(2, ["name"]) == []


def test_scrolling_sees_each_once(server: LocalServer, project: str, new_task: NewTask) -> None:
    made = {new_task(f"task {index}") for index in range(5)}
    seen: list[str] = []
    scroll: dict[str, Any] = {}
    while True:
        answer = server.call("tasks.get_all", project=[project], size=2, **scroll)
        if not answer["tasks"]:
            break
        seen += [task["id"] for task in answer["tasks"]]
        scroll = {"scroll_id": answer["scroll_id"]}
    assert len(seen) == 5
    assert set(seen) == made


def test_ordering_by_a_metric_puts_tasks_without_it_last(server: LocalServer, project: str, new_task: NewTask) -> None:
    good, bad, none = new_task("good"), new_task("bad"), new_task("none")
    server.report(scalar(good, 1, 0.9, metric="acc"), scalar(bad, 1, 0.1, metric="acc"), scalar(bad, 2, 0.95, metric="acc"))
    metrics = server.call("tasks.get_by_id", task=good)["task"]["last_metrics"]
    ((metric, variants),) = metrics.items()
    (variant,) = variants

    def ordered(by: str) -> list[str]:
        return [task["id"] for task in server.call("tasks.get_all", project=[project], order_by=[by])["tasks"]]

    assert ordered(f"-last_metrics.{metric}.{variant}.value") == [bad, good, none]
    assert ordered(f"last_metrics.{metric}.{variant}.min_value") == [bad, good, none]


def test_only_fields_reach_into_nested_ones(server: LocalServer, new_task: NewTask) -> None:
    parameters = {name: {"section": "Args", "name": name, "value": value} for name, value in (("train.lr", "1"), ("lr", "2"))}
    task = new_task(hyperparams={"Args": parameters}, script={"repository": "r", "entry_point": "e"})

    def only(*fields: str) -> dict[str, Any]:
        (found,) = server.call("tasks.get_all", id=[task], only_fields=list(fields))["tasks"]
        return {key: value for key, value in found.items() if key != "id"}

    assert only("script.repository", "status") == {"script": {"repository": "r"}, "status": "created"}
    assert only("hyperparams.Args.train.lr.value") == {"hyperparams": {"Args": {"train.lr": {"value": "1"}}}}
    assert only("hyperparams.Args.lr") == {"hyperparams": {"Args": {"lr": {"section": "Args", "name": "lr", "value": "2"}}}}
    assert only("runtime.missing") == {"runtime": {}}
    assert only("script", "script.repository") == {"script": {"repository": "r", "entry_point": "e"}}


def test_a_hyper_parameter_filters(server: LocalServer, project: str, new_task: NewTask) -> None:
    for value in ("1e-3", "1e-4"):
        new_task(f"lr={value}", hyperparams={"Args": {"train.lr": {"section": "Args", "name": "train.lr", "value": value}}})
    assert names(server, project, **{"hyperparams.Args.train.lr.value": ["1e-3"]}) == ["lr=1e-3"]


def test_hidden_tasks_show_only_when_asked_for(server: LocalServer, project: str, new_task: NewTask) -> None:
    hidden = new_task("hidden one", system_tags=["hidden"])
    assert names(server, project) == []
    assert names(server, project, search_hidden=True) == ["hidden one"]
    assert names(server, project, id=[hidden]) == ["hidden one"]


def test_fields_that_are_no_filters_are_ignored(server: LocalServer, project: str, new_task: NewTask) -> None:
    """The SDK adds `method` to the requests to which it lets other fields be added."""
    new_task("found")
    assert names(server, project, method="get", allow_public=True) == ["found"]


def test_a_field_cannot_carry_sql(server: LocalServer) -> None:
    for field in ("name' OR '1", 'a".b', "x\\y"):
        assert server.ask("tasks.get_all", order_by=[field]).status_code == 400


def test_subprojects_are_included_on_request(server: LocalServer, new_task: NewTask) -> None:
    parent = server.call("projects.create", name="tree")["id"]
    child = server.call("projects.create", name="tree/branch")["id"]
    new_task("in the branch", project=child)
    assert names(server, parent) == []
    assert names(server, parent, include_subprojects=True) == ["in the branch"]


@pytest.mark.parametrize(("text", "found"), [("a_b", ["a_b"]), ("a%b", ["a%b"]), ("a\\b", ["a\\b"]), ("axb", ["axb"])])
def test_a_text_is_searched_for_as_it_is(server: LocalServer, project: str, new_task: NewTask, text: str, found: list[str]) -> None:
    """Not as a pattern of SQL's LIKE, in which _ stands for any character."""
    for name in ("a_b", "a%b", "a\\b", "axb"):
        new_task(name)
    assert names(server, project, search_text=text) == found


def test_a_time_without_zone_is_utc_wherever_the_server_stands(own_server: OwnServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the SDK sends times, of datetime.utcnow()."""
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")  # 14 hours ahead
    server = own_server()
    task = server.call("tasks.create", name="some task", type="training")["id"]
    server.call("tasks.started", task=task)
    now = datetime.now(UTC).replace(tzinfo=None)
    an_hour = timedelta(hours=1)

    def found(*ranges: str) -> list[str]:
        return [each["id"] for each in server.call("tasks.get_all", status_changed=list(ranges))["tasks"]]

    assert found(f">{(now - an_hour).isoformat()}", f"<{(now + an_hour).isoformat()}") == [task]
    assert found(f">{(now + an_hour).isoformat()}") == []
    assert found(f"<{(now - an_hour).isoformat()}") == []
