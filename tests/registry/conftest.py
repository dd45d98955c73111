"""A clone with one small workload, and the command line run in this process."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command_line import Registry, in_this_process
from support.server import LocalServer
from support.tasks import run_on
from support.toy import forget_settings, make_repository

from registry.backends import Queue, Server, connect


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with the toy workload and its image's environment, as the current folder."""
    root = tmp_path / "a clone"
    make_repository(root)
    (root / ".venvs/toy/bin").mkdir(parents=True)
    (root / ".venvs/toy/bin/python").touch()
    monkeypatch.syspath_prepend(root / "clearml_tasks" / "toy")
    forget_settings(monkeypatch)
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No configured server, and no embedded one."""
    for name in ("CLEARML_CONFIG_FILE", "CLEARML_API_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("REGISTRY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    yield
    shutil.rmtree(tmp_path / "home", ignore_errors=True)


@pytest.fixture
def registry(capfd: pytest.CaptureFixture[str]) -> Registry:
    """Run `registry ...`, with its output in files rather than on a terminal."""
    return in_this_process(capfd)


@pytest.fixture
def embedded(server: LocalServer, clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The embedded server, as `registry up` starts it for this clone, and a client of it."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home/server").symlink_to(server.data)
    monkeypatch.setenv("REGISTRY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CLEARML_CONFIG_FILE", str(server.conf))
    monkeypatch.delenv("CLEARML_API_HOST", raising=False)
    monkeypatch.delenv("HARNESS_ENVS", raising=False)
    monkeypatch.delenv("IMAGE_REGISTRY", raising=False)
    return connect()


@pytest.fixture
def queue(embedded: Server) -> Queue:
    """A queue for this test only, which no agent serves."""
    name = f"queue-{uuid.uuid4().hex[:8]}"
    embedded.create_queue(name)
    return embedded.queues()[name]


@pytest.fixture
def pair(embedded: Server) -> tuple[str, str]:
    name = uuid.uuid4().hex[:6]
    first = run_on(embedded, f"{name}-first", {"lr": "0.1", "steps": "3"}, [0.9, 0.2, 0.4])
    return first, run_on(embedded, f"{name}-second", {"lr": "0.01", "steps": "3"}, [0.9, 0.5, 0.3])
