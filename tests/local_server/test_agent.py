"""The real `clearml-task` and the real clearml-agent against the server."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support.events import OwnServer, wait_for
from support.server import LocalServer

QUEUE = "jobs"
QUICK = {"CLEARML_AGENT_QUEUE_POLL_FREQ_SEC": "0.5", "CLEARML_AGENT_SKIP_PYTHON_ENV_INSTALL": "1"}
JOB = """\
import sys
import time
from clearml import Task

task = Task.init(auto_resource_monitoring=False)
arguments = {key: value for key, value in task.get_parameters().items() if key.startswith("Args/")}
print("my arguments:", arguments, flush=True)
task.get_logger().report_scalar("done", "steps", 1.0, 1)
time.sleep(float(arguments.get("Args/sleep", 0)))
sys.exit(int(arguments.get("Args/code", 0)))
"""


@pytest.fixture(scope="module")
def environment(server: LocalServer) -> dict[str, str]:
    """For clients: quick agents that run tasks in this very environment and install nothing into it."""
    server.call("queues.create", name=QUEUE)
    return server.env | QUICK


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone, and beside it the bare repository that it was pushed to."""
    folder = tmp_path_factory.mktemp("git")
    clone = folder / "clone"

    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=nobody", "-c", "user.email=nobody@localhost", "-c", "init.defaultBranch=main")
        subprocess.run(["git", *identity, *arguments], check=True, capture_output=True)

    git("init", "--bare", str(folder / "remote.git"))
    git("clone", str(folder / "remote.git"), str(clone))
    (clone / "job.py").write_text(JOB)
    for step in (("checkout", "-B", "main"), ("add", "-A"), ("commit", "-m", "a job"), ("push", "-u", "origin", "main")):
        git("-C", str(clone), *step)
    return clone


def clearml_task(environment: dict[str, str], cwd: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and output of the command."""
    command = [str(Path(sys.executable).parent / "clearml-task"), "--project", "jobs", "--force-no-requirements", *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


def submit(server: LocalServer, environment: dict[str, str], repository: Path, name: str, *arguments: str) -> str:
    """A queued task's ID."""
    remote = repository.with_name("remote.git").as_uri()
    given = ("--repo", remote, "--branch", "main", "--script", "job.py", "--skip-task-init", "--queue", QUEUE)
    code, output = clearml_task(environment, repository.parent, "--name", name, *given, *(("--args", *arguments) if arguments else ()))
    assert code == 0, output
    found = re.search(r"New task created id=(\w+)", output)
    assert found is not None
    return found[1]


def task_of(server: LocalServer, identity: str) -> dict[str, Any]:
    task: dict[str, Any] = server.call("tasks.get_by_id", task=identity)["task"]
    return task


def log_of(server: LocalServer, identity: str) -> str:
    return "".join(event["msg"] for event in server.call("events.get_task_log", task=identity, batch_size=1000, order="asc")["events"])


def test_clearml_task_from_a_local_repository(server: LocalServer, environment: dict[str, str], repository: Path) -> None:
    code, output = clearml_task(environment, repository, "--name", "local", "--script", "job.py", "--args", "lr=1e-3", "--tags", "mine")
    assert code == 0, output
    (task,) = server.call("tasks.get_all", name="^local$")["tasks"]
    assert (task["status"], task["tags"], task["hyperparams"]["Args"]["lr"]["value"]) == ("created", ["mine"], "1e-3")
    script = task["script"]
    assert (script["repository"], script["entry_point"], script["branch"]) == (str(repository.with_name("remote.git")), "job.py", "main")
    assert len(script["version_num"]) == 40


def test_clearml_task_with_docker_and_queue(server: LocalServer, environment: dict[str, str], repository: Path) -> None:
    server.call("queues.create", name="never served")
    remote = repository.with_name("remote.git").as_uri()
    given = ("--repo", remote, "--branch", "main", "--script", "job.py", "--queue", "never served")
    code, output = clearml_task(
        environment, repository, "--name", "docker", *given, "--docker", "image:tag", "--docker_args=--ipc=host", "--skip-task-init"
    )
    assert code == 0, output
    (task,) = server.call("tasks.get_all", name="^docker$")["tasks"]
    assert task["status"] == "queued"
    assert (task["container"]["image"], task["container"]["arguments"]) == ("image:tag", "--ipc=host")
    queue = server.call("queues.get_by_id", queue=task["execution"]["queue"])["queue"]
    assert (queue["name"], [entry["task"] for entry in queue["entries"]]) == ("never served", [task["id"]])


def test_clearml_task_with_a_missing_queue_fails(environment: dict[str, str], repository: Path) -> None:
    remote = repository.with_name("remote.git").as_uri()
    given = ("--repo", remote, "--branch", "main", "--script", "job.py", "--skip-task-init", "--queue", "no such queue")
    code, output = clearml_task(environment, repository, "--name", "no queue", *given)
    assert code == 1
    assert "no such queue" in output


def start_agent(environment: dict[str, str], folder: Path, name: str) -> subprocess.Popen[bytes]:
    """An agent on the queue with a home of its own, in a session of its own."""
    home = folder / name
    home.mkdir()
    mine = {"HOME": str(home), "CLEARML_WORKER_ID": f"agent:{name}", "TMPDIR": str(home)}
    with (folder / f"{name}.log").open("wb") as log:
        command = [sys.executable, "-m", "clearml_agent", "daemon", "--queue", QUEUE, "--foreground"]
        return subprocess.Popen(command, env=environment | mine, stdout=log, stderr=log, cwd=home, start_new_session=True)


@pytest.fixture(scope="module")
def agents(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Two agents."""
    folder = tmp_path_factory.mktemp("agents")
    running = [start_agent(environment, folder, name) for name in ("one", "two")]
    yield
    for agent in running:
        os.killpg(agent.pid, signal.SIGTERM)
        try:
            agent.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(agent.pid, signal.SIGKILL)
            agent.wait()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.usefixtures("agents")
def test_two_agents_run_what_waits(server: LocalServer, environment: dict[str, str], repository: Path) -> None:
    """Success, exit code 3, an abort in the midst of a run, by either agent. Slow: an agent takes 10 s to start, and 5 s per task."""
    names = {"success": ("sleep=0", "lr=1e-3"), "failure": ("code=3",), "abort": ("sleep=300",), "another": ()}
    ids = {name: submit(server, environment, repository, name, *arguments) for name, arguments in names.items()}
    aborted = ids.pop("abort")

    wait_for(lambda: "my arguments" in log_of(server, aborted), 150)
    server.call("tasks.stop", task=aborted)
    wait_for(lambda: task_of(server, aborted)["status"] == "stopped", 60)
    wait_for(lambda: all(task_of(server, identity)["status"] in ("completed", "failed") for identity in ids.values()), 150)

    seen = {name: task_of(server, identity) for name, identity in ids.items()}
    statuses = {name: task["status"] for name, task in seen.items()}
    assert statuses == {"success": "completed", "failure": "failed", "another": "completed"}, log_of(server, ids["another"])
    assert "exit code 3" in seen["failure"]["status_reason"]
    assert {task["last_worker"] for task in seen.values()} | {task_of(server, aborted)["last_worker"]} == {"agent:one", "agent:two"}
    assert log_of(server, ids["success"]).count("my arguments: {'Args/sleep': '0', 'Args/lr': '1e-3'}") == 1
    assert server.call("events.scalar_metrics_iter_histogram", task=ids["success"])["done"]["steps"]["y"] == [1.0]
    queue = server.call("queues.get_all", name=f"^{QUEUE}$")["queues"][0]
    assert queue["entries"] == []
    assert {worker["id"] for worker in server.call("workers.get_all")["workers"]} >= {"agent:one", "agent:two"}


@pytest.fixture
def own_agent(tmp_path: Path) -> Iterator[Callable[[dict[str, str], str], subprocess.Popen[bytes]]]:
    """Starts agents that a test kills."""
    started: list[subprocess.Popen[bytes]] = []

    def start(environment: dict[str, str], name: str) -> subprocess.Popen[bytes]:
        started.append(start_agent(environment, tmp_path, name))
        return started[-1]

    yield start
    for agent in started:
        with suppress(ProcessLookupError):
            os.killpg(agent.pid, signal.SIGKILL)
        agent.wait()


@pytest.mark.slow
def test_agents_that_are_killed_lose_no_task_and_leave_none_running(
    own_server: OwnServer,
    own_agent: Callable[..., subprocess.Popen[bytes]],
    repository: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One right after it has taken the task, the next while it runs. Slow: each takes 10 s to start."""
    hold = tmp_path / "hold"
    hold.touch()
    monkeypatch.setenv("HOLD_STARTED", str(hold))
    server = own_server("own", "--start", "3", "--report", "8", "--middleware", "support.hold:middleware")
    queue = server.call("queues.create", name=QUEUE)["id"]
    environment = server.env | QUICK | {"CLEARML_AGENT_STATUS_REPORT_FREQ_SEC": "0.5"}
    task = submit(server, environment, repository, "orphan", "sleep=300")

    def waiting() -> int:
        return int(server.call("queues.get_num_entries", queue=queue)["num"])

    first = own_agent(environment, "first")
    wait_for(lambda: waiting() == 0)
    first.kill()
    wait_for(lambda: waiting() == 1)
    hold.unlink()  # that the task has started, its last word, comes when the task is not its own any more
    assert task_of(server, task)["status"] == "queued"
    second = own_agent(environment, "second")
    wait_for(lambda: "my arguments" in log_of(server, task), 120)
    assert (task_of(server, task)["last_worker"], waiting()) == ("agent:second", 0)
    second.kill()
    wait_for(lambda: task_of(server, task)["status"] == "stopped")
    assert task_of(server, task)["status_reason"] == "worker agent:second is gone: no report for 8 s"
