"""Supervises a clearml-agent from start to end: whatever ends it, everything it started ends too, and no keys are left behind.

`registry agent` runs a supervisor in the terminal; `registry up` starts each as a process of its own:

    python -m registry.agents.supervisor [--docker] NAME COMMAND...    # COMMAND is the agent's
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path

from harness.errors import HarnessError

from ..environment import locked
from ..errors import RegistryError, ServiceError
from ..home import private, started_at
from . import container
from .agent import Agent, agents_folder, forget_keys, worker_id
from .processes import marked, parent_of, tell

MARK = "REGISTRY_AGENT"
"""The environment variable of an agent and everything that it starts. Its value is the agent's folder."""
POLL = 0.1
PATIENCE = float(container.PATIENCE)
SETTLING = 1.0  # seconds in which the engine may still create a container for a client that was just killed
GOODBYE = 15.0  # seconds that an idle agent has to sign off from the server
LEAVE = PATIENCE + GOODBYE + 15.0
"""Seconds within which a supervisor ends after a signal, if nothing goes wrong."""
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
TASK = re.compile(rb"CLEARML_TASK_ID=(\w{32})|--id[\0 ]'?(\w{32})")

libc = ctypes.CDLL(None)


def supervise(agent: Agent) -> int:
    """Run an agent until SIGTERM, SIGINT or SIGHUP; a second signal ends immediately what is still running. Return the exit code.

    If this process is killed, the agent is told to end, and what runs in its containers ends too.

    Raises:
        ServiceError: the agent ended by itself.
    """
    told: list[int] = []
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda number, _: told.append(number))
    mark, hurry = {str(agent.folder)}, lambda: len(told) > 1
    with locked(container.lifeline(agent.folder)) if agent.containers else contextlib.nullcontext():
        child = start(agent)
        try:
            while child.poll() is None and not told:
                time.sleep(POLL)
            if told:
                end(agent, child, hurry)
        finally:
            child.kill()
            ended = in_words(child.wait())
            tasks = tasks_of(tops(mark))
            end_runs(agent, mark, hurry)
            settle(agent, tasks, f"its agent ended: {ended}")
            if tasks and agent.containers:
                time.sleep(SETTLING)
            clear([agent.name], containers=agent.containers)
    if not told:
        raise ServiceError(f"{agent.name} ended by itself: {ended}")
    return 128 + signal.SIGINT if told[0] == signal.SIGINT else 0


def start(agent: Agent) -> subprocess.Popen[bytes]:
    with private():
        return subprocess.Popen(
            agent.argv,
            env=dict(agent.environment) | {MARK: str(agent.folder)},
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C at the terminal reaches only this process
            preexec_fn=die_with_parent,  # noqa: PLW1509  a single system call, in a library that is already loaded
        )


def end(agent: Agent, child: subprocess.Popen[bytes], hurry: Callable[[], bool]) -> None:
    """End an agent's tasks, if it has any; let an idle agent sign off from the server."""
    tasks = tasks_of(children_of(child.pid))
    if tasks:
        child.send_signal(signal.SIGSTOP)  # otherwise it would take the next task, and report this one's end in its own words
        end_runs(agent, {str(agent.folder)}, hurry, but=child.pid)
        settle(agent, tasks, "its agent was ended")
    else:
        child.terminate()
        wait_until(lambda: child.poll() is not None or hurry(), GOODBYE)


def end_runs(agent: Agent, mark: Collection[str], hurry: Callable[[], bool], but: int = 0) -> None:
    """End the containers of an agent's tasks, whose clients end with them, and then its processes."""
    if agent.containers:
        container.end([worker_id(agent.name)], hurry)
    end_left(mark, hurry, but)


def end_left(marks: Collection[str], hurry: Callable[[], bool] = lambda: False, but: int = 0) -> None:
    """End what agents started: ask the runs to end, and kill what is left after `PATIENCE`."""
    for pid in tops(marks, but):
        tell(pid, signal.SIGTERM)
    wait_until(lambda: hurry() or not left(marks, but), PATIENCE)
    while pids := left(marks, but):
        for pid in pids:
            tell(pid, signal.SIGKILL)
        time.sleep(POLL)


def left(marks: Collection[str], but: int = 0) -> set[int]:
    """The processes of the agents with these marks, except `but`."""
    return set(marked(MARK, marks)) - {but}


def tops(marks: Collection[str], but: int = 0) -> list[int]:
    """The topmost of these processes: the parent process of each run, which tells its ranks to end."""
    found = left(marks, but)
    return [pid for pid in found if parent_of(pid) not in found]


def children_of(parent: int) -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and parent_of(int(entry.name)) == parent]


def tasks_of(pids: Collection[int]) -> set[str]:
    """The tasks that processes run: one, or several for an agent of `--services`."""
    return {task for pid in pids if (task := task_of([pid]))}


def task_of(pids: Collection[int]) -> str | None:
    """The task that processes run, according to their command lines and environments."""
    for pid in pids:
        for file in ("cmdline", "environ"):
            try:
                found = TASK.search(Path(f"/proc/{pid}/{file}").read_bytes())
            except OSError:
                continue
            if found and started_at(pid):
                return (found[1] or found[2]).decode()
    return None


def settle(agent: Agent, tasks: Collection[str], reason: str) -> None:
    """Report to the server that tasks have ended with their agent, unless they have done so; and that the agent is gone."""
    if not tasks:
        return
    from ..backends import connect  # its import takes seconds
    from .stopping import give_up

    try:
        server = connect()
        for task in tasks:
            give_up(server, task, agent.environment["CLEARML_WORKER_ID"], reason)
    except (RegistryError, HarnessError) as error:
        print(f"warning: the server could not be told that {', '.join(sorted(tasks))} ended: {error}", file=sys.stderr)


def clear(names: Collection[str], *, containers: bool) -> None:
    """Remove the containers and the files with keys that ended agents have left."""
    if containers:
        container.end([worker_id(name) for name in names])
    for name in names:
        forget_keys(agents_folder() / name)


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(POLL)


def in_words(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"


def die_with_parent() -> None:
    """Make the kernel send SIGTERM to the child if this process is killed (PR_SET_PDEATHSIG). Runs in the child."""
    libc.prctl(1, signal.SIGTERM)


def main() -> int:
    containers = sys.argv[1] == "--docker"
    name, *argv = sys.argv[2 if containers else 1 :]
    try:
        return supervise(Agent(name, tuple(argv), os.environ, containers))
    except ServiceError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
