"""No other user of the machine can read the keys of `registry up`, neither while it runs nor after it was killed."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.events import wait_for
from support.registry_process import Command, command_in, end_of, environment_of, left
from support.stranger import needs_root, readable

from registry.agents import processes
from registry.agents.supervisor import children_of

SECRET = secrets.token_hex(20)  # as a key of S3


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody can read, unlike pytest's."""
    place = Path(tempfile.mkdtemp(dir="/tmp"))
    place.chmod(0o755)
    yield place
    shutil.rmtree(place)


@pytest.fixture
def command(clone: Path, folder: Path) -> Iterator[Command]:
    """`registry ...` as a separate process with an ordinary umask, below that folder; whatever still runs at the end is ended."""
    keys = {"AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": SECRET}
    run = command_in(clone, environment_of(clone, folder) | keys, umask=0o022)
    yield run
    run("down")


def keys_of(home: Path) -> list[str]:
    """Every secret: the store's, the server's, and the key in the page's address."""
    keys = json.loads((home / "server/keys.json").read_text())
    login = json.loads((home / "server/server.json").read_text())["login_url"].partition("key=")[2]
    return [SECRET, keys["secret_key"], keys["signing_key"], login]


def is_rank(pid: int) -> bool:
    try:
        return b"\0HARNESS_PLAN=" in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False


@needs_root
@pytest.mark.slow
def test_other_users_cannot_read_keys_and_a_killed_agent_leaves_neither_keys_nor_runs(command: Command, folder: Path) -> None:
    """Starts a server and an agent, which runs a task."""
    home, since = folder / "home", time.time() - 1
    assert command("up", "--port", "0").code == 0
    (folder / "numbers.txt").write_text("1 2")
    (task,) = command("enqueue", "toy", f"dataset_path={folder}", "steps=600", "pause=0.5").lines
    wait_for(lambda: any(is_rank(pid) for pid in left(home / "agents/agent-1")), 120)

    keys = keys_of(home)
    assert readable(keys, [Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"), folder], since=since) == []
    kept = readable(keys, [home / "agents"], uid=0)
    assert any(path.endswith(".cfg") for path in kept), "clearml-agent leaves its configuration elsewhere now"

    (supervisor,) = processes.recorded(home / "agents")
    (agent,) = children_of(supervisor.pid)
    os.kill(agent, signal.SIGKILL)
    wait_for(lambda: not supervisor.is_alive)
    assert left(home / "agents/agent-1") == set()
    assert [path for path in readable(keys, [home / "agents"], uid=0) if not path.startswith("/proc")] == []
    assert end_of(command, task) == ("stopped", "stopped by SIGTERM; the last checkpoint is kept")
    assert "error: agent-1 ended by itself: killed by SIGKILL" in supervisor.last_lines()
