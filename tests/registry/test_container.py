"""The arguments of tasks' containers, and how containers end together with their agent."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import hollow
from support.command_line import git
from support.engine import engine, missing, search_path
from support.other_user import NOBODY, as_nobody, shared_folder

from registry.agents import container
from registry.enqueue.source import read
from registry.environment import locked
from registry.errors import ServiceError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HARNESS_CACHE", raising=False)


def test_the_clone_is_mounted_read_only(tmp_path: Path) -> None:
    arguments = container.arguments(tmp_path, [], clone=tmp_path / "clone")
    assert f"--volume={tmp_path}/clone:{tmp_path}/clone:ro" in arguments
    assert f"--volume={tmp_path}/home/cache/harness:{tmp_path}/home/cache/harness" in arguments
    assert (tmp_path / "home/cache/harness").is_dir()


@pytest.mark.skipif(bool(missing()), reason="an engine cannot be started here")
def test_a_container_can_clone_the_commit_of_a_worktree(clone: Path, tmp_path: Path) -> None:
    """With a real engine, which takes 3 s to start: a worktree's .git is a file that names a folder outside of it."""
    tree = tmp_path / "worktree"
    git(clone, "worktree", "add", "-q", "-b", "idea", str(tree))
    git(tree, "commit", "-q", "--allow-empty", "-m", "idea")
    code = read(tree, None, embedded=True)
    script = f"git clone -q {shlex.quote(code.repository)} /tmp/code && git -C /tmp/code log -1 --format=%s {code.commit}"
    with engine(tmp_path / "engine", tmp_path) as address:
        environment = {**os.environ, "DOCKER_HOST": f"unix://{address}", "PATH": search_path()}
        hollow.make(tmp_path, environment)
        seen = [*container.arguments(tmp_path, [], clone=tree), *hollow.mounts()]
        run = ["docker", "run", "--rm", *seen, hollow.IMAGE, "/bin/bash", "-c", script]
        done = subprocess.run(run, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "idea\n"), done.stderr


def test_containers_get_the_s3_settings_without_the_secret_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret")
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    arguments = container.arguments(tmp_path, [], clone=None)
    assert {"--env=AWS_ENDPOINT_URL", "--env=AWS_SECRET_ACCESS_KEY"} <= set(arguments)
    assert "--env=AWS_SESSION_TOKEN" not in arguments
    assert "secret" not in " ".join(arguments)


@pytest.fixture
def nobody_s(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of an agent whose user is not root, and the path of a fake docker command, which reports the kind of engine."""
    for folder in shared_folder():
        os.chown(folder, NOBODY, NOBODY)
        monkeypatch.setenv("REGISTRY_HOME", str(folder))
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        yield folder


def kind_of_engine(folder: Path, kind: str) -> None:
    """The output of `docker info`, as documented for rootless mode and user namespaces."""
    script = folder / "docker"
    script.write_text(f"#!/bin/sh\necho '[\"name=seccomp,profile=default\"{kind}]'\n")
    script.chmod(0o755)


@pytest.mark.parametrize(
    ("kind", "own", "as_user", "namespace"),
    [
        ("", [], True, False),
        (',"name=userns"', [], True, True),
        (',"name=rootless"', [], False, False),  # its root is this user
        ("", ["--user", "0"], False, False),
        ("", ["-u", "0"], False, False),
    ],
)
def test_an_ordinary_user_s_tasks_run_as_that_user(nobody_s: Path, kind: str, own: list[str], as_user: bool, namespace: bool) -> None:
    kind_of_engine(nobody_s, kind)
    arguments = as_nobody(lambda: container.arguments(nobody_s, own, clone=None))
    mounts = as_nobody(lambda: container.configuration(nobody_s, own, [], []))
    assert (f"--user={NOBODY}:{NOBODY}" in arguments) == as_user
    assert ("--userns=host" in arguments) == namespace
    assert ("--env=HOME=/tmp" in arguments) == ("docker_internal_mounts" in mounts) == as_user
    assert arguments[len(arguments) - len(own) :] == own
    if as_user:
        assert f":x:{NOBODY}:{NOBODY}::/tmp:" in (nobody_s / "passwd").read_text()


def test_files_of_another_users_tasks_in_an_agents_folder_are_an_error(nobody_s: Path) -> None:
    kind_of_engine(nobody_s, "")
    (nobody_s / "vcs-cache/clone").mkdir(parents=True)
    with pytest.raises(ServiceError, match=f"vcs-cache belongs to another user, .* as root, run: rm -r {nobody_s}"):
        as_nobody(lambda: container.arguments(nobody_s, [], clone=None))


def test_a_teams_container_commands_are_kept(tmp_path: Path) -> None:
    text = container.configuration(tmp_path, [], ["echo theirs"], [])
    assert text.startswith("extra_docker_shell_script: [")
    assert "flock" in text
    assert text.endswith(', "echo theirs"]')


@pytest.mark.parametrize(
    ("task", "signal_number"),
    [("sleep 60", signal.SIGTERM), ("trap '' TERM; for second in $(seq 60); do sleep 1; done", signal.SIGKILL)],
)
def test_a_containers_shell_ends_when_the_lifeline_is_released(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str, signal_number: int
) -> None:
    """The shell gets SIGTERM first. It execs its last command, as clearml-agent's script execs the task, so that gets it too."""
    monkeypatch.setattr(container, "PATIENCE", 1)
    script = f"{container.end_with_agent(tmp_path)} ; {task}"
    with locked(container.lifeline(tmp_path)):
        shell = subprocess.Popen(["bash", "-c", script], stdout=subprocess.DEVNULL)
        with pytest.raises(subprocess.TimeoutExpired):
            shell.wait(1)
    assert shell.wait(30) == -signal_number
