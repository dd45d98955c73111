"""Something done as a user who owns nothing, for tests of what others may see."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

NOBODY = 65534


def as_nobody(call: Callable[[], Any]) -> Any:
    """What `call` returns or raises in a child of this process that is user nobody. Needs root."""
    receive, send = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=answer, args=(call, send))
    child.start()
    outcome = receive.recv()
    child.join()
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def answer(call: Callable[[], Any], send: Connection) -> None:
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    try:
        send.send(call())
    except Exception as error:  # noqa: BLE001  whatever it is, the test's own process raises it
        send.send(error)


def shared_folder() -> Iterator[Path]:
    """A folder that every user can read, unlike pytest's; for a fixture."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)
