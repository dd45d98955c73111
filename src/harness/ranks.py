"""The ranks of a run on this machine: the launcher, which the parent supervises, and everything that the launcher starts."""

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
from pathlib import Path
from typing import BinaryIO

from . import guard
from .errors import LaunchError
from .output import pass_on, reads
from .reasons import STOPPED, ended

log = logging.getLogger(__name__)

GRACE = 20.0
"""Seconds within which ranks have to end after a SIGTERM, before they are killed."""
LEFT_BEHIND = 3.0
"""Seconds that processes may outlive their launcher."""
MARK = "HARNESS_RANKS"
"""The environment variable that marks the ranks and all that they start, also when the processes between have ended."""


class Ranks:
    """The processes of one launcher. None of them outlives `close`, or this process, however it ends."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str], folder: Path | None = None) -> None:
        """Start them, in `folder` if it is given. From now on they get SIGTERM and SIGINT; a second signal does not extend their time."""
        identity = uuid.uuid4().hex
        self.family = guard.Family(f"{MARK}={identity}")
        self.guard = guarded(f"{MARK}={identity}", GRACE)
        self.stopped: list[int] = []
        self.over = threading.Event()
        signal.signal(signal.SIGTERM, self.stop)
        self.interrupt = signal.signal(signal.SIGINT, self.stop)
        own = {**environment, MARK: identity}
        self.process = subprocess.Popen(argv, env=own, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        self.family.session = self.process.pid
        assert self.guard.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.guard.stdin.write(b"%d" % self.process.pid)
        if self.guard.wait():  # its second process runs on; this one has only started it
            log.warning(
                "the ranks may outlive this process if it is killed: their guard could not be started (exit code %d)", self.guard.returncode
            )
        if self.stopped:
            self.family.terminate()  # a signal that came before there was any process to pass it to
        threading.Thread(target=self.clear_away, daemon=True).start()

    def stop(self, number: int, _frame: object) -> None:
        self.stopped.append(number)
        if len(self.stopped) == 1:
            self.family.terminate()
            threading.Thread(target=self.kill_after, args=[GRACE], daemon=True).start()

    def kill_after(self, seconds: float) -> None:
        """Kill those that are left after that time."""
        if not self.over.wait(seconds):
            self.family.kill()

    def clear_away(self) -> None:
        """End the processes that a launcher left behind, such as workers of a killed rank: they would hold the output open forever."""
        self.process.wait()
        self.kill_after(LEFT_BEHIND)

    def close(self) -> None:
        """End all that are left. From now on SIGTERM is ignored, as the run is already ending."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self.over.set()
        self.family.kill()
        signal.signal(signal.SIGINT, self.interrupt)
        self.guard.communicate()


def supervise(
    argv: Sequence[str],
    environment: Mapping[str, str],
    log: BinaryIO,
    failure: Callable[[], str | None],
    folder: Path | None = None,
) -> None:
    """Run the ranks until they end, and copy their output to standard output and `log`.

    SIGTERM and SIGINT are passed on; ranks that do not end in time are killed. If this process ends, however it does, so do the ranks.

    Args:
        failure: returns, after a failure, the error that a rank reported.
        folder: their working folder; by default the present one.

    Raises:
        LaunchError: with exit code and reason, if they failed or were stopped.
    """
    ranks = Ranks(argv, environment, folder)
    try:
        assert ranks.process.stdout is not None
        pass_on(reads(ranks.process.stdout.fileno()), sys.stdout, log)
        code = ranks.process.wait()
    finally:
        ranks.close()
    if ranks.stopped:
        raise LaunchError(f"{STOPPED} {signal.Signals(ranks.stopped[0]).name}; the last checkpoint is kept", 128 + ranks.stopped[0])
    if code:
        raise LaunchError(failure() or ended(code), code if code > 0 else 128 - code)


def guarded(mark: str, grace: float) -> subprocess.Popen[bytes]:
    """Make sure that no process with `mark` (NAME=VALUE) in its environment outlives this one by more than `grace` seconds.

    Returns the process that starts the guard and then ends. The guard acts when its standard input is closed.
    """
    needed = {name: value for name, value in os.environ.items() if name == "LD_LIBRARY_PATH"}
    return subprocess.Popen(
        [sys.executable, "-I", "-S", guard.__file__, mark, str(grace)],
        bufsize=0,
        cwd="/",
        env=needed,  # not the whole environment of the parent: its mark would make the guard a process of the run
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
