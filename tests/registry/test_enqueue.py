"""From the command line to tasks on a server: either the right tasks, or none and all the reasons."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from support.command_line import Registry, git, parse_clearml_task

from registry.backends import Queue, Server, hyperparameters
from registry.errors import ServerError

pytestmark = pytest.mark.filterwarnings("ignore::pyparsing.warnings.PyparsingDeprecationWarning")  # of the SDK's
Task = dict[str, Any]
NEVER_EQUAL = {"id", "created", "last_update", "last_change", "last_changed_by", "status_changed", "comment"}  # times and what holds one


def whole(server: Server, identifier: str) -> Task:
    found: Task = server.call("tasks.get_by_id", task=identifier)["task"]
    return found


def count(server: Server) -> int:
    return len(server.tasks(only_fields=["id"], search_hidden=True))


def dataset_on(server: Server, name: str, status: str = "completed") -> str:
    """A dataset as the SDK creates it, but without files."""
    project = server.project(f"[ClearML] public-dataset/.datasets/{name}")
    body = {"name": name, "type": "data_processing", "project": project, "system_tags": ["dataset"]}
    identifier = str(server.call("tasks.create", **body)["id"])
    server.call("tasks.started", task=identifier)
    if status == "completed":
        server.call("tasks.completed", task=identifier)
    return identifier


@pytest.fixture
def numbers(embedded: Server) -> str:
    return dataset_on(embedded, f"numbers-{uuid.uuid4().hex[:6]}")


def test_a_task_contains_everything_that_its_run_needs(
    clone: Path, embedded: Server, queue: Queue, numbers: str, registry: Registry
) -> None:
    outcome = registry("enqueue", "toy", "--queue", queue.name, "--dataset", numbers, "steps=2", "--tag", "first", "--image", "latest")
    assert outcome.code == 0, outcome.err
    (identifier,) = outcome.lines
    task = whole(embedded, identifier)
    assert (task["status"], task["type"], task["name"], task["tags"]) == ("queued", "training", "toy-train", ["first"])
    assert task["execution"]["queue"] == queue.id
    assert hyperparameters(task, "Args") == {"command": "train", "dataset_id": numbers, "steps": "2"}
    assert task["script"]["repository"] == clone.as_uri()
    assert task["script"]["version_num"] == git(clone, "rev-parse", "HEAD")
    assert task["script"]["entry_point"] == "clearml_tasks/toy/clearml_train.py"
    assert task["container"]["image"] == "toy:latest"


@pytest.mark.slow
def test_clearml_task_creates_the_same_task(
    clone: Path, server: Any, embedded: Server, queue: Queue, numbers: str, registry: Registry, store: Any
) -> None:
    """Starts clearml-task, whose SDK takes seconds to import. It writes to the store of the output URI."""
    arguments = ["enqueue", "toy", "--queue", queue.name, "--dataset", numbers, "steps=2", "pause=0.5", "--name", "it's the same"]
    arguments += ["--tag", "a", "--tag", "b c", "--project", f"same {uuid.uuid4().hex[:4]}"]
    arguments += ["--output-uri", f"s3://{store.bucket()}/results/"]
    (line,) = registry(*arguments, "--dry-run").lines
    (ours,) = registry(*arguments).lines
    command, environment = shlex.quote(str(Path(sys.executable).with_name("clearml-task"))), server.env | store.environment()
    done = subprocess.run(line.replace("clearml-task", command, 1), shell=True, env=environment, capture_output=True, text=True)
    found = re.search(r"New task created id=(\w+)", done.stdout)
    assert found, done.stdout + done.stderr

    def comparable(identifier: str) -> Task:
        task = whole(embedded, identifier)
        task["tags"] = sorted(task["tags"])
        task["comment_without_time"] = re.sub(r"[-\d]+ [:\d]+", "", task["comment"])
        return {key: value for key, value in task.items() if key not in NEVER_EQUAL}

    assert comparable(ours) == comparable(found[1])


def test_the_task_records_the_output_uri(embedded: Server, queue: Queue, numbers: str, registry: Registry) -> None:
    uri = "s3://look.alike:9000/bucket/results"
    (task,) = registry("enqueue", "toy", "--queue", queue.name, "--dataset", numbers, "--output-uri", uri).lines
    assert whole(embedded, task)["output"]["destination"] == uri
    (line,) = registry("enqueue", "toy", "--queue", queue.name, "--dataset", numbers, "--output-uri", uri, "--dry-run").lines
    assert parse_clearml_task(line).output_uri == uri


@pytest.mark.parametrize("uri", ["bucket/results", "s3://", "s3://look.alike:9000", "ftp://host/results", ""])
def test_an_output_uri_must_name_a_store(embedded: Server, queue: Queue, numbers: str, registry: Registry, uri: str) -> None:
    outcome = registry("enqueue", "toy", "--queue", queue.name, "--dataset", numbers, "--output-uri", uri)
    assert (outcome.code, outcome.out) == (2, "")
    assert f"--output-uri {uri}: must be s3://bucket/prefix or s3://host:port/bucket/prefix" in outcome.err


def test_a_sweep_creates_a_task_for_each_combination(embedded: Server, queue: Queue, numbers: str, registry: Registry) -> None:
    outcome = registry("enqueue", "toy", "--queue", queue.name, f"dataset_id={numbers}", "steps=1,2", "pause=0.1,0.2")
    tasks = [whole(embedded, identifier) for identifier in outcome.lines]
    assert [task["name"] for task in tasks] == [f"toy-train steps={steps} pause={pause}" for steps in "12" for pause in ("0.1", "0.2")]
    queued = embedded.call("queues.get_all", id=[queue.id])["queues"][0]["entries"]
    assert [entry["task"] for entry in queued] == outcome.lines


def test_all_problems_are_reported_together_and_no_task_is_created(
    clone: Path, embedded: Server, queue: Queue, numbers: str, registry: Registry
) -> None:
    before = count(embedded)
    outcome = registry(
        *("enqueue", "toy", "--queue", queue.name.upper(), "--dataset", "nubmers", "--project", "x", "--branch", "nowhere"),
        *("stepps=1,2", "pause=fast"),
    )
    assert (outcome.code, outcome.out) == (2, "")
    expected = [
        f"there is no queue '{queue.name.upper()}'",
        "there is no branch 'nowhere'",
        "there is no such key (did you mean steps?)",
        "pause=fast",
        "'nubmers'",
    ]
    for message in expected:
        assert outcome.err.count(message) == 1, outcome.err
    assert count(embedded) == before


def test_drafts_are_deleted_if_the_server_fails_halfway(
    clone: Path, embedded: Server, queue: Queue, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise ServerError("the disk is full")

    before = count(embedded)
    monkeypatch.setattr(Server, "enqueue", refuse)
    outcome = registry("enqueue", "toy", "command=make", "n=1,2,3", "--queue", queue.name)
    assert (outcome.code, outcome.out, outcome.err.splitlines()[-1]) == (1, "", "error: the disk is full")
    assert count(embedded) == before


def test_a_run_without_its_environment_or_commit_is_refused(
    clone: Path, embedded: Server, queue: Queue, numbers: str, registry: Registry
) -> None:
    before = count(embedded)
    unfinished = dataset_on(embedded, f"half-{uuid.uuid4().hex[:6]}", status="in_progress")
    (clone / ".venvs/toy/bin/python").unlink()
    outcome = registry("enqueue", "toy", "--queue", queue.name, "--dataset", unfinished, "--project", "x", "--name", "y", "resume=00ff00ff")
    assert (outcome.code, outcome.out) == (2, "")
    for message in (
        "is not finished: its status is in_progress",
        "project name 'x'",
        "task name 'y'",
        "make env/toy",
        "no task '00ff00ff'",
    ):
        assert message in outcome.err
    assert count(embedded) == before + 1  # the dataset


class TestDataset:
    def test_a_name_becomes_the_id_of_the_newest_finished_version(self, embedded: Server, queue: Queue, registry: Registry) -> None:
        name = f"numbers-{uuid.uuid4().hex[:6]}"
        dataset_on(embedded, name)
        newest = dataset_on(embedded, name)
        dataset_on(embedded, name, status="in_progress")
        (task,) = registry("enqueue", "toy", "--queue", queue.name, "--dataset", name).lines
        assert hyperparameters(whole(embedded, task), "Args")["dataset_id"] == newest

    def test_the_error_for_a_missing_alias_says_how_to_make_it(self, embedded: Server, queue: Queue, registry: Registry) -> None:
        outcome = registry("enqueue", "toy", "--queue", queue.name, "--dataset", "tabletop-pairs")
        assert outcome.code == 2
        assert "registry dataset ensure tabletop-pairs" in outcome.err

    def test_a_typo_is_answered_with_the_nearest_name(self, embedded: Server, queue: Queue, registry: Registry) -> None:
        outcome = registry("enqueue", "toy", "--queue", queue.name, "--dataset", "tabletop-pears")
        assert "did you mean tabletop-pairs?" in outcome.err

    def test_a_reference_to_a_tasks_dataset_uses_the_full_task_id(self, embedded: Server, queue: Queue, registry: Registry) -> None:
        (maker,) = registry("enqueue", "toy", "--queue", queue.name, "command=make").lines
        (task,) = registry("enqueue", "toy", "--queue", queue.name, "--dataset", f"task:{maker[:12]}").lines
        assert hyperparameters(whole(embedded, task), "Args")["dataset_id"] == f"task:{maker}"


def test_smoke_steps_follow_each_other(embedded: Server, queue: Queue, registry: Registry) -> None:
    make, train = registry("enqueue", "toy", "--smoke", "--queue", queue.name, "steps=7", "seed=3").lines
    assert hyperparameters(whole(embedded, make), "Args") == {"command": "make", "n": "3", "seed": "3"}
    assert hyperparameters(whole(embedded, train), "Args") == {"command": "train", "dataset_id": f"task:{make}", "steps": "7", "seed": "3"}


def test_a_smoke_step_can_start_from_an_earlier_steps_weights(clone: Path, embedded: Server, queue: Queue, registry: Registry) -> None:
    declaration = clone / "clearml_tasks/toy/workload.yaml"
    declaration.write_text(declaration.read_text().replace('"task:make"', '"task:make", init_from: "task:make"'))
    make, train = registry("enqueue", "toy", "--smoke", "--queue", queue.name).lines
    assert hyperparameters(whole(embedded, train), "Args")["init_from"] == f"task:{make}"
    (later,) = registry("enqueue", "toy", "--queue", queue.name, "command=make", f"init_from=task:{make[:12]}").lines
    assert hyperparameters(whole(embedded, later), "Args")["init_from"] == f"task:{make}"


class TestResume:
    def test_it_combines_the_tasks_arguments_with_the_given_ones(
        self, embedded: Server, queue: Queue, numbers: str, registry: Registry
    ) -> None:
        (first,) = registry("enqueue", "toy", "--queue", queue.name, "--dataset", numbers, "steps=2", "pause=0.1").lines
        (second,) = registry("enqueue", "toy", "--queue", queue.name, "--resume", first[:10], "steps=9").lines
        expected = {"command": "train", "dataset_id": numbers, "pause": "0.1", "steps": "9", "resume": first}
        assert hyperparameters(whole(embedded, second), "Args") == expected

    def test_a_task_of_another_workload_is_refused(self, embedded: Server, queue: Queue, registry: Registry) -> None:
        other = embedded.call("tasks.create", name="other", type="training", script={"entry_point": "clearml_tasks/clip/clearml_train.py"})
        outcome = registry("enqueue", "toy", "--queue", queue.name, "--resume", other["id"])
        assert outcome.code == 2
        assert "that task ran clearml_tasks/clip/clearml_train.py" in outcome.err


def test_uncommitted_changes_are_a_warning(clone: Path, embedded: Server, queue: Queue, numbers: str, registry: Registry) -> None:
    (clone / "configs/toy/new idea.yaml").write_text("steps: 3")
    outcome = registry("enqueue", "toy", "--queue", queue.name, "--dataset", numbers)
    assert outcome.code == 0
    assert "warning: uncommitted changes are not part of the run" in outcome.err
    assert "new idea.yaml" in outcome.err


@pytest.mark.parametrize("server_is", ["embedded", "none"])
@pytest.mark.parametrize("name", ["clearml_tasks/toy/workload.yaml", "clearml_tasks/toy/clearml_train.py", "configs/toy/smoke.yaml"])
def test_a_file_missing_from_the_commit_is_an_error_before_a_task_exists(
    clone: Path, embedded: Server, queue: Queue, registry: Registry, monkeypatch: pytest.MonkeyPatch, name: str, server_is: str
) -> None:
    git(clone, "rm", "-q", "--cached", name)
    git(clone, "commit", "-qm", "without it")
    before = count(embedded)
    if server_is == "none":
        monkeypatch.delenv("CLEARML_CONFIG_FILE")
        monkeypatch.setenv("REGISTRY_HOME", str(clone / "nowhere"))
        monkeypatch.setenv("HOME", str(clone))
    outcome = registry("enqueue", "toy", "dataset_id=task:make", "config=smoke", "--queue", queue.name, "--smoke", "--dry-run")
    assert (outcome.code, outcome.out) == (2, "")
    commit = git(clone, "rev-parse", "HEAD")[:10]
    assert f"{name} is not in commit {commit}, so agents will not have it; run: git add '{name}' && git commit" in outcome.err
    assert count(embedded) == before


@pytest.mark.usefixtures("queue")
class TestFilesHere:
    """The embedded server's agents are on this machine, and start in a clone of the commit."""

    @pytest.fixture
    def dry(self, queue: Queue, registry: Registry) -> Registry:
        return lambda *arguments: registry("enqueue", "toy", "--queue", queue.name, *arguments, "--dry-run")

    @pytest.mark.parametrize("key", ["dataset_path", "init_from", "resume"])
    def test_missing_files_are_refused(self, tmp_path: Path, dry: Registry, key: str) -> None:
        data = [] if key == "dataset_path" else ["dataset_id=s3://bucket/numbers"]
        (tmp_path / "there").mkdir()
        (tmp_path / "there/numbers.txt").write_text("1")
        assert dry(*data, f"{key}={tmp_path}/there").code == 0
        outcome = dry(*data, f"{key}={tmp_path}/step=00000001.ckpt")
        assert outcome.code == 2
        assert f"error: {key}={tmp_path}/step=00000001.ckpt: there is no such f" in outcome.err
        assert "on this machine, where the agents run" in outcome.err

    def test_a_relative_path_starts_in_the_clone_of_the_commit(self, clone: Path, dry: Registry) -> None:
        (clone / "outputs").mkdir()
        assert dry("dataset_path=configs/toy").code == 0
        outcome = dry("dataset_path=outputs")
        assert (outcome.code, "give the absolute path" in outcome.err) == (2, True)

    def test_data_must_be_a_folder_that_is_not_empty(self, tmp_path: Path, dry: Registry) -> None:
        (tmp_path / "empty").mkdir()
        (tmp_path / "file").touch()
        for name in ("empty", "file"):
            outcome = dry(f"dataset_path={tmp_path}/{name}")
            assert outcome.err.count(f"dataset_path={tmp_path}/{name}: it is not a folder, or it is empty") == 1

    def test_with_a_dataset_the_path_need_not_exist(self, dry: Registry) -> None:
        assert dry("dataset_id=s3://bucket/numbers", "dataset_path=/nowhere/yet").code == 0

    @pytest.mark.parametrize(
        ("typed", "told"),
        [
            ("seed=-1", "seed=-1: must be at least 0"),
            ("pause=1e-3,", "'pause=1e-3,' cannot be read: write pause=1e-3"),
            ("pause＝1e-3", "'pause＝1e-3' cannot be read: write pause=1e-3"),
            ("PAUSE=1", "PAUSE: there is no such key (did you mean pause?)"),
            ("-m", "-m (--multirun) is not needed: key=a,b makes two runs"),
            ("--multirun", "-m (--multirun) is not needed: key=a,b makes two runs"),
        ],
    )
    def test_typos_are_answered_with_the_nearest_valid_form(self, dry: Registry, typed: str, told: str) -> None:
        outcome = dry("dataset_id=s3://bucket/numbers", typed)
        assert (outcome.code, outcome.out) == (2, "")
        assert f"error: {told}\n" in outcome.err


def test_rejected_keys_are_a_one_line_error(clone: Path, server: Any, tmp_path: Path) -> None:
    environment = {**server.env, "CLEARML_API_SECRET_KEY": "wrong", "CLEARML_API_ACCESS_KEY": "wrong"}
    done = subprocess.run([sys.executable, "-m", "registry", "status"], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert "rejects the keys (401)" in line


class TestWaiting:
    @pytest.fixture
    def waiting(self, clone: Path, server: Any, embedded: Server, queue: Queue, numbers: str) -> tuple[subprocess.Popen[str], str]:
        argv = [sys.executable, "-m", "registry", "enqueue", "toy", "--queue", queue.name, "--dataset", numbers, "--wait"]
        path = os.pathsep.join([str(clone / "clearml_tasks/toy"), os.environ.get("PYTHONPATH", "")])
        child = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path})
        assert child.stdout is not None
        return child, child.stdout.readline().strip()

    def test_it_ends_with_the_task(self, waiting: tuple[subprocess.Popen[str], str], embedded: Server) -> None:
        child, task = waiting
        embedded.call("tasks.started", task=task)
        time.sleep(2)
        embedded.call("tasks.completed", task=task)
        _, err = child.communicate(timeout=60)
        assert child.returncode == 0
        assert [line for line in err.splitlines() if f"({task[:8]}): " in line][-2:] == [
            f"toy-train ({task[:8]}): in_progress",
            f"toy-train ({task[:8]}): completed",
        ]

    def test_a_failure_is_reported_with_the_end_of_the_log(self, waiting: tuple[subprocess.Popen[str], str], embedded: Server) -> None:
        child, task = waiting
        embedded.call("tasks.started", task=task)
        event = {"type": "log", "task": task, "level": "info", "worker": "w", "timestamp": int(time.time() * 1000), "msg": "out of luck"}
        embedded.session.send_request("events", "add_batch", data=json.dumps(event) + "\n", headers={"Content-Type": "application/json"})
        embedded.call("tasks.failed", task=task, status_reason="exit code 3", status_message="it broke")
        _, err = child.communicate(timeout=60)
        assert child.returncode == 1
        for expected in ("failed: exit code 3; it broke", "    out of luck"):
            assert expected in err

    def test_an_interrupt_leaves_the_task_running(self, waiting: tuple[subprocess.Popen[str], str], embedded: Server) -> None:
        child, task = waiting
        assert child.stderr is not None
        while "queued" not in child.stderr.readline():
            assert child.poll() is None
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=60)
        assert child.returncode == 130
        assert task in err
        assert whole(embedded, task)["status"] == "queued"
