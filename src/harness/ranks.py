"""The ranks of a run on this machine: the one process that the parent watches over, the launcher, and all that it starts."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import BinaryIO

from . import guard
from .errors import LaunchError
from .output import pass_on, reads
from .reasons import ended

log = logging.getLogger(__name__)

GRACE = 20.0
"""Seconds that ranks have to end after SIGTERM before they are killed."""
LEFT_BEHIND = 3.0
"""Seconds that processes may outlive the launcher that started them."""
MARK = "HARNESS_RANKS"
"""The variable by which the ranks and what they start are found, whatever becomes of the processes between."""


class Ranks:
    """One launcher's processes. Nothing of them outlives `close`, nor this process, however it ends."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start them. From now on SIGTERM and SIGINT are theirs; a second one gives them no more time."""
        identity = uuid.uuid4().hex
        self.family = guard.Family(f"{MARK}={identity}")
        self.guard = guarded(f"{MARK}={identity}", GRACE)
        self.stopped: list[int] = []
        self.over = threading.Event()
        signal.signal(signal.SIGTERM, self.stop)
        self.interrupt = signal.signal(signal.SIGINT, self.stop)
        self.process = subprocess.Popen(
            argv, env={**environment, MARK: identity}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        )
        self.family.session = self.process.pid
        assert self.guard.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.guard.stdin.write(b"%d" % self.process.pid)
        if self.guard.wait():  # it has left for its own place
            log.warning("the ranks may outlive this process if it is killed: their guard ended with exit code %d", self.guard.returncode)
        if self.stopped:
            self.family.terminate()  # there was nobody to tell yet
        threading.Thread(target=self.clear_away, daemon=True).start()

    def stop(self, number: int, _frame: object) -> None:
        self.stopped.append(number)
        if len(self.stopped) == 1:
            self.family.terminate()
            threading.Thread(target=self.kill_after, args=[GRACE], daemon=True).start()

    def kill_after(self, seconds: float) -> None:
        """Kill those that are left then."""
        if not self.over.wait(seconds):
            self.family.kill()

    def clear_away(self) -> None:
        """End what a launcher left behind (workers of a killed rank): it would hold the output open for ever."""
        self.process.wait()
        self.kill_after(LEFT_BEHIND)

    def close(self) -> None:
        """End what is left. SIGTERM is ignored from now on: the run ends already."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self.over.set()
        self.family.kill()
        signal.signal(signal.SIGINT, self.interrupt)
        self.guard.communicate()


def supervise(argv: Sequence[str], environment: Mapping[str, str], log: BinaryIO, failure: Callable[[], str | None]) -> None:
    """Run the ranks to their end, their output going to standard output and `log`.

    SIGTERM and SIGINT are passed on; ranks that outlive their grace are killed. Whatever ends this process ends them too.

    Args:
        failure: tells, after a bad end, what a rank said was wrong.

    Raises:
        LaunchError: with exit code and reason, when they did not end well.
    """
    ranks = Ranks(argv, environment)
    try:
        assert ranks.process.stdout is not None
        pass_on(reads(ranks.process.stdout.fileno()), sys.stdout, log)
        code = ranks.process.wait()
    finally:
        ranks.close()
    if ranks.stopped:
        raise LaunchError(f"stopped by {signal.Signals(ranks.stopped[0]).name}; the last checkpoint is kept", 128 + ranks.stopped[0])
    if code:
        raise LaunchError(failure() or ended(code), code if code > 0 else 128 - code)


def guarded(mark: str, grace: float) -> subprocess.Popen[bytes]:
    """Let nothing with `mark` (NAME=VALUE) in its environment outlive this process by more than `grace` seconds.

    Returns the process that starts the guard and ends; the guard acts at the end of what is written to its standard input.
    """
    needed = {name: value for name, value in os.environ.items() if name == "LD_LIBRARY_PATH"}
    return subprocess.Popen(
        [sys.executable, "-I", "-S", guard.__file__, mark, str(grace)],
        bufsize=0,
        cwd="/",
        env=needed,  # not the parent's: it would be taken for a process of the run
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
