"""The clearml-agent that started this run. Once it is gone (kill -9, for example), nothing would end the run or report its end to the
server, so the run ends itself.

clearml-agent starts a task's script as its own child, or as the child of a second agent process (`execute`) that follows the task's
output. From inside a container the agent is not visible.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from .guard import parent_of
from .reasons import STOPPED

LOOK = 5.0
"""Seconds between two checks of the agent."""
NAMES = {"clearml-agent", "clearml_agent"}
BY_OWN_SIGNAL = f"{STOPPED} SIGTERM"


class Agent:
    """Watches whether the processes between this one and its agent are still the same."""

    def __init__(self, descent: Mapping[int, int]) -> None:
        """Remember the `descent`: the parent of each process, from this one up to the agent. If it is empty, there is nothing to watch."""
        self.descent, self.gone = dict(descent), False

    @property
    def pid(self) -> int | None:
        """The agent's process ID; None if no agent is visible."""
        return next(reversed(self.descent.values()), None)

    def watch(self) -> None:
        """From now on, send this process a SIGTERM if the agent goes away."""
        if self.descent:
            threading.Thread(target=self.look, name="agent", daemon=True).start()

    def look(self) -> None:
        """Run in the thread. A process whose parent has ended gets a new parent at once, so a changed parent means an ended one."""
        while all(parent_of(pid) == parent for pid, parent in self.descent.items()):
            time.sleep(LOOK)
        self.gone = True
        os.kill(os.getpid(), signal.SIGTERM)

    def why(self, reason: str) -> str:
        """The reason for the run's end, corrected if it was this object that sent the signal."""
        return reason.replace(BY_OWN_SIGNAL, "its agent is gone", 1) if self.gone and reason.startswith(BY_OWN_SIGNAL) else reason


def descent() -> dict[int, int]:
    """The parent of each process, from this one up to the agent that started it; empty if no agent did.

    An agent started by another agent counts as well; whatever started the topmost one does not: closing its terminal must not end the run.
    """
    links: dict[int, int] = {}
    found: dict[int, int] = {}
    pid = os.getpid()
    while parent := parent_of(pid):
        links[pid] = parent
        if is_agent(parent):
            found = dict(links)
        elif found:
            break
        pid = parent
    return found


def is_agent(pid: int) -> bool:
    try:
        return is_agents(os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes()).split("\0"))
    except OSError:
        return False


def is_agents(argv: Sequence[str]) -> bool:
    """Whether a command line is that of clearml-agent itself, not of a program that starts it (`sudo clearml-agent ..`)."""
    program, *words = (Path(word).name for word in argv[:5])
    return program in NAMES or (program.startswith("python") and not NAMES.isdisjoint(words))
