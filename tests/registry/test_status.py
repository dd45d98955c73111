"""`registry status`: which tasks it shows, and how they fit a terminal."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from support.command_line import Registry

from registry import console
from registry.backends import Server
from registry.commands.runs import RECENT
from registry.tasks.overview import CUT, ROOMY, table

pytestmark = pytest.mark.filterwarnings("ignore::pyparsing.warnings.PyparsingDeprecationWarning")  # of the SDK's
TOY = "clearml_tasks/toy/clearml_train.py"


@pytest.fixture
def project() -> str:
    return f"Status {uuid.uuid4().hex[:6]}"


@pytest.fixture
def tasks(clone: Path, embedded: Server, project: str) -> list[str]:
    """The newest last: two of the toy workload, one of which has run, and one of another workload in a subproject."""
    made = []
    for place, script, tags in (
        (project, TOY, ["a"]),
        (project, TOY, ["a", "b"]),
        (f"{project}/inner", "clearml_tasks/clip/clearml_train.py", []),
    ):
        body = {"name": f"task {len(made)}", "type": "training", "project": embedded.project(place), "tags": tags}
        made.append(str(embedded.call("tasks.create", **body, script={"entry_point": script})["id"]))
    embedded.call("tasks.started", task=made[1])
    return made


@pytest.fixture
def listed(registry: Registry, tasks: list[str], project: str) -> Any:
    """The indices in `tasks` of those that are shown with these filters."""

    def listed(*filters: str) -> list[int]:
        outcome = registry("status", "--json", *filters)
        assert outcome.code == 0, outcome.err
        return [tasks.index(task["id"]) for task in json.loads(outcome.out) if task["id"] in tasks]

    return listed


def test_a_project_includes_its_subprojects(listed: Any, project: str) -> None:
    assert listed("--project", project) == [2, 1, 0]
    assert listed("--project", f"{project}/inner") == [2]


def test_tags_must_all_match(listed: Any) -> None:
    assert listed("--tag", "a", "--limit", "500") == [1, 0]
    assert listed("--tag", "a", "--tag", "b") == [1]


def test_any_of_the_statuses_matches(listed: Any, project: str) -> None:
    assert listed("--project", project, "--status", "in_progress") == [1]
    assert listed("--project", project, "--status", "in_progress", "--status", "created") == [2, 1, 0]


def test_the_workload_filter(listed: Any, project: str) -> None:
    assert listed("--project", project, "--workload", "toy") == [1, 0]


def test_filters_cover_all_tasks_of_the_server(listed: Any, embedded: Server, project: str) -> None:
    """If they applied only to the newest twenty, old tasks would not be found."""
    for _ in range(RECENT):
        embedded.call("tasks.create", name="newer", type="training", script={"entry_point": "other.py"})
    assert listed() == []
    assert listed("--project", project) == [2, 1, 0]
    assert listed("--workload", "toy", "--tag", "b", "--limit", "1") == [1]


def test_the_limit(registry: Registry, tasks: list[str]) -> None:
    assert [task["id"] for task in json.loads(registry("status", "--limit", "1", "--json").out)] == [tasks[2]]


def test_unknown_names_are_reported_at_once_with_the_nearest_name(registry: Registry, tasks: list[str], project: str) -> None:
    outcome = registry("status", "--project", project.lower(), "--workload", "tyo")
    assert (outcome.code, outcome.out) == (2, "")
    assert f"there is no project {project.lower()!r} (did you mean {project}?)" in outcome.err
    assert "there is no workload 'tyo' (did you mean toy?)" in outcome.err
    assert "'quueed' is not one of" in registry("status", "--status", "quueed").err


def test_tasks_and_filters_cannot_be_combined(registry: Registry, tasks: list[str]) -> None:
    outcome = registry("status", tasks[0], "--limit", "3")
    assert (outcome.code, "cannot be combined" in outcome.err) == (2, True)


REASON = "rank 0: ValueError: the loss of step 12345 was not finite, and the last good checkpoint is that of step 12000"


def failed_task(**more: Any) -> dict[str, Any]:
    metrics = '{"main": "recall@1/image to text, averaged over all captions"}'
    item = {
        "metric": "recall@1",
        "variant": "image to text, averaged over all captions",
        "value": 0.123456,
        "min_value": 0.1,
        "max_value": 0.2,
    }
    other = {**item, "metric": "another", "variant": "scalar"}
    return {
        "id": "0123456789abcdef0123456789abcdef",
        "name": "clip-train-a-long-name optim.lr=1e-3 train.batch_size=512",
        "status": "failed",
        "status_reason": f"{REASON}\nand more",
        "started": "2026-01-01T00:00:00+00:00",
        "completed": "2026-01-01T01:02:00+00:00",
        "execution": {"queue": "q"},
        "hyperparams": {"properties": {"metrics": {"value": metrics}}},
        "last_metrics": {"m": {"v": item, "w": other}},
        **more,
    }


class TestTable:
    def printed(
        self, width: int | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *tasks: dict[str, Any]
    ) -> list[str]:
        monkeypatch.setattr(console, "terminal_width", lambda: width)
        console.print_table(*table(tasks, {"q": "gpu01"}, width), cut=CUT)
        return capsys.readouterr().out.splitlines()

    def test_at_80_columns_each_task_is_one_line_with_the_essentials(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        header, line = self.printed(80, monkeypatch, capsys, failed_task())
        assert header.split() == ["ID", "task", "status", "main", "metric", "time", "reason"]
        assert len(line) <= 80
        for whole in ("01234567 ", " failed ", " 0.1235 ", "1 h 02 min", "clip-train"):
            assert whole in line
        assert line.count("…") == 3

    def test_a_wide_terminal_gets_more(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        header, line = self.printed(ROOMY, monkeypatch, capsys, failed_task())
        assert header.split() == ["ID", "task", "status", "queue", "last", "scalars", "time", "reason"]
        assert (" gpu01 " in line, len(line) <= ROOMY) == (True, True)

    def test_a_file_gets_all_of_it(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        _, line = self.printed(None, monkeypatch, capsys, failed_task())
        for whole in (failed_task()["name"], REASON, "gpu01", "another/scalar=0.1235"):
            assert whole in line
        assert "and more" not in line

    def test_an_empty_column_is_left_out(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        queued = failed_task(status="queued", started=None, completed=None, last_metrics={})
        header, _ = self.printed(80, monkeypatch, capsys, queued)
        assert header.split() == ["ID", "task", "status"]

    def test_a_main_metric_that_is_no_longer_finite_is_marked(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        gone = {"name": "not_finite", "value": json.dumps({"recall@1/image to text, averaged over all captions": "since step 7"})}
        properties = {**failed_task()["hyperparams"]["properties"], "not_finite": gone}
        _, line = self.printed(80, monkeypatch, capsys, failed_task(hyperparams={"properties": properties}))
        assert " not finite" in line
