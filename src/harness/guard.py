"""The guard of a run: a small process that ends what the run has started once the run's parent is gone, by kill -9 for instance.

    python -I -S guard.py NAME=VALUE GRACE

NAME=VALUE is what the run's processes have in their environment. A pipe to standard input stays open as long as the parent watches over
them itself; on it the parent tells the session that its launcher leads. Standard library only: it starts in milliseconds, beside
the launcher.
"""

from __future__ import annotations

import os
import signal
import sys
import time

POLL = 0.1
SETTLED = 0.5
"""Seconds after which a process that was being started while its parent was killed bears its mark."""
DEAD = 10.0
"""Seconds that killed processes have to disappear: one that waits for a disk may take its time."""


class Family:
    """The processes that a launcher started, and theirs: all in its session, and all with the mark, whatever session they are in.

    torchrun gives each worker a session of its own; what clears its environment stays in the session of who started it.
    """

    def __init__(self, mark: str, session: int = -1) -> None:
        self.mark, self.session = os.fsencode(mark), session

    def members(self) -> dict[int, int]:
        """Those that live, each with its parent."""
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
            return False  # it has ended, or is another user's

    def terminate(self) -> None:
        """Ask them to end: the launcher's session, and elsewhere those that no other of them will ask."""
        found = self.members()
        for pid, parent in found.items():
            if parent not in found or session_of(pid) == self.session:
                tell(pid, signal.SIGTERM)

    def kill(self) -> None:
        """End them, and what they start meanwhile."""
        deadline = time.monotonic() + DEAD
        while (found := self.members()) and time.monotonic() < deadline:
            for pid in found:
                tell(pid, signal.SIGKILL)
            time.sleep(POLL)

    def end(self, grace: float) -> None:
        """Ask them to end, and kill those that have not after `grace` seconds."""
        began = time.monotonic()
        self.terminate()
        while (waited := time.monotonic() - began) < grace and (self.members() or waited < SETTLED):
            time.sleep(POLL)
        self.kill()


def parent_of(pid: int) -> int | None:
    """The process that a living one would report its end to; 0 where that is outside this container."""
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
        return  # it has ended already, or is another user's by now


def die_with_parent() -> None:
    """In a process that needs no guard of its own: let the kernel end it with SIGTERM when its parent ends (PR_SET_PDEATHSIG)."""
    import ctypes

    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def main() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # who tells everybody to end tells the parent, too
    if os.fork():
        os._exit(0)  # so that it is no descendant of the parent: clearml-agent kills all of those
    session = sys.stdin.read()
    Family(sys.argv[1], int(session or -1)).end(float(sys.argv[2]))


if __name__ == "__main__":
    main()
