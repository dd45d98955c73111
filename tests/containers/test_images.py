"""Images as a cluster has them: built, pushed, removed, pulled, and run by the real agent in docker mode.

Slow throughout: whole environments are installed and moved, and smoke runs learn in them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.command_line import git
from support.engine import Containers, base_for
from support.events import wait_for

from harness.workload import Declaration
from registry.environment import ROOT

from .conftest import Registry

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

Built = Callable[[str], None]


def state(registry: Registry, image: str) -> dict[str, str]:
    found: list[dict[str, str]] = json.loads(registry(image, "image", "list", image, "--json").stdout)
    return found[0]


def test_built_and_pushed_under_its_environment_its_commit_and_latest(
    registry: Registry, built: Built, there: Containers, image: str
) -> None:
    built(image)
    now = state(registry, image)
    commit = git(ROOT, "rev-parse", "HEAD")
    uncommitted = git(ROOT, "status", "--porcelain", "docker")
    assert now["image"] == f"{there.place}/{image.lower()}"
    assert now["digest"].startswith("sha256:")
    assert {"latest"} | (set() if uncommitted else {commit}) <= set(now["other_tags"].split())
    labels = json.loads(there.docker("image", "inspect", "--format", "{{json .Config.Labels}}", f"{now['image']}:{now['environment']}"))
    assert labels["org.opencontainers.image.title"] == image
    assert labels["org.opencontainers.image.version"] == now["environment"]
    assert labels["org.opencontainers.image.revision"] == commit


def test_what_the_registry_has_is_not_built_again(registry: Registry, built: Built, image: str) -> None:
    built(image)
    again = registry(image, "image", "build", image)
    assert "has this environment already" in again.stderr
    assert state(registry, image)["digest"] in again.stdout


def test_removed_and_pulled_it_is_ready_for_an_agent(registry: Registry, built: Built, there: Containers, image: str) -> None:
    built(image)
    now = state(registry, image)
    names = there.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", now["image"]).splitlines()
    there.docker("image", "rm", "--force", *names)
    assert state(registry, image)["local"] is None
    checked = registry(image, "image", "check", image, "--network", "host")
    assert "ready for the agent" in checked.stderr
    assert state(registry, image)["local"] is not None


def test_the_agent_runs_the_smoke_run_in_it(
    registry: Registry, data: Callable[[Declaration], None], built: Built, agents: None, workload: Declaration
) -> None:
    built(workload.image)
    data(workload)
    done = registry(workload.image, "enqueue", workload.name, "--smoke", "--wait")
    tasks = done.stdout.split()
    assert len(tasks) == len(workload.smoke)
    for task in tasks:
        log = registry(workload.image, "logs", task).stdout
        assert f"inside docker: {state(registry, workload.image)['image']}:env-" in log
        assert "Process completed successfully" in log


@pytest.fixture
def other_clone(tmp_path: Path) -> Path:
    """A clone whose environments differ from those of the images that are built."""
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(ROOT), str(clone))
    with (clone / "docker/harness/requirements.txt").open("a") as file:
        file.write("# another environment\n")
    git(clone, "commit", "--quiet", "--all", "--message", "another environment")
    return clone


def test_a_run_in_an_image_of_another_environment_is_refused(
    registry: Registry, built: Built, there: Containers, other_clone: Path, tmp_path: Path
) -> None:
    """At the terminal where the registry is asked; in the task's status where `clearml-task` was typed by hand."""
    built("tabletop")
    has = state(registry, "tabletop")
    image = f"{has['image']}:latest"
    mine = {"REGISTRY_HOME": str(tmp_path / "home"), "PYTHONPATH": ""}
    registry("tabletop", "up", "--docker", "--port", "0", cwd=other_clone, **mine)
    try:
        refused = registry("tabletop", "enqueue", "tabletop", "--smoke", "--image", image, check=False, cwd=other_clone, **mine)
        assert refused.returncode == 2
        assert f"its environment is {has['environment']}, the commit needs env-" in refused.stderr
        needed = refused.stderr.partition("the commit needs ")[2][:16]

        typed = [*("clearml-task", "--project", "clearml-example-project", "--name", "by hand", "--docker", image, "--queue", "gpu01")]
        typed += ["--repo", other_clone.as_uri(), "--commit", git(other_clone, "rev-parse", "HEAD")]
        typed += ["--script", "clearml_tasks/tabletop/clearml_train.py", "--skip-task-init", "--force-no-requirements"]
        typed += ["--skip-python-env-install", "--args", "command=render", "config=pairs"]
        variables = there.environment | {"CLEARML_CONFIG_FILE": str(tmp_path / "home/server/clearml.conf")}
        subprocess.run([Path(sys.executable).with_name("clearml-task"), *typed[1:]], env=variables, check=True, capture_output=True)
        ended = ended_task(registry, other_clone, mine)
    finally:
        registry("tabletop", "down", cwd=other_clone, **mine)
    assert ended["status"] == "failed"
    assert f"needs the environment tabletop:{needed}, but its image is tabletop:{has['environment']}" in ended["reason"]
    assert base_for("tabletop", there) in ended["reason"]


def ended_task(registry: Registry, clone: Path, variables: dict[str, str]) -> dict[str, str]:
    """The newest task, once it has ended."""

    def newest() -> dict[str, str] | None:
        found: list[dict[str, str]] = json.loads(registry("tabletop", "status", "--json", cwd=clone, **variables).stdout)
        return found[0] if found and found[0]["status"] in {"completed", "failed", "stopped"} else None

    task: dict[str, str] = wait_for(newest, 120)
    return task
