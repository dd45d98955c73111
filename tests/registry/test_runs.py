"""Runs after they were enqueued: finding, comparing and reading them."""

from __future__ import annotations

import io
import json
import re
import time
import uuid
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from support.agent import ends
from support.command_line import Registry
from support.server import LocalServer
from support.tasks import run_on, send_events

from harness.reasons import tell
from registry.backends import Queue, Server
from registry.errors import RunFailedError
from registry.tasks.compare import comparison, differing, results
from registry.tasks.watch import numbers, wait

pytestmark = pytest.mark.filterwarnings("ignore::pyparsing.warnings.PyparsingDeprecationWarning")  # of the SDK's


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

    def test_a_single_run_is_not_marked_as_the_best(self) -> None:
        properties = {"metrics": {"value": '{"main": "loss/value"}'}}
        item = {"metric": "loss", "variant": "value", "value": 0.4, "min_value": 0.2, "max_value": 0.9}
        task = {"hyperparams": {"properties": properties}, "last_metrics": {"m": {"v": item}}}
        assert results([task, {}]) == [("loss/value", ["0.4 (min 0.2)", ""])]

    def test_values_that_a_server_returns_as_not_finite_are_not_numbers(self) -> None:
        """Python's JSON parser accepts NaN, if a server sends it."""
        item = {"metric": "loss", "variant": "value", "value": float("nan"), "min_value": 0.2, "max_value": float("inf")}
        task = {"last_metrics": {"m": {"v": item}}}
        assert results([task]) == [("loss/value", ["not finite"])]
        assert numbers(task) == "loss/value not finite"

    def test_diverged_scalars_come_first_in_short_form(self) -> None:
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

    def test_all_unknown_tasks_are_named(self, clone: Any, pair: tuple[str, str], registry: Registry) -> None:
        outcome = registry("compare", pair[0], "nobody", "ffffffffffffffffffffffffffffffff")
        assert (outcome.code, outcome.out) == (2, "")
        assert "no task 'nobody'" in outcome.err
        assert "no task ffffffffffffffffffffffffffffffff" in outcome.err

    def test_an_ambiguous_name_is_an_error_that_lists_ids(self, clone: Any, embedded: Server, registry: Registry) -> None:
        name = f"twin-{uuid.uuid4().hex[:6]}"
        twins = [run_on(embedded, name, {}, []) for _ in range(2)]
        outcome = registry("logs", name)
        assert outcome.code == 2
        assert all(twin in outcome.err for twin in twins)


def test_logs_come_in_order(clone: Any, pair: tuple[str, str], registry: Registry) -> None:
    assert registry("logs", pair[0]).lines == ["step 0", "step 1", "step 2"]
    assert registry("logs", pair[0], "--follow").lines == ["step 0", "step 1", "step 2"]  # it has ended


def test_the_end_of_a_log(clone: Any, embedded: Server, pair: tuple[str, str], registry: Registry) -> None:
    task = pair[0]
    assert registry("logs", task, "--tail", "2").lines == ["step 1", "step 2"]
    assert registry("logs", task, "-n", "9", "--follow").lines == ["step 0", "step 1", "step 2"]
    event = {"type": "log", "task": task, "level": "info", "worker": "w", "timestamp": int(time.time() * 1000) + 9}
    send_events(embedded, [{**event, "msg": "a\nb\nc\n"}])
    assert registry("logs", task, "--tail", "2").lines == ["b", "c"]  # lines are counted, not what the task sent at once
    assert registry("logs", task, "--tail", "0").code == 2


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

    monkeypatch.setattr("registry.tasks.watch.sleep", between_looks)
    assert registry("logs", task, "--follow").lines == [f"look {look}: {half}" for look in range(3) for half in ("one", "two")]


def test_a_log_is_followed_from_its_end(
    clone: Any, embedded: Server, queue: Queue, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    (task,) = registry("enqueue", "toy", "command=make", "--queue", queue.name).lines
    embedded.call("tasks.started", task=task)
    line, now = {"type": "log", "task": task, "level": "info", "worker": "w"}, int(time.time() * 1000)
    send_events(embedded, [{**line, "timestamp": now, "msg": f"before {number}"} for number in range(5)])

    def end(_: float) -> None:
        send_events(embedded, [{**line, "timestamp": now + 1, "msg": "after"}])
        embedded.call("tasks.completed", task=task)

    monkeypatch.setattr("registry.tasks.watch.sleep", end)
    assert registry("logs", task, "--follow", "--tail", "2").lines == ["before 3", "before 4", "after"]


class TestReasons:
    TOLD = "rank 0: ValueError: step 2 went wrong"

    @pytest.fixture
    def failed(self, clone: Any, server: LocalServer, embedded: Server) -> str:
        """A task whose run has reported why it failed, before its agent reported too."""
        body = {"name": f"failed-{uuid.uuid4().hex[:6]}", "type": "training", "project": embedded.project("clearml-example-project")}
        task = str(embedded.call("tasks.create", **body)["id"])
        embedded.call("tasks.started", task=task)
        tell(SimpleNamespace(session=embedded.session), task, self.TOLD)
        embedded.call("tasks.failed", task=task, status_reason=self.TOLD, status_message=self.TOLD)
        ends(server, task, 1)
        return task

    def test_status_and_logs_show_the_runs_own_reason(self, embedded: Server, failed: str, registry: Registry) -> None:
        assert embedded.task(failed)["status_reason"] == "worker execution exit code 1"
        assert re.search(rf"failed .* {self.TOLD}$", registry("status", failed).lines[1].rstrip())
        assert json.loads(registry("status", failed, "--json").out)[0]["reason"] == self.TOLD
        assert registry("logs", failed).err == f"{embedded.task(failed)['name']} ({failed}): failed: {self.TOLD}\n"

    def test_waiting_reports_the_reason(self, embedded: Server, failed: str) -> None:
        with pytest.raises(RunFailedError, match=re.escape(f"({failed}): failed: {self.TOLD}")):
            wait(embedded, [failed], Console(file=io.StringIO()))


def test_status_lists_the_newest_first(clone: Any, embedded: Server, pair: tuple[str, str], registry: Registry) -> None:
    listed = [task["id"] for task in json.loads(registry("status", "--json").out)]
    assert listed[:2] == [pair[1], pair[0]]
    assert embedded.task(pair[1])["name"] in registry("status").out
