"""A process that outlives its run, and requeues the run's task if the run's machine has ended it.

The run cannot do this itself: its agent reports the end of the run afterwards, and if another agent had already taken the task by then,
ClearML's server would apply that report to the new run and end it. A clearml-agent leaves a task alone in two cases: if it saw the task
stopped while the run was alive, in which case it kills the run, and after its final report. Therefore the run marks its task as stopped
and waits to be killed; and this process, which is not a child of the agent, enqueues the task once no more report can follow.

    python -m harness.sidecar TASK AGENT      reads the run's messages from standard input
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import reasons, requeue
from .api import connect, request

GOODBYE = "goodbye"
"""The message of a run that ends by itself, since its agent has not killed it."""
LOOKS = 3
"""The number of an agent's polls after which its final report is assumed to have been made."""
RANKS = 25.0
"""Seconds after which the guard has ended the ranks of a killed run."""
TRYING = 600.0
"""Seconds for which requests to an unresponsive server are repeated."""
AGAIN = 2.0
"""Seconds between these attempts."""
LOOK = 0.5
"""Seconds between two checks of the task."""
ENDED = ("stopped", "failed")
OF_THE_RUN = ("REGISTRY_AGENT", "CLEARML_TASK_ID", "TRAINS_TASK_ID", "CLEARML_PROC_MASTER_ID", "TRAINS_PROC_MASTER_ID")
"""Variables that mark a process as belonging to the agent or the run, which would end it."""
ENDINGS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Process:
    """A process of this machine, identified by its ID and its start time, as IDs are reused."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.began = self.stat()[19:20]

    def stat(self) -> list[str]:
        """The fields of /proc/PID/stat, see proc(5), from the state on; empty if the process is gone."""
        try:
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return []

    @property
    def is_alive(self) -> bool:
        now = self.stat()
        return bool(now) and now[19:20] == self.began and now[0] not in "ZX"

    @property
    def can_speak(self) -> bool:
        """Whether it is alive and not suspended: a supervisor suspends an agent whose run it ends."""
        return self.is_alive and self.stat()[:1] not in (["T"], ["t"])


def last_word() -> float:
    """Seconds within which an agent makes its final report: it polls a task every 5 seconds by default."""
    return LOOKS * float(os.environ.get("CLEARML_AGENT_QUEUE_POLL_FREQ_SEC") or 5)


class Sidecar:
    """The run's handle of its sidecar process."""

    def __init__(self, task: str, agent: int, left: int, source: Path, log: Path) -> None:
        """Start the sidecar of a task.

        Args:
            task: the task's ID.
            agent: the process ID of the clearml-agent that runs the task.
            left: how often the task may still be requeued.
            source: the folder that contains this package.
            log: the file for the sidecar's output.
        """
        self.agent, self.left = Process(agent), left
        log.parent.mkdir(parents=True, exist_ok=True)
        environment = {name: value for name, value in os.environ.items() if name not in OF_THE_RUN} | {"PYTHONPATH": str(source)}
        with log.open("ab") as lines:
            process = subprocess.Popen(
                [sys.executable, "-m", "harness.sidecar", task, str(agent)],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=lines,
                stderr=lines,
                start_new_session=True,
            )
        process.wait()  # its second process continues as an orphan
        assert process.stdin is not None
        self.words = process.stdin

    def say(self, line: str) -> None:
        try:
            self.words.write(line.replace("\n", "; ").encode() + b"\n")
            self.words.flush()
        except OSError as error:  # it was killed
            print(f"WARNING: the task will not be requeued: {error}", file=sys.stderr, flush=True)

    def leave(self) -> None:
        """Wait to be killed by the agent, which will not happen if the agent is gone, suspended, or cut off from the server."""
        deadline = time.monotonic() + last_word()
        while self.agent.can_speak and time.monotonic() < deadline:
            time.sleep(LOOK / 5)
        self.say(GOODBYE)


def put_back(connection: Any, task: str, started: str | None, agent: Process, words: Sequence[str], since: float) -> str:
    """Requeue a task once its agent has made its final report, and return what was done, or why nothing was.

    Args:
        connection: an object with the `session` of the SDK.
        task: the task's ID.
        started: when the run started, if known. A later start belongs to another run, which must be left alone.
        agent: the agent of the run.
        words: the run's messages: the reason of its end, and `GOODBYE` if it was not killed.
        since: when the run ended, by the monotonic clock.
    """
    reason = next((word for word in words if word != GOODBYE), None)
    killed = GOODBYE not in words
    while True:
        found = requeue.look(connection, task)
        passed = time.monotonic() - since
        ran_out, gone, status = passed > last_word(), not agent.is_alive, found["status"]
        if (started and found.get("started") != started) or status not in (*ENDED, "in_progress"):
            return f"not requeued: the task is {status}"
        if status == "in_progress" and gone and (reason or passed > RANKS) and not requeue.asked_to_stop(found):
            reason = reason or "its agent is gone"
            reasons.tell(connection, task, reason)
            request(connection, "stopped", task=task, force=True, status_reason=reason, status_message=reason)
        elif status in ENDED and not (reason or requeue.ended_by_machine(found)):
            return f"not requeued: {reasons.reason_of(found)}"
        elif found.get("status_reason") == requeue.BY_PERSON or (gone and requeue.asked_to_stop(found)):
            return "not requeued: a person has stopped the task"
        elif status in ENDED and (gone or ran_out or (killed and status == "stopped") or reasons.is_by_agent(found)):
            return requeue.put_back(connection, found, reason or reasons.reason_of(found))
        elif ran_out and reason is None and not gone:
            return "not requeued: the task is still running"
        time.sleep(LOOK)


def patiently(what: Callable[[], Any]) -> Any:
    """The value of `what`, which is called again while it fails, as when the server does not answer; None after `TRYING` seconds."""
    deadline = time.monotonic() + TRYING
    while True:
        try:
            return what()
        except Exception as error:  # noqa: BLE001  of the SDK, requests or the server: this process is the last that can try again
            print(f"failed, will try again: {error}", flush=True)
            if time.monotonic() > deadline:
                print("gave up: the task was not requeued; the run's files are kept", flush=True)
                return None
        time.sleep(AGAIN)


def main(task: str, agent: str) -> None:
    for number in ENDINGS:
        signal.signal(number, signal.SIG_IGN)  # a machine that shuts down sends these to all processes
    if os.fork():
        os._exit(0)  # becomes an orphan: whoever kills the run's children does not find this process
    connection = patiently(connect)  # now, since the agent removes its keys when it ends
    known: Mapping[str, Any] = patiently(lambda: requeue.look(connection, task)) or {}
    watched = Process(int(agent))
    words = sys.stdin.read().splitlines()  # until the run ends
    since = time.monotonic()
    print(patiently(lambda: put_back(connection, task, known.get("started"), watched, words, since)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
