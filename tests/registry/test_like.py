"""`enqueue --like`: repeats a task with the same commit, image, data, queue and project, except for what is given."""

from __future__ import annotations

import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.command_line import Registry, git, parse_clearml_task

from registry.backends import Queue, Server, hyperparameters
from registry.enqueue import available
from registry.findings import Findings
from registry.image import Image
from registry.images.labels import ENVIRONMENT

pytestmark = pytest.mark.filterwarnings("ignore::pyparsing.warnings.PyparsingDeprecationWarning")  # of the SDK's
Task = dict[str, Any]
DATA = "dataset_id=s3://bucket/numbers"


def whole(server: Server, identifier: str) -> Task:
    found: Task = server.call("tasks.get_by_id", task=identifier)["task"]
    return found


@pytest.fixture
def earlier(clone: Path, embedded: Server, queue: Queue, registry: Registry) -> str:
    """A task of the commit before the one that is checked out."""
    (task,) = registry(
        *("enqueue", "toy", "--queue", queue.name, DATA, "steps=2", "pause=0.5", "--image", "toy:mine", "--tag", "first"),
        *("--project", f"Earlier/{uuid.uuid4().hex[:6]}", "--output-uri", "s3://bucket/results"),
    ).lines
    git(clone, "commit", "-q", "--allow-empty", "-m", "later")
    return task


def test_it_repeats_the_run_with_the_change(clone: Path, embedded: Server, queue: Queue, earlier: str, registry: Registry) -> None:
    outcome = registry("enqueue", "toy", "--like", earlier[:10], "steps=9")
    assert outcome.code == 0, outcome.err
    before, now = whole(embedded, earlier), whole(embedded, outcome.lines[0])
    for same in ("project", "type", "script", "container", "execution", "output"):
        assert now[same] == before[same]
    assert now["script"]["version_num"] == git(clone, "rev-parse", "HEAD~1")
    assert hyperparameters(now, "Args") == {"command": "train", "dataset_id": "s3://bucket/numbers", "steps": "9", "pause": "0.5"}
    assert (now["name"], now["tags"], now["status"]) == ("toy-train steps=9", [], "queued")


def test_given_options_replace_those_of_the_task(embedded: Server, earlier: str, registry: Registry) -> None:
    other = f"queue-{uuid.uuid4().hex[:8]}"
    embedded.create_queue(other)
    given = ["--queue", other, "--dataset", "s3://bucket/others", "--image", "latest", "--project", "Another one", "--name", "mine"]
    (task,) = registry("enqueue", "toy", "--like", earlier, *given, "--output-uri", "s3://elsewhere/results").lines
    now = whole(embedded, task)
    assert now["execution"]["queue"] == embedded.queues()[other].id
    assert hyperparameters(now, "Args")["dataset_id"] == "s3://bucket/others"
    assert now["container"]["image"] == "toy:latest"
    assert now["project"] == embedded.project("Another one")
    assert (now["name"], now["output"]["destination"]) == ("mine", "s3://elsewhere/results")


@pytest.mark.parametrize("option", [["--head"], ["--branch", "main"]])
def test_it_runs_the_current_code_with_head(clone: Path, embedded: Server, earlier: str, registry: Registry, option: list[str]) -> None:
    (task,) = registry("enqueue", "toy", "--like", earlier, *option).lines
    now = whole(embedded, task)
    assert now["script"]["version_num"] == git(clone, "rev-parse", "HEAD")
    assert now["container"]["image"] == "toy:mine"


def test_an_environment_image_is_reused_only_with_its_commit(clone: Path, embedded: Server, queue: Queue, registry: Registry) -> None:
    (earlier,) = registry("enqueue", "toy", "--queue", queue.name, DATA).lines
    (clone / "docker/toy/requirements.txt").write_text("another==1\n")
    git(clone, "commit", "-qam", "another environment")
    images = [
        whole(embedded, registry("enqueue", "toy", "--like", earlier, *more).lines[0])["container"]["image"] for more in ([], ["--head"])
    ]
    assert images[0] == whole(embedded, earlier)["container"]["image"]
    assert images[1] not in (images[0], "")


def test_an_image_is_compared_with_the_environment_of_its_commit(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The labels are set as an image registry would return them."""
    before = Image("toy", clone).environment
    commit = git(clone, "rev-parse", "HEAD")
    (clone / "docker/toy/requirements.txt").write_text("another==1\n")
    monkeypatch.setattr(available, "labels_of", lambda reference, here: {ENVIRONMENT: before})
    problems = []
    for held in (commit, None):
        findings = Findings()
        available.check_environment(Image("toy", clone), "host/team/toy:mine", held, "gpu01", SimpleNamespace(embedded=False), findings)  # type: ignore[arg-type]
        problems.append(findings.problems)
    assert problems[0] == []
    assert f"its environment is {before}, but the commit needs {Image('toy', clone).environment}" in problems[1][0]


def test_a_sweep_of_changes(embedded: Server, earlier: str, registry: Registry) -> None:
    tasks = registry("enqueue", "toy", "--like", earlier, "steps=3,4", "pause=1").lines
    assert [whole(embedded, task)["name"] for task in tasks] == ["toy-train steps=3 pause=1", "toy-train steps=4 pause=1"]


def test_a_dry_run_prints_its_command(clone: Path, queue: Queue, earlier: str, registry: Registry) -> None:
    (line,) = registry("enqueue", "toy", "--like", earlier, "steps=9", "--dry-run").lines
    said = parse_clearml_task(line)
    assert (said.commit, said.docker, said.queue) == (git(clone, "rev-parse", "HEAD~1"), "toy:mine", queue.name)
    assert said.args == ["command=train", DATA, "steps=9", "pause=0.5"]


def test_edits_of_a_cloned_task_are_taken_over(embedded: Server, queue: Queue, earlier: str, registry: Registry) -> None:
    clone = embedded.call("tasks.clone", task=earlier)["id"]
    edit = {"section": "Args", "name": "steps", "value": "7", "type": "str"}
    embedded.call("tasks.edit_hyper_params", task=clone, hyperparams=[edit])
    (task,) = registry("enqueue", "toy", "--like", clone, "--queue", queue.name).lines
    assert hyperparameters(whole(embedded, task), "Args")["steps"] == "7"


class TestChecks:
    def test_all_problems_are_reported_at_once(self, embedded: Server, earlier: str, registry: Registry) -> None:
        outcome = registry("enqueue", "toy", "--like", earlier, "stesp=3", "--queue", "nowhere", "--output-uri", "bucket")
        assert (outcome.code, outcome.out) == (2, "")
        for expected in ("did you mean steps?", "there is no queue 'nowhere'"):
            assert expected in outcome.err

    def test_a_missing_task(self, embedded: Server, registry: Registry) -> None:
        outcome = registry("enqueue", "toy", "--like", "nobody")
        assert outcome.err == "error: there is no task 'nobody': give an ID, the first characters of one (at least 4), or an exact name\n"

    def test_a_task_of_another_workload(self, embedded: Server, registry: Registry) -> None:
        other = embedded.call("tasks.create", name="other", type="training", script={"entry_point": "clearml_tasks/clip/clearml_train.py"})
        outcome = registry("enqueue", "toy", "--like", other["id"])
        assert (outcome.code, "--like " in outcome.err) == (2, True)
        assert "that task ran clearml_tasks/clip/clearml_train.py, not clearml_tasks/toy/clearml_train.py" in outcome.err

    @pytest.mark.parametrize(
        ("script", "told"),
        [
            ({"version_num": ""}, "that task names no commit; add --head"),
            ({"version_num": "f" * 40}, "commit ffffffffff is not in this clone; run git fetch"),
            ({"version_num": None, "diff": "--- a"}, "that task ran uncommitted changes"),
        ],
    )
    def test_code_that_is_no_longer_available(
        self, clone: Path, embedded: Server, queue: Queue, registry: Registry, script: dict[str, str | None], told: str
    ) -> None:
        script = {key: git(clone, "rev-parse", "HEAD") if value is None else value for key, value in script.items()}
        args = {"dataset_id": {"section": "Args", "name": "dataset_id", "value": "s3://bucket/numbers", "type": "str"}}
        body = {"name": "by hand", "type": "training", "hyperparams": {"Args": args}}
        task = embedded.call("tasks.create", **body, script={"entry_point": "clearml_tasks/toy/clearml_train.py", **script})["id"]
        outcome = registry("enqueue", "toy", "--like", task, "--queue", queue.name)
        assert (outcome.code, outcome.out) == (2, "")
        assert told in outcome.err
        assert registry("enqueue", "toy", "--like", task, "--queue", queue.name, "--head").code == 0

    def test_a_queue_that_no_longer_exists(self, embedded: Server, queue: Queue, earlier: str, registry: Registry) -> None:
        registry("stop", earlier)
        embedded.call("tasks.edit", task=earlier, force=True, execution={"queue": queue.id})
        embedded.call("queues.delete", queue=queue.id, force=True)
        assert "the queue of that task no longer exists; add --queue" in registry("enqueue", "toy", "--like", earlier).err

    @pytest.mark.parametrize("others", [["--smoke"], ["--resume", "abcd"], ["--head", "--branch", "main"]])
    def test_options_that_cannot_be_combined(self, clone: Path, registry: Registry, others: list[str]) -> None:
        outcome = registry("enqueue", "toy", "--like", "abcd", *others)
        assert (outcome.code, "cannot be combined" in outcome.err) == (2, True)

    def test_head_requires_like(self, clone: Path, registry: Registry) -> None:
        assert "--head requires --like" in registry("enqueue", "toy", "--head").err
