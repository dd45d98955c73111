"""Processes in tests: whether they live, and that none outlives the tests."""

from __future__ import annotations

import os
import subprocess
import time
import uuid
from collections.abc import Collection
from pathlib import Path

from harness.guard import parent_of
from harness.ranks import guarded

MARK = "STARTED_BY_TESTS"
GRACE = 10.0
_guards: list[subprocess.Popen[bytes]] = []


def guard_tests() -> None:
    """Let nothing that is started from now on outlive this process, also where it is killed."""
    os.environ[MARK] = uuid.uuid4().hex
    _guards.append(guarded(f"{MARK}={os.environ[MARK]}", GRACE))
    assert _guards[-1].wait() == 0


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """The first line of its output with that text."""
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return line
    raise AssertionError(f"the output ended before {text!r}")


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def gone(pids: Collection[int]) -> bool:
    """Whether they all end within 20 s."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if all(parent_of(pid) is None for pid in pids):
            return True
        time.sleep(0.05)
    return False
