"""`registry agent` with the real clearml-agent, for a server that is configured as a team's is: by variables, and none of `registry up`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.command_line import Outcome, git
from support.events import wait_for
from support.server import LocalServer

from registry import processes
from registry.supervisor import MARK

QUEUE = "team"
Command = Callable[..., Outcome]


@pytest.fixture
def environment(server: LocalServer, clone: Path, tmp_path: Path) -> dict[str, str]:
    """A person's, on a machine of the team: the server's addresses and keys, a clone whose commits are pushed."""
    python = clone / ".venvs/toy/bin/python"
    python.unlink()
    python.symlink_to(sys.executable)
    git(clone, "clone", "-q", "--bare", str(clone), str(tmp_path / "remote.git"))
    git(clone, "remote", "add", "origin", (tmp_path / "remote.git").as_uri())
    git(clone, "fetch", "-q", "origin")
    (tmp_path / "user").mkdir()
    access_key, secret_key = server.keys
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("CLEARML_", "HARNESS_"))}
    return mine | {
        "CLEARML_API_HOST": server.url,
        "CLEARML_WEB_HOST": server.url,
        "CLEARML_FILES_HOST": server.files_url,
        "CLEARML_API_ACCESS_KEY": access_key,
        "CLEARML_API_SECRET_KEY": secret_key,
        "REGISTRY_HOME": str(tmp_path / "home"),
        "HARNESS_ENVS": str(clone / ".venvs"),
        "HOME": str(tmp_path / "user"),
        "PYTHONPATH": str(clone / "clearml_tasks/toy"),
        "CLEARML_AGENT_QUEUE_POLL_FREQ_SEC": "0.5",
    }


@pytest.fixture
def command(environment: dict[str, str], clone: Path) -> Command:
    """`registry ...` as a process of its own."""

    def run(*arguments: str, **variables: str) -> Outcome:
        argv = [sys.executable, "-m", "registry", *arguments]
        done = subprocess.run(argv, env=environment | variables, cwd=clone, capture_output=True, text=True, timeout=200)
        return Outcome(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def agent(server: LocalServer, environment: dict[str, str], clone: Path, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`registry agent` on a queue, once the server lists it."""
    if QUEUE not in [queue["name"] for queue in server.call("queues.get_all")["queues"]]:
        server.call("queues.create", name=QUEUE)
    argv = [sys.executable, "-m", "registry", "agent", "--queue", QUEUE]
    with (tmp_path / "agent.log").open("wb") as log:
        process = subprocess.Popen(argv, env=environment, cwd=clone, stdout=log, stderr=log, start_new_session=True)
    wait_for(lambda: workers(server) or process.poll() is not None, 60)
    assert process.poll() is None, (tmp_path / "agent.log").read_text()
    yield process
    process.kill()
    process.wait()
    for pid in left(tmp_path):
        os.kill(pid, signal.SIGKILL)


def workers(server: LocalServer) -> list[str]:
    return [worker["id"] for worker in server.call("workers.get_all")["workers"] if worker["id"].endswith("-agent-1")]


def left(tmp_path: Path) -> set[int]:
    """The processes that the agent of this test started and that live."""
    return set(processes.marked(MARK, [str(tmp_path / "home/agents/agent-1")]))


def task_of(server: LocalServer, task: str) -> dict[str, Any]:
    found: dict[str, Any] = server.call("tasks.get_by_id", task=task)["task"]
    return found


def log_of(server: LocalServer, task: str) -> str:
    return "".join(event["msg"] for event in server.call("events.get_task_log", task=task, batch_size=1000, order="asc")["events"])


@pytest.mark.slow
def test_it_runs_tasks_and_ends_with_the_one_that_it_runs(
    server: LocalServer, command: Command, agent: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    """An agent takes 5 s to start, and a task 6."""
    (made,) = command("enqueue", "toy", "--queue", QUEUE, "command=make", "n=3", "--wait").lines
    assert task_of(server, made)["status"] == "completed"

    (tmp_path / "numbers.txt").write_text("1 2")
    (task,) = command("enqueue", "toy", "--queue", QUEUE, f"dataset_path={tmp_path}", "steps=600", "pause=0.5").lines
    (waiting,) = command("enqueue", "toy", "--queue", QUEUE, "command=make").lines
    wait_for(lambda: "rank 0 of 1: step 2" in log_of(server, task), 60)
    agent.terminate()
    assert agent.wait(60) == 0
    assert left(tmp_path) == set()
    assert "stopped: stopped by SIGTERM; the last checkpoint is kept" in command("status", task).out  # in the run's own words
    assert task_of(server, waiting)["status"] == "queued"
    assert workers(server) == []
    kept = {path.name for path in (tmp_path / "home/agents/agent-1").iterdir()}
    assert kept.isdisjoint({"clearml.conf", "tmp"}), "the keys are left behind"


def test_all_that_an_agent_lacks_is_told_at_once(server: LocalServer, command: Command, tmp_path: Path) -> None:
    lacking = {"HARNESS_ENVS": str(tmp_path / "nowhere"), "REGISTRY_HOME": str(tmp_path / "a home"), "PATH": "/usr/bin:/bin"}
    outcome = command("agent", "--queue", "tema", "--queue", "other", "--gpus", "7", **lacking)
    assert (outcome.code, outcome.out) == (2, "")
    for problem in (
        "5 problems",
        "there is no queue 'tema'",
        "make it: registry queue create other",
        f"no image's environment is built in {tmp_path}/nowhere",
        "no white space",
        "--gpus 7: this machine has no GPU",
    ):
        assert problem in outcome.err
    assert not (tmp_path / "a home").exists()


def test_a_server_and_an_engine_that_do_not_answer_are_told_together(command: Command) -> None:
    gone = {"CLEARML_API_HOST": "http://127.0.0.1:9", "DOCKER_HOST": "tcp://127.0.0.1:9"}
    outcome = command("agent", "--queue", QUEUE, "--docker", **gone)
    assert outcome.code == 2
    assert "no answer from the ClearML server at http://127.0.0.1:9" in outcome.err
    assert "docker" in outcome.err
    assert "2 problems" in outcome.err


def test_a_queue_without_an_agent_is_told_with_the_command_that_serves_it(server: LocalServer, command: Command) -> None:
    server.call("queues.create", name="lonely")
    outcome = command("enqueue", "toy", "--queue", "lonely", "command=make")
    assert outcome.code == 0, outcome.err
    assert "no agent serves queue 'lonely' at the moment; start one: registry agent --queue lonely, on any machine" in outcome.err
