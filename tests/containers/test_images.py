"""Images as on a cluster: built, pushed, removed, pulled, and run by the real agent with --docker.

Slow throughout: whole environments are installed and moved, and smoke runs learn in them.
"""

from __future__ import annotations

import json
import re
import shutil
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
from registry.images.context import Context

from .conftest import Registry

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

Built = Callable[[str], None]


def state(registry: Registry, image: str) -> dict[str, str]:
    found: list[dict[str, str]] = json.loads(registry(image, "image", "list", image, "--json").stdout)
    return found[0]


def test_images_are_built_and_pushed_with_the_tags_of_environment_commit_and_latest(
    registry: Registry, built: Built, there: Containers, image: str
) -> None:
    """The commit is named only if the image contains its code."""
    built(image)
    now = state(registry, image)
    commit = Context(ROOT, ROOT / "docker" / image / "Dockerfile").commit
    assert now["image"] == f"{there.place}/{image.lower()}"
    assert now["digest"].startswith("sha256:")
    assert {"latest", *([commit] if commit else [])} <= set(now["other_tags"].split())
    labels = json.loads(there.docker("image", "inspect", "--format", "{{json .Config.Labels}}", f"{now['image']}:{now['environment']}"))
    assert labels["org.opencontainers.image.title"] == image
    assert labels["org.opencontainers.image.version"] == now["environment"]
    assert labels["org.opencontainers.image.revision"] == (commit or "unknown")


def test_the_sbom_lists_the_locked_packages(registry: Registry, built: Built, image: str) -> None:
    built(image)
    stated = json.loads(registry(image, "image", "sbom", image).stdout)
    assert stated["metadata"]["component"]["version"] == state(registry, image)["digest"]
    found = {each["purl"] for each in stated["components"]}
    locks = [ROOT / "docker" / name / "requirements.lock" for name in ("harness", image)]
    pinned = [line.split("==") for lock in locks for line in lock.read_text().splitlines() if re.fullmatch(r"[\w.-]+==[\w.]+", line)]
    assert {f"pkg:pypi/{name}@{version}" for name, version in pinned} <= found
    assert any(url.startswith("pkg:deb/debian/libegl1@") for url in found)


def test_an_image_reused_by_a_later_commit_is_not_tagged_with_it(
    registry: Registry, built: Built, there: Containers, tmp_path: Path
) -> None:
    """It has that commit's environment, but not its code."""
    built("tabletop")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(ROOT), str(clone))
    shutil.copytree(ROOT / "docker", clone / "docker", dirs_exist_ok=True)
    (clone / "src/later.py").write_text("")
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "--message", "later")
    later = git(clone, "rev-parse", "HEAD")
    pushed = registry("tabletop", "image", "push", "tabletop", cwd=clone, PYTHONPATH="")
    assert f"not tagged with commit {later}: the image holds " in pushed.stderr
    assert later not in state(registry, "tabletop")["other_tags"].split()


def test_an_image_built_from_a_private_clone_is_readable_for_everybody(built: Built, there: Containers, tmp_path: Path) -> None:
    """Built by docker-compose under umask 077; it also has the requested time zone."""
    built("tabletop")
    clone = tmp_path / "clone"
    names = subprocess.run(["git", "-C", ROOT, "ls-files"], capture_output=True, text=True, check=True).stdout.splitlines()
    for name in names:
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, clone / name)
    subprocess.run(["chmod", "-R", "go=", clone / "src"], check=True)
    base = f"--build-arg=BASE_IMAGE={base_for('tabletop', there)}"
    there.docker("build", "--network=host", base, "--tag=private:1", f"--file={clone}/docker/tabletop/Dockerfile", str(clone))
    hidden = "find /setup /workspace ! -perm -o=r -o -type d ! -perm -o=x"
    told = there.docker("run", "--rm", "--network=host", "private:1", "sh", "-c", f"{hidden}; cat /etc/timezone; readlink /etc/localtime")
    assert told.splitlines() == ["Asia/Tokyo", "/usr/share/zoneinfo/Asia/Tokyo"]


def test_an_image_in_the_registry_is_not_built_again(registry: Registry, built: Built, image: str) -> None:
    built(image)
    again = registry(image, "image", "build", image)
    assert "already has this environment" in again.stderr
    assert state(registry, image)["digest"] in again.stdout


def test_a_pulled_image_is_ready_for_an_agent(registry: Registry, built: Built, there: Containers, image: str) -> None:
    built(image)
    now = state(registry, image)
    names = there.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", now["image"]).splitlines()
    there.docker("image", "rm", "--force", *names)
    assert state(registry, image)["local"] is None
    checked = registry(image, "image", "check", image, "--network", "host")
    assert "ready for the agent" in checked.stderr
    assert state(registry, image)["local"] is not None


def test_the_agent_runs_the_smoke_run_in_the_image(
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
    """By the registry, at the terminal; with a manual `clearml-task`, in the task's status."""
    built("tabletop")
    has = state(registry, "tabletop")
    image = f"{has['image']}:latest"
    mine = {"REGISTRY_HOME": str(tmp_path / "home"), "PYTHONPATH": ""}
    registry("tabletop", "up", "--docker", "--port", "0", cwd=other_clone, **mine)
    try:
        refused = registry("tabletop", "enqueue", "tabletop", "--smoke", "--image", image, check=False, cwd=other_clone, **mine)
        assert refused.returncode == 2
        assert f"its environment is {has['environment']}, but the commit needs env-" in refused.stderr
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
