"""Launchers: command lines as pure functions of the plan, and the one process that the parent watches over."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from .errors import LaunchError, ParameterError
from .reasons import ended

GRACE = 20.0
"""Seconds that ranks have to end after SIGTERM before they are killed."""
LEFT_BEHIND = 3.0
"""Seconds that processes may outlive the launcher that started them."""


@dataclass(frozen=True)
class Launch:
    """How many processes, and where they meet."""

    launcher: str
    nproc_per_node: int = 1
    nnodes: int = 1

    def argv(self, python: str, script: str, environment: Mapping[str, str]) -> list[str]:
        """The command line that starts every rank on this machine.

        Between machines the rendezvous is the static one: c10d's would give out the ranks in an order of its own, and global rank 0,
        which reports, belongs on the machine whose task the run is.

        Args:
            python: interpreter of the image's environment.
            script: entry script.
            environment: where MASTER_ADDR, MASTER_PORT and NODE_RANK are read for several machines.

        Raises:
            ParameterError: several machines, and one of these is missing or no such thing.
        """
        if self.launcher in {"inline", "own"} or (self.nproc_per_node == 1 and self.nnodes == 1):
            return [python, script]
        processes = ["--nproc_per_node", str(self.nproc_per_node), script]
        module = "paddle.distributed.launch" if self.launcher == "paddle" else "torch.distributed.run"
        if self.nnodes == 1:
            return [python, "-m", module, *([] if self.launcher == "paddle" else ["--standalone"]), *processes]
        endpoint, rank = meeting(environment, self.nnodes)
        if self.launcher == "paddle":
            place = ["--master", endpoint, "--rank", rank]
        else:
            place = ["--rdzv_backend", "static", "--rdzv_endpoint", endpoint, "--node_rank", rank]
        return [python, "-m", module, "--nnodes", str(self.nnodes), *place, *processes]


def meeting(environment: Mapping[str, str], nnodes: int) -> tuple[str, str]:
    """The address and port where machines meet, and which of them this one is.

    Raises:
        ParameterError: naming every variable that is missing or wrong.
    """
    if problems := problems_of_meeting(environment, nnodes):
        raise ParameterError(problems)
    host = environment["MASTER_ADDR"]
    return f"{f'[{host}]' if ':' in host else host}:{environment['MASTER_PORT']}", environment["NODE_RANK"]


def problems_of_meeting(environment: Mapping[str, str], nnodes: int) -> list[str]:
    """What is missing or wrong among the variables that several machines meet by."""
    limits = {"MASTER_PORT": (1, 65535), "NODE_RANK": (0, nnodes - 1)}
    problems = []
    if missing := [name for name in ("MASTER_ADDR", *limits) if not environment.get(name)]:
        problems.append(
            f"nnodes={nnodes} without an agent: set {', '.join(missing)} on each machine, NODE_RANK from 0 to {nnodes - 1}; or let "
            "ClearML start the machines: registry enqueue"
        )
    for name, (least, most) in limits.items():
        value = environment.get(name)
        if value and not (value.isdecimal() and least <= int(value) <= most):
            problems.append(f"{name}={value}: must be int from {least} to {most}")
    return problems


def image_python(image: str, root: Path, environment: Mapping[str, str]) -> str:
    """The interpreter that has the image's packages.

    Inside a container it is this one. On a bare machine it is `<HARNESS_ENVS>/<image>/bin/python`; a clone's own `.venvs/` is
    where HARNESS_ENVS leads by default.

    Raises:
        LaunchError: when HARNESS_ENVS is set and has no such environment.
    """
    stated = environment.get("HARNESS_ENVS")
    python = Path(stated or root / ".venvs") / image / "bin" / "python"
    if python.exists():
        return str(python)
    if stated:
        raise LaunchError(f"the environment of image {image} is not built at {python.parents[1]}; type: make env/{image}")
    return sys.executable


def supervise(argv: Sequence[str], environment: Mapping[str, str], log: BinaryIO, failure: Callable[[], str | None]) -> None:
    """Run the ranks to their end, their output going to standard output and `log`.

    SIGTERM and SIGINT are passed on; ranks that outlive their grace are killed. Whatever ends this process ends them too.

    Args:
        failure: tells, after a bad end, what a rank said was wrong.

    Raises:
        LaunchError: with exit code and reason, when they did not end well.
    """
    process = subprocess.Popen(
        argv,
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=die_with_parent,  # noqa: PLW1509  one system call, its library loaded before
    )
    threading.Thread(target=clear_away, args=[process], daemon=True).start()
    stopped: list[int] = []

    def stop(number: int, _frame: object) -> None:
        stopped.append(number)
        signal_group(process.pid, signal.SIGTERM)
        signal.signal(signal.SIGALRM, lambda *_: signal_group(process.pid, signal.SIGKILL))
        signal.setitimer(signal.ITIMER_REAL, GRACE)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        for part in output_of(process):
            sys.stdout.write(part.decode(errors="replace"))
            sys.stdout.flush()
            log.write(part.rpartition(b"\r")[2] if not part.endswith(b"\r") else b"")
            log.flush()
        code = process.wait()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal_group(process.pid, signal.SIGKILL)
        for number, handler in before.items():
            signal.signal(number, handler)
    if stopped:
        raise LaunchError(f"stopped by {signal.Signals(stopped[0]).name}; the last checkpoint is kept", 128 + stopped[0])
    if code:
        raise LaunchError(failure() or ended(code), code if code > 0 else 128 - code)


def clear_away(process: subprocess.Popen[bytes]) -> None:
    """End what a launcher left behind (workers of a killed rank): it would hold the output open for ever."""
    process.wait()
    time.sleep(LEFT_BEHIND)
    signal_group(process.pid, signal.SIGKILL)


def output_of(process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    """Pieces of output as they come, cut at line ends and carriage returns (progress bars)."""
    assert process.stdout is not None
    rest = b""
    while piece := os.read(process.stdout.fileno(), 65536):
        rest += piece
        cut = max(rest.rfind(b"\n"), rest.rfind(b"\r")) + 1
        yield from rest[:cut].splitlines(keepends=True)
        rest = rest[cut:]
    if rest:
        yield rest


def signal_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return  # it has ended already


libc = ctypes.CDLL(None)


def die_with_parent() -> None:
    """In the child, before it starts: let the kernel end it with SIGTERM when the parent is killed (PR_SET_PDEATHSIG)."""
    libc.prctl(1, signal.SIGTERM)
