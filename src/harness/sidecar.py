"""A process beside a run that outlives it, and puts the run's task back into its queue if the run's machine has ended it.

The run itself cannot. What its agent says when the run has ended would hit a task that another agent may have taken by then: on ClearML's
server it would end that one's run. A clearml-agent leaves a task alone in two cases: it has seen it stopped while the run still lived, and
kills the run; or it has said its last word. So the run says that it has stopped and waits to be killed, and this process, which
is none of the agent's children, enqueues the task once the agent has nothing more to say.

    python -m harness.sidecar TASK AGENT      what the run has to say comes by standard input
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
"""What a run says that ends by itself: its agent has not killed it."""
LOOKS = 3
"""So many times an agent looks at a task before it is taken for one that has said its last word."""
RANKS = 25.0
"""Seconds after which the ranks of a run that was killed have ended, by the run's guard."""
TRYING = 600.0
"""Seconds in which a server is tried that does not answer."""
AGAIN = 2.0
"""Seconds between two such attempts."""
LOOK = 0.5
"""Seconds between two looks at the task."""
ENDED = ("stopped", "failed")
OF_THE_RUN = ("REGISTRY_AGENT", "CLEARML_TASK_ID", "TRAINS_TASK_ID", "CLEARML_PROC_MASTER_ID", "TRAINS_PROC_MASTER_ID")
"""Variables by which a process is the agent's, or the run's."""
ENDINGS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Process:
    """A process of this machine, known by its number and its start."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.began = self.stat()[19:20]

    def stat(self) -> list[str]:
        """The fields of proc(5) from the state on; none if it is gone."""
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
        """Whether it lives and was not halted, as a supervisor halts an agent whose run it ends."""
        return self.is_alive and self.stat()[:1] not in (["T"], ["t"])


def last_word() -> float:
    """Seconds that an agent has to say its last word: it looks at a task every 5, unless told otherwise."""
    return LOOKS * float(os.environ.get("CLEARML_AGENT_QUEUE_POLL_FREQ_SEC") or 5)


class Sidecar:
    """The run's side of it."""

    def __init__(self, task: str, agent: int, left: int, source: Path, log: Path) -> None:
        """Start it for a task.

        Args:
            agent: process ID of the clearml-agent that runs the task.
            left: how often the task may still go back.
            source: the folder of this package.
            log: the sidecar's own.
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
        process.wait()  # it goes on as nobody's child
        assert process.stdin is not None
        self.words = process.stdin

    def say(self, line: str) -> None:
        try:
            self.words.write(line.replace("\n", "; ").encode() + b"\n")
            self.words.flush()
        except OSError as error:  # it was killed
            print(f"WARNING: the task will not be requeued: {error}", file=sys.stderr, flush=True)

    def leave(self) -> None:
        """Wait to be killed by the agent, which has something better to do only if it is gone, or halted, or does not reach the server."""
        deadline = time.monotonic() + last_word()
        while self.agent.can_speak and time.monotonic() < deadline:
            time.sleep(LOOK / 5)
        self.say(GOODBYE)


def put_back(connection: Any, task: str, started: str | None, agent: Process, words: Sequence[str], since: float) -> str:
    """Put a task back into its queue once its agent has nothing more to say; what was done, or why nothing.

    Args:
        connection: has the `session` of the SDK.
        started: when the run was started, as far as it is known.
        agent: which ran it.
        words: what the run has said: why it was ended, and whether by itself.
        since: when it ended, by the monotonic clock.
    """
    reason = next((word for word in words if word != GOODBYE), None)
    killed = GOODBYE not in words
    while True:
        found = requeue.look(connection, task)
        passed = time.monotonic() - since
        ran_out, gone, status = passed > last_word(), not agent.is_alive, found["status"]
        if (started and found.get("started") != started) or status not in (*ENDED, "in_progress"):
            return f"left alone: it is {status}"
        if status == "in_progress" and gone and (reason or passed > RANKS) and not requeue.asked_to_stop(found):
            reason = reason or "its agent is gone"
            reasons.tell(connection, task, reason)
            request(connection, "stopped", task=task, force=True, status_reason=reason, status_message=reason)
        elif status in ENDED and not (reason or requeue.ended_by_machine(found)):
            return f"left alone: {reasons.reason_of(found)}"
        elif found.get("status_reason") == requeue.BY_PERSON or (gone and requeue.asked_to_stop(found)):
            return "left alone: a person has stopped it"
        elif status in ENDED and (gone or ran_out or (killed and status == "stopped") or reasons.is_by_agent(found)):
            return requeue.put_back(connection, found, reason or reasons.reason_of(found))
        elif ran_out and reason is None and not gone:
            return "left alone: it goes on"
        time.sleep(LOOK)


def patiently(what: Callable[[], Any]) -> Any:
    """The value of `what`, tried anew while it fails, as it does while the server does not answer; None in the end."""
    deadline = time.monotonic() + TRYING
    while True:
        try:
            return what()
        except Exception as error:
            print(f"not yet: {error}", flush=True)
            if time.monotonic() > deadline:
                print("given up; the run's files are where they were", flush=True)
                return None
        time.sleep(AGAIN)


def main(task: str, agent: str) -> None:
    for number in ENDINGS:
        signal.signal(number, signal.SIG_IGN)  # a machine that goes down tells everybody
    if os.fork():
        os._exit(0)  # whoever ends the run's children does not find this process among them
    connection = patiently(connect)  # now: the agent removes its keys when it ends
    known: Mapping[str, Any] = patiently(lambda: requeue.look(connection, task)) or {}
    watched = Process(int(agent))
    words = sys.stdin.read().splitlines()  # to the end of the run
    since = time.monotonic()
    print(patiently(lambda: put_back(connection, task, known.get("started"), watched, words, since)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
