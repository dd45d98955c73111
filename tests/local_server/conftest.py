"""Short ways to make what the tests act on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.events import NewTask, OwnServer
from support.server import LocalServer
from support.site import Site

from local_server.watch import Limits

_COUNT = itertools.count()


@pytest.fixture
def project(server: LocalServer) -> str:
    """The ID of an empty project."""
    return str(server.call("projects.create", name=f"project {next(_COUNT)}")["id"])


@pytest.fixture
def new_task(server: LocalServer, project: str) -> NewTask:
    """Makes a draft in the project; returns its ID."""

    def make(name: str = "some task", **fields: Any) -> str:
        fields = {"type": "training", "project": project, "script": {"entry_point": "train.py"}} | fields
        return str(server.call("tasks.create", name=name, **fields)["id"])

    return make


@pytest.fixture
def queue(server: LocalServer) -> str:
    """The ID of an empty queue."""
    return str(server.call("queues.create", name=f"queue {next(_COUNT)}")["id"])


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[OwnServer]:
    """Starts servers that a test may kill, starve or break; one per folder name."""
    started: list[LocalServer] = []

    def start(name: str = "own", *options: str) -> LocalServer:
        started.append(LocalServer(tmp_path / name, *options))
        return started[-1]

    yield start
    for server in started:
        server.kill()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    site = Site(tmp_path, monkeypatch)
    site.wait(Limits.silence)  # it has been up for long
    yield site
    site.stop()
