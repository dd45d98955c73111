"""Faults of containers: each ends a single task, with the reason in its status, and the queue continues."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.engine import Containers, debian_base, engine, free_port, search_path
from support.events import wait_for

from .conftest import Registry

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SMALL = ("command=render", "config=pairs", "n=8")


@pytest.fixture(autouse=True)
def tabletop(built: Callable[[str], None], agents: None) -> None:
    built("tabletop")


@pytest.fixture
def enqueue(registry: Registry) -> Callable[..., str]:
    """Enqueues a short run of tabletop and returns its task."""

    def run(*options: str) -> str:
        return registry("tabletop", "enqueue", "tabletop", *options, *SMALL).stdout.strip()

    return run


@pytest.fixture
def ended(registry: Registry) -> Callable[[str], dict[str, str]]:
    """Waits for the end of a task and returns it."""

    def wait(task: str) -> dict[str, str]:
        def state() -> dict[str, str] | None:
            found: dict[str, str] = json.loads(registry("tabletop", "status", task, "--json").stdout)[0]
            return found if found["status"] in {"completed", "failed", "stopped"} else None

        end: dict[str, str] = wait_for(state, 180)
        return end

    return wait


def test_registry_down(enqueue: Callable[..., str], ended: Callable[[str], dict[str, str]], there: Containers) -> None:
    """An image that must be pulled from a registry that does not answer."""
    gone = f"127.0.0.1:{free_port()}/team/tabletop:latest"
    first, second = enqueue("--image", gone), enqueue()
    failed = ended(first)
    assert failed["status"] == "failed"
    assert failed["status_reason"].startswith("the container could not be started: Error response from daemon: ")
    assert "connection refused" in failed["status_reason"]
    assert ended(second)["status"] == "completed"


def test_tag_missing(registry: Registry, enqueue: Callable[..., str], ended: Callable[[str], dict[str, str]], there: Containers) -> None:
    """Reported before a task is created; and in the task's status if the tag is removed afterwards."""
    missing = f"{there.place}/tabletop:v1"
    refused = registry("tabletop", "enqueue", "tabletop", "--image", "v1", *SMALL, check=False)
    assert refused.returncode == 2
    assert f"image {missing} is neither on this machine nor in an image registry; run: registry image build tabletop" in refused.stderr
    there.docker("tag", f"{there.place}/tabletop:latest", missing)
    before = enqueue()  # keeps the agent busy while the tag goes away
    first = enqueue("--image", "v1")
    there.docker("image", "rm", missing)
    second = enqueue()
    failed = ended(first)
    assert failed["status"] == "failed"
    assert "manifest for" in failed["status_reason"]
    assert "not found" in failed["status_reason"]
    assert ended(second)["status"] == "completed"
    assert ended(before)["status"] == "completed"


def test_container_killed(enqueue: Callable[..., str], ended: Callable[[str], dict[str, str]], there: Containers) -> None:
    """By the kernel or by hand: all processes at once, so none of them can report why."""
    first, second = enqueue(), enqueue()
    container = wait_for(
        lambda: there.docker("ps", "--quiet", "--filter", f"ancestor={there.place}/tabletop:latest") or running_task(there, first), 60
    )
    wait_for(lambda: "python" in there.docker("top", container, check=False), 60)
    there.docker("kill", container)
    failed = ended(first)
    assert (failed["status"], failed["status_reason"]) == ("failed", "killed: out of memory, or by hand (worker execution exit code 137)")
    assert ended(second)["status"] == "completed"


def running_task(there: Containers, task: str) -> str | None:
    """The container that runs a task."""
    for container in there.docker("ps", "--quiet").split():
        if f"CLEARML_TASK_ID={task}" in there.docker("inspect", "--format", "{{json .Config.Env}}", container):
            return container
    return None


def test_out_of_memory(registry: Registry, enqueue: Callable[..., str], ended: Callable[[str], dict[str, str]], there: Containers) -> None:
    """The run exceeds its memory limit: the kernel kills the parent or the rank inside the container."""
    first, second = enqueue(), enqueue()
    container = wait_for(lambda: running_task(there, first), 60)
    there.docker("update", "--memory=100m", "--memory-swap=100m", container)
    failed = ended(first)
    assert failed["status"] == "failed"
    assert "out of memory" in failed["status_reason"]
    assert ended(second)["status"] == "completed"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that is full after a base image."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=640m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--recursive", str(folder)], check=True)


def test_disk_full_while_building(registry: Registry, there: Containers, small_disk: Path, tmp_path: Path) -> None:
    """A separate engine whose data is on a small disk."""
    base = debian_base(there)
    archive = tmp_path / "base.tar"
    there.docker("save", "--output", str(archive), base)
    with engine(small_disk / "data", tmp_path) as socket:
        other = {"DOCKER_HOST": f"unix://{socket}"}
        subprocess.run(["docker", "load", "--input", str(archive)], env=os.environ | other | {"PATH": search_path()}, check=True)
        failed = registry("tabletop", "image", "build", "tabletop", "--network", "host", "--force", check=False, **other)
        left = subprocess.run(
            ["docker", "image", "ls", "--quiet", "tabletop"], env=there.environment | other, capture_output=True, text=True
        )
    assert failed.returncode == 1
    assert "error: docker build failed (the disk is full" in failed.stderr
    assert "no space left on device" in failed.stderr.lower()
    assert not left.stdout
