"""`registry agent` with the real clearml-agent, for a server that is configured by variables, like a team's."""

from __future__ import annotations

import os
import secrets
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import hollow
from support.command_line import git
from support.engine import engine, missing, search_path
from support.events import wait_for
from support.registry_process import Command, command_in, end_of, ended, environment_of, left
from support.server import LocalServer
from support.stranger import readable

from registry.environment import ROOT, cache_folder, layer_named

QUEUE = "team"
ENDED = ("stopped", "stopped by SIGTERM; the last checkpoint is kept")  # a run's own words
SECRET = secrets.token_hex(20)  # as a key of S3
AGENT = "home/agents/agent-1"


@pytest.fixture
def environment(server: LocalServer, clone: Path, tmp_path: Path) -> dict[str, str]:
    """The environment of a team member: the server's addresses and keys, and a clone whose commits are pushed."""
    git(clone, "clone", "-q", "--bare", str(clone), str(tmp_path / "remote.git"))
    git(clone, "remote", "add", "origin", (tmp_path / "remote.git").as_uri())
    git(clone, "fetch", "-q", "origin")
    access_key, secret_key = server.keys
    return environment_of(clone, tmp_path) | {
        "CLEARML_API_HOST": server.url,
        "CLEARML_WEB_HOST": server.url,
        "CLEARML_FILES_HOST": server.files_url,
        "CLEARML_API_ACCESS_KEY": access_key,
        "CLEARML_API_SECRET_KEY": secret_key,
        "CLEARML_AGENT_QUEUE_POLL_FREQ_SEC": "0.5",
    }


@pytest.fixture
def command(environment: dict[str, str], clone: Path) -> Command:
    """`registry ...` as a separate process."""
    return command_in(clone, environment)


Started = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(server: LocalServer, environment: dict[str, str], clone: Path, tmp_path: Path) -> Iterator[Started]:
    """Starts `registry agent` on a queue and waits until the server lists it."""
    if QUEUE not in [queue["name"] for queue in server.call("queues.get_all")["queues"]]:
        server.call("queues.create", name=QUEUE)

    def start(*options: str) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-m", "registry", "agent", "--queue", QUEUE, *options]
        with (tmp_path / "agent.log").open("wb") as log:
            process = subprocess.Popen(argv, env=environment, cwd=clone, stdout=log, stderr=log, start_new_session=True)
        started.append(process)
        wait_for(lambda: workers(server) or process.poll() is not None, 60)
        assert process.poll() is None, (tmp_path / "agent.log").read_text()
        return process

    with ended(tmp_path / AGENT) as started:
        yield start


@pytest.fixture
def numbers(tmp_path: Path) -> str:
    """Data for the toy workload, as an argument."""
    (tmp_path / "numbers.txt").write_text("1 2")
    return f"dataset_path={tmp_path}"


def workers(server: LocalServer) -> list[str]:
    return [worker["id"] for worker in server.call("workers.get_all")["workers"] if worker["id"].endswith("-agent-1")]


def task_of(server: LocalServer, task: str) -> dict[str, Any]:
    found: dict[str, Any] = server.call("tasks.get_by_id", task=task)["task"]
    return found


def log_of(server: LocalServer, task: str) -> str:
    return "".join(event["msg"] for event in server.call("events.get_task_log", task=task, batch_size=1000, order="asc")["events"])


@pytest.mark.slow
def test_an_agent_runs_tasks_and_ends_together_with_its_task(
    server: LocalServer, command: Command, start: Started, numbers: str, tmp_path: Path
) -> None:
    """An agent takes 5 s to start, and a task 6."""
    agent = start()
    (made,) = command("enqueue", "toy", "--queue", QUEUE, "command=make", "n=3", "--wait").lines
    assert task_of(server, made)["status"] == "completed"

    (task,) = command("enqueue", "toy", "--queue", QUEUE, numbers, "steps=600", "pause=0.5").lines
    (waiting,) = command("enqueue", "toy", "--queue", QUEUE, "command=make").lines
    wait_for(lambda: "rank 0 of 1: step 2" in log_of(server, task), 60)
    agent.terminate()
    assert agent.wait(60) == 0
    assert left(tmp_path / AGENT) == set()
    assert end_of(command, task) == ENDED
    assert task_of(server, waiting)["status"] == "queued"
    server.call("tasks.dequeue", task=waiting)
    assert workers(server) == []
    kept = {path.name for path in (tmp_path / AGENT).iterdir()}
    assert kept.isdisjoint({"clearml.conf", "tmp"}), "the keys are left behind"


@pytest.fixture
def containers(environment: dict[str, str], clone: Path, tmp_path: Path) -> Iterator[str]:
    """A real engine, and an empty image: this machine's programs are mounted into its containers."""
    if lacking := missing():
        pytest.skip(f"an engine cannot be started without {', '.join(lacking)}")
    python = layer_named("testing").python  # not this one: clearml-agent accepts no blank in LOCAL_PYTHON, and a clone's path may have one
    path = os.pathsep.join([environment["PYTHONPATH"], str(ROOT / "src")])
    variables = {"HOME": "/home", "LOCAL_PYTHON": str(python), "PYTHONPATH": path}
    arguments = hollow.mounts(cache_folder() / "envs", ROOT, clone.parent)
    arguments += [f"--env={name}={value}" for name, value in variables.items()]
    with engine(tmp_path / "engine", tmp_path) as socket:
        environment |= {
            "DOCKER_HOST": f"unix://{socket}",
            "PATH": search_path(),
            "CLEARML_AGENT_EXTRA_DOCKER_ARGS": shlex.join(arguments),
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }
        hollow.make(tmp_path, environment)
        yield hollow.IMAGE


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_agent_runs_tasks_in_containers(
    server: LocalServer, environment: dict[str, str], command: Command, containers: str, start: Started, numbers: str, tmp_path: Path
) -> None:
    """An engine takes 3 s to start, an agent 5 and a task 10. No key is visible on docker's command line or in a readable file."""
    agent = start("--docker")
    (task,) = command("enqueue", "toy", "--queue", QUEUE, "--image", containers, numbers, "steps=600", "pause=0.5").lines
    wait_for(lambda: "rank 0 of 1: step 2" in log_of(server, task) or task_of(server, task)["status"] == "failed", 240)
    assert task_of(server, task)["status"] == "in_progress", log_of(server, task)
    keys = [SECRET, server.keys[1]]
    assert readable(keys, []) == []
    temporary = (tmp_path / AGENT / "tmp").resolve()
    assert readable(keys, [temporary]) == []
    (configuration,) = (path for path in readable(keys, [temporary], uid=0) if not path.startswith("/proc"))
    assert configuration.endswith(".cfg")  # what is mounted as the container's clearml.conf

    agent.terminate()
    assert agent.wait(60) == 0
    assert end_of(command, task) == ENDED
    assert subprocess.run(["docker", "ps", "--all", "--quiet"], env=environment, capture_output=True, check=True).stdout == b""
    assert not temporary.exists()


def test_everything_that_an_agent_lacks_is_reported_at_once(server: LocalServer, command: Command, tmp_path: Path) -> None:
    lacking = {"HARNESS_ENVS": str(tmp_path / "nowhere"), "REGISTRY_HOME": str(tmp_path / "a home"), "PATH": "/usr/bin:/bin"}
    outcome = command("agent", "--queue", "tema", "--queue", "other", "--gpus", "7", **lacking)
    assert (outcome.code, outcome.out) == (2, "")
    for problem in (
        "5 problems",
        "there is no queue 'tema'",
        "create it: registry queue create other",
        f"no environment is built in {tmp_path}/nowhere",
        "no white space",
        "--gpus 7: nvidia-smi finds no GPU",
    ):
        assert problem in outcome.err
    assert not (tmp_path / "a home").exists()


def test_an_unreachable_server_and_engine_are_reported_together(command: Command) -> None:
    gone = {"CLEARML_API_HOST": "http://127.0.0.1:9", "DOCKER_HOST": "tcp://127.0.0.1:9", "CLEARML_AUTH_TOKEN": "a token"}
    outcome = command("agent", "--queue", QUEUE, "--docker", **gone)
    assert outcome.code == 2
    assert "the ClearML server at http://127.0.0.1:9 does not answer" in outcome.err
    assert "the container engine at tcp://127.0.0.1:9 does not respond" in outcome.err
    assert "CLEARML_AUTH_TOKEN would be visible on docker's command line" in outcome.err
    assert "3 problems" in outcome.err


def test_the_warning_about_an_unserved_queue_names_the_command(server: LocalServer, command: Command) -> None:
    server.call("queues.create", name="lonely")
    outcome = command("enqueue", "toy", "--queue", "lonely", "command=make")
    assert outcome.code == 0, outcome.err
    assert "no agent serves queue 'lonely' at the moment; start one with: registry agent --queue lonely (on any machine)" in outcome.err
