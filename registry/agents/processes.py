"""Processes that outlive the command that starts them. Each has a record, by which later commands find and end it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ..home import started_at

GRACE = 15.0  # seconds that a process has to end by itself
SHOWN = 12  # lines of a log in an error message
_children: list[subprocess.Popen[bytes]] = []  # of this process, which has to reap them


@dataclass(frozen=True)
class Process:
    """A process of ours. Its start time distinguishes it from a later process with the same ID."""

    name: str
    pid: int
    started: str
    log: str
    queues: tuple[str, ...] = ()
    containers: bool = False
    """Whether an agent runs its tasks in containers."""
    foreground: bool = False
    """Whether a user runs it in a terminal or as a service, and will end it."""

    @property
    def is_alive(self) -> bool:
        for child in _children:
            child.poll()
        return started_at(self.pid) == self.started

    def last_lines(self) -> str:
        try:
            lines = Path(self.log).read_text(errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(f"    {line}" for line in lines[-SHOWN:])


def start(
    name: str, argv: Sequence[str], environment: Mapping[str, str], folder: Path, queues: Sequence[str] = (), *, containers: bool = False
) -> Process:
    """Start a process in its own session, with its log and record in `folder`."""
    log = folder / f"{name}.log"
    with log.open("ab") as output:
        child = subprocess.Popen(
            argv, env=dict(environment), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    _children.append(child)
    process = Process(name, child.pid, started_at(child.pid) or "", str(log), tuple(queues), containers)
    try:
        record(process, folder)
    except OSError:
        child.kill()  # without a record, nothing would ever end it
        raise
    return process


def record(process: Process, folder: Path) -> None:
    """Write the record of a process, so that it can be found and ended."""
    path = folder / f"{process.name}.json"
    beside = path.with_suffix(".json.new")
    beside.write_text(json.dumps(asdict(process)))
    beside.replace(path)


def recorded(folder: Path) -> list[Process]:
    """The processes with a record in `folder`, running or not."""
    return [
        Process(**{**json.loads(path.read_text()), "queues": tuple(json.loads(path.read_text())["queues"])})
        for path in sorted(folder.glob("*.json"))
    ]


def forget(process: Process, folder: Path) -> None:
    (folder / f"{process.name}.json").unlink(missing_ok=True)


def end(processes: Sequence[Process], grace: float = GRACE) -> None:
    """End processes and what they started: ask all of them at once, and kill those that are left after `grace` seconds."""
    running = [process for process in processes if process.is_alive]
    for process in running:
        tell(process.pid, signal.SIGTERM)
    if not gone(running, grace):
        for process in running:
            for pid in session_of(process):
                tell(pid, signal.SIGKILL)
        gone(running, grace)


def gone(processes: Sequence[Process], patience: float) -> bool:
    """Wait until processes and what they started have ended. False if some have not after `patience` seconds."""
    deadline = time.monotonic() + patience
    while any(process.is_alive or any(session_of(process)) for process in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def session_of(process: Process) -> Iterator[int]:
    """The processes in the session of a process of ours. The session's number is not reused while one of them lives."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and started_at(int(entry.name)):
            try:
                if os.getsid(int(entry.name)) == process.pid:
                    yield int(entry.name)
            except OSError:
                continue


def marked(name: str, values: Collection[str]) -> Iterator[int]:
    """The processes with one of these values in an environment variable. They are found even if the process that started them is gone."""
    wanted = {os.fsencode(f"{name}={value}") for value in values}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                variables = (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue  # it has ended, or belongs to another user
            if not wanted.isdisjoint(variables) and started_at(int(entry.name)):
                yield int(entry.name)


def parent_of(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def tell(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
