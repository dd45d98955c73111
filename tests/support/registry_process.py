"""`registry ...` as a process of its own, and what its agents start and leave."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from registry.agents import processes
from registry.agents.supervisor import MARK

from .command_line import Outcome

Command = Callable[..., Outcome]


def environment_of(clone: Path, folder: Path) -> dict[str, str]:
    """A person's environment, with a home and a state folder in `folder`, on a machine where the toy's image is built."""
    python = clone / ".venvs/toy/bin/python"
    python.unlink()
    python.symlink_to(sys.executable)
    (folder / "user").mkdir(mode=0o755)
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("CLEARML_", "HARNESS_"))}
    return mine | {
        "REGISTRY_HOME": str(folder / "home"),
        "HARNESS_ENVS": str(clone / ".venvs"),
        "HOME": str(folder / "user"),
        "PYTHONPATH": str(clone / "clearml_tasks/toy"),
    }


def end_of(command: Command, task: str) -> tuple[str, str]:
    """The status of a task and its reason, as `registry status` tells them."""
    (found,) = json.loads(command("status", task, "--json").out)
    return found["status"], found["reason"]


def command_in(clone: Path, environment: Mapping[str, str], umask: int = -1) -> Command:
    """Runs `registry ...` in a clone: its arguments, a command to `begin` with, and variables."""

    def run(*arguments: str, begin: Sequence[str] = (), cwd: Path = clone, **variables: str) -> Outcome:
        argv = [*begin, sys.executable, "-m", "registry", *arguments]
        every = {**environment, **variables}
        done = subprocess.run(argv, env=every, cwd=cwd, capture_output=True, text=True, timeout=200, umask=umask)
        return Outcome(done.returncode, done.stdout, done.stderr)

    return run


def left(agent: Path) -> set[int]:
    """The processes that the agent with this folder started and that live."""
    return set(processes.marked(MARK, [str(agent)]))


@contextmanager
def ended(agent: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Whatever a test puts into the list is killed at its end, and what is left of the agent with this folder."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.kill()
        process.wait()
    for pid in left(agent):
        os.kill(pid, signal.SIGKILL)
