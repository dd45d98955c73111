"""Agents with --docker of an ordinary user, as whom the containers run; and the fate of containers whose agent is killed.

Slow, since tasks run in containers: two minutes for all of this file, the image being built.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from support.engine import Containers, base_for
from support.events import wait_for
from support.ordinary import USER, Ordinary, ordinary

from registry.agents import processes
from registry.agents.agent import worker_id
from registry.agents.container import of
from registry.agents.supervisor import children_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

RENDER = ("command=render", "config=pairs")
ENDED = ("completed", "stopped", "failed")
AGENTS = 10
APART = 0.8
"""Seconds between the deaths of two agents, in terms of their containers' lifetimes."""


@pytest.fixture(scope="module")
def user(there: Containers, built: Callable[[str], None]) -> Iterator[Ordinary]:
    built("tabletop")
    with ordinary(there) as user:
        user.environment["BASE_IMAGE"] = base_for("tabletop", there)
        yield user


@pytest.fixture(autouse=True)
def client(there: Containers, user: Ordinary, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code in this process that looks for containers uses the tests' engine and the user's agents."""
    monkeypatch.setenv("DOCKER_HOST", there.environment["DOCKER_HOST"])
    monkeypatch.setenv("PATH", there.environment["PATH"])
    monkeypatch.setenv("REGISTRY_HOME", str(user.state))


def states(user: Ordinary, tasks: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Status and reason of tasks."""
    found = json.loads(user.registry("status", *tasks, "--json"))
    return {task["id"]: (task["status"], task["reason"]) for task in found}


def all_ended(user: Ordinary, tasks: Sequence[str]) -> dict[str, tuple[str, str]] | None:
    found = states(user, tasks)
    return found if all(status in ENDED for status, _ in found.values()) else None


def test_a_task_runs_as_the_user_and_leaves_nothing_that_the_user_cannot_delete(user: Ordinary) -> None:
    user.registry("up", "--docker", "--port", "0")
    task = user.registry("enqueue", "tabletop", *RENDER, "n=8", "--wait")
    log = user.registry("logs", task)
    assert f"--user={USER}:{USER}" in log
    assert "Process completed successfully" in log
    user.registry("down")
    assert user.state.exists()
    assert user.not_theirs() == []
    user.run("rm", "-r", str(user.state))


def test_an_agent_of_a_teams_server_runs_tasks_in_containers_that_write_only_to_tmp(user: Ordinary, tmp_path: Path) -> None:
    """`registry agent --docker` with its user's own arguments for `docker run`; the server is configured by variables, like a team's."""
    user.registry("up", "--agents", "0", "--port", "0")
    more = {"CLEARML_CONFIG_FILE": str(user.state / "server/clearml.conf"), "CLEARML_AGENT_EXTRA_DOCKER_ARGS": "--read-only --tmpfs=/tmp"}
    log = tmp_path / "agent.log"
    agent = user.start(log, sys.executable, "-m", "registry", "agent", "--docker", "--queue", "gpu01", **more)
    try:
        wait_for(lambda: "serves gpu01" in log.read_text() or agent.poll() is not None)
        task = user.registry("enqueue", "tabletop", *RENDER, "n=2", "--wait")
    finally:
        agent.terminate()
        agent.wait(60)
    assert "'--read-only', '--tmpfs=/tmp'" in user.registry("logs", task)
    user.registry("down")
    assert user.not_theirs() == []


def test_a_services_agent_runs_several_tasks_at_once_and_they_end_with_it(user: Ordinary, there: Containers, tmp_path: Path) -> None:
    user.registry("up", "--agents", "0", "--port", "0")
    log, configuration = tmp_path / "agent.log", str(user.state / "server/clearml.conf")
    line = [sys.executable, "-m", "registry", "agent", "--docker", "--services", "--queue", "gpu01"]
    agent = user.start(log, *line, CLEARML_CONFIG_FILE=configuration)
    wait_for(lambda: "serves gpu01" in log.read_text() or agent.poll() is not None)
    tasks = user.registry("enqueue", "tabletop", *RENDER, "n=400", "seed=0,1").split()
    worker = worker_id("agent-1")
    try:
        wait_for(lambda: [at_work(there, each) for each in of([worker])] == [True, True] or agent.poll() is not None, 300)
        assert {status for status, _ in states(user, tasks).values()} == {"in_progress"}, log.read_text()
    finally:
        agent.terminate()
        agent.wait(120)
    assert of([worker]) == []
    ended = wait_for(lambda: all_ended(user, tasks), 60)
    assert {status for status, _ in ended.values()} == {"stopped"}
    user.registry("down")


def test_an_image_runs_by_hand_without_a_home_and_read_only(user: Ordinary, there: Containers) -> None:
    """Without agent, server and user name: `docker run` as a user with one writable folder."""
    results = user.folder / "results"
    user.run("mkdir", str(results))
    image = f"{there.place}/tabletop:latest"
    options = [f"--user={USER}:{USER}", "--read-only", "--tmpfs=/tmp", "--network=host", f"--volume={results}:/results"]
    line = ["docker", "run", "--rm", *options, image, "python3", "clearml_tasks/tabletop/clearml_train.py", *RENDER, "n=2"]
    refused = user.run(*line, check=False)
    why = f"user {USER} cannot write into /workspace (Read-only file system)"
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == f"error: output_dir=outputs: {why}; choose a folder that this user can write to\n"
    user.run(*line, "output_dir=/results")
    assert list(results.glob("tabletop/render-*/tabletop-pairs/train/images/*.png"))
    assert user.not_theirs() == []


def at_work(there: Containers, container: str) -> bool:
    """Whether the run in a container has begun: its ranks print."""
    return "scenes:" in there.docker("logs", container, check=False)


def agent_of(supervisor: processes.Process) -> int:
    (agent,) = children_of(supervisor.pid)
    return agent


def test_containers_of_killed_agents_end_and_no_task_is_left_running(user: Ordinary) -> None:
    """Ten agents, each killed at a different moment of its container: just created, preparing, importing, working."""
    user.registry("up", "--docker", "--port", "0", "--agents", str(AGENTS))
    tasks = user.registry("enqueue", "tabletop", *RENDER, "n=400", f"seed={','.join(map(str, range(AGENTS)))}").split()
    assert len(tasks) == AGENTS
    supervisors = processes.recorded(user.state / "agents")
    waiting, due = {each.name: each for each in supervisors}, dict[str, float]()

    def kill_those_that_are_due() -> bool:
        for name in waiting.keys() - due.keys():
            if of([worker_id(name)]):
                due[name] = time.monotonic() + APART * len(due)
        for name in [name for name, moment in due.items() if name in waiting and moment < time.monotonic()]:
            os.kill(agent_of(waiting.pop(name)), signal.SIGKILL)
        return not waiting

    wait_for(kill_those_that_are_due, 400)
    wait_for(lambda: not any(each.is_alive for each in supervisors), 120)
    assert of([worker_id(each.name) for each in supervisors]) == []
    ended = wait_for(lambda: all_ended(user, tasks), 120)
    assert {status for status, _ in ended.values()} <= {"stopped", "failed"}
    assert all(reason for _, reason in ended.values())
    user.registry("down")


def test_a_container_ends_with_its_agent_and_supervisor_and_the_next_up_ends_the_rest(user: Ordinary, there: Containers) -> None:
    """A run is told by its container's own shell that nobody is left. A container that has not been told, or cannot be: one of the
    agent's label, as a task's image without `flock` would be."""
    user.registry("up", "--docker", "--port", "0")
    task = user.registry("enqueue", "tabletop", *RENDER, "n=400")
    worker = worker_id("agent-1")
    (container,) = wait_for(lambda: of([worker]), 240)
    wait_for(lambda: at_work(there, container), 240)
    (supervisor,) = processes.recorded(user.state / "agents")
    for pid in (supervisor.pid, agent_of(supervisor)):
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not of([worker]), 40)
    assert states(user, [task])[task] == ("stopped", "stopped by SIGTERM; the last checkpoint is kept")

    label, image = f"clearml-parent-worker-id={worker}", f"{there.place}/tabletop:latest"
    there.docker("run", "--detach", "--init", "--network=host", f"--label={label}", image, "sleep", "600")
    user.registry("up", "--docker")
    assert of([worker]) == []
    user.registry("down")
