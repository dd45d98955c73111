"""The guard of a run: a small process that ends everything the run started if the run's parent process dies (kill -9, for example).

    python -I -S guard.py NAME=VALUE GRACE

NAME=VALUE is a mark in the environment of all processes of the run. Standard input is a pipe that the parent holds open as long as it
supervises them itself: when it closes, however the parent ended, the guard acts. On it the parent writes the session ID of its launcher.
This module uses the standard library alone, so that the guard starts within milliseconds, beside the launcher.
"""

from __future__ import annotations

import os
import signal
import sys
import time

POLL = 0.1
SETTLED = 0.5
"""Seconds after which a process that was just being started when its parent was killed has its mark: between fork and exec it has not."""
DEAD = 10.0
"""Seconds to wait for killed processes to disappear: one that waits for a disk cannot end before."""


class Family:
    """All processes that descend from a launcher: those in its session, and those with the mark in any session.

    Neither test would find all of them: torchrun gives each worker a session of its own, and a process that clears its environment loses
    the mark, but stays in the session of its parent.
    """

    def __init__(self, mark: str, session: int = -1) -> None:
        self.mark, self.session = os.fsencode(mark), session

    def members(self) -> dict[int, int]:
        """The living ones, each with its parent."""
        found = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit() and self.has(int(entry)) and (parent := parent_of(int(entry))) is not None:
                found[int(entry)] = parent
        return found

    def has(self, pid: int) -> bool:
        try:
            if os.getsid(pid) == self.session:
                return True
            with open(f"/proc/{pid}/environ", "rb") as environment:
                return self.mark in environment.read().split(b"\0")
        except OSError:
            return False  # it has ended, or belongs to another user

    def terminate(self) -> None:
        """Ask them to end: those in the launcher's session, and in other sessions those whose parent is not one of them.

        A launcher passes the signal on to its workers: sent to them from here as well, it would arrive twice.
        """
        found = self.members()
        for pid, parent in found.items():
            if parent not in found or session_of(pid) == self.session:
                tell(pid, signal.SIGTERM)

    def kill(self) -> None:
        """Kill them, and whatever they start in the meantime."""
        deadline = time.monotonic() + DEAD
        while (found := self.members()) and time.monotonic() < deadline:
            for pid in found:
                tell(pid, signal.SIGKILL)
            time.sleep(POLL)

    def end(self, grace: float) -> None:
        """Ask them to end, and kill those that are left after `grace` seconds."""
        began = time.monotonic()
        self.terminate()
        while (waited := time.monotonic() - began) < grace and (self.members() or waited < SETTLED):
            time.sleep(POLL)
        self.kill()


def parent_of(pid: int) -> int | None:
    """The parent of a living process; 0 if that is outside this container, None if the process has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            state, parent = stat.read().rpartition(b")")[2].split()[:2]
    except OSError:
        return None
    return None if state in {b"Z", b"X"} else int(parent)


def session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def tell(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except OSError:
        return  # it has ended already, or its number belongs to another user by now


def die_with_parent() -> None:
    """Have the kernel send this process a SIGTERM when its parent ends (PR_SET_PDEATHSIG), for processes that need no guard."""
    import ctypes

    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def main() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # whoever sends these to all processes also sends them to the parent
    if os.fork():
        os._exit(0)  # becomes an orphan: clearml-agent kills all descendants of the parent
    session = sys.stdin.read()
    Family(sys.argv[1], int(session or -1)).end(float(sys.argv[2]))


if __name__ == "__main__":
    main()
