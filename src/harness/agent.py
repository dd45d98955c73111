"""The agent that a run belongs to. Once it is gone, by kill -9 for instance, nobody ends the run, nor tells the server of its end: so the
run ends with it.

clearml-agent starts a task's script as its child, or as the child of a second agent process (`execute`), which stays where it follows the
task's output. In a container the agent is outside, and is not seen.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from .guard import parent_of

LOOK = 5.0
"""Seconds between two looks at the agent."""
NAMES = {"clearml-agent", "clearml_agent"}
STOPPED = "stopped by SIGTERM"


class Agent:
    """Watches whether the processes between this one and its agent are what they were."""

    def __init__(self, descent: Mapping[int, int]) -> None:
        """Remember the `descent`: each process's parent, from this one up to the agent; nothing to watch if there is none."""
        self.descent, self.gone = dict(descent), False

    @property
    def pid(self) -> int | None:
        """The agent's process; None where none is seen."""
        return next(reversed(self.descent.values()), None)

    def watch(self) -> None:
        """From now on: if the agent goes, this process gets a SIGTERM."""
        if self.descent:
            threading.Thread(target=self.look, name="agent", daemon=True).start()

    def look(self) -> None:
        """The thread. A process whose parent has ended gets another one at once."""
        while all(parent_of(pid) == parent for pid, parent in self.descent.items()):
            time.sleep(LOOK)
        self.gone = True
        os.kill(os.getpid(), signal.SIGTERM)

    def why(self, reason: str) -> str:
        """Why the run ended, if the signal was this object's own."""
        return reason.replace(STOPPED, "its agent is gone", 1) if self.gone and reason.startswith(STOPPED) else reason


def descent() -> dict[int, int]:
    """Each process's parent, from this one up to the agent that started it; empty without one.

    An agent's own agent counts, whoever started that one does not: a closed terminal ends no run.
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
    """Whether a command line is clearml-agent's own, not that of who starts it, like `sudo clearml-agent ..`."""
    program, *words = (Path(word).name for word in argv[:5])
    return program in NAMES or (program.startswith("python") and not NAMES.isdisjoint(words))
