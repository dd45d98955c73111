"""Fixtures for all tests."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest
from support.processes import guard_tests
from support.server import LocalServer


def pytest_sessionstart(session: pytest.Session) -> None:
    """Ctrl-C reaches the processes that tests start also where this run is in a shell's background, which ignores it.

    And where this run is killed, they are ended.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    guard_tests()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """An embedded server with an empty data folder, shared by the session: tests take names of their own on it.

    Whatever it accepts and answers in the session must be what the SDK's schemas allow.
    """
    server = LocalServer(tmp_path_factory.mktemp("server") / "data", validated=True)
    yield server
    server.stop()
    assert not server.violations.exists(), server.violations.read_text()


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """An S3 store, `support.s3.store.Store`, shared by the session: tests make buckets of their own in it."""
    from support.s3.store import Store

    store = Store(tmp_path_factory.mktemp("store") / "s3")
    yield store
    store.stop()
