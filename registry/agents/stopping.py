"""Ending tasks from outside: by a person, or for an agent that has gone."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from harness import requeue
from harness.reasons import reason_of

from ..backends import Server
from ..errors import RefusedError

START_WITHIN = 30.0  # seconds that an agent has to start what it has taken
LOOK_AGAIN = 0.3  # seconds


def stop(server: Server, task: Mapping[str, Any]) -> str:
    """Take a task off its queue, or have its agent end it. Returns the status that it had: queued or in_progress, or how it ended.

    A queued task may start meanwhile, and a server takes even a running one for a draft when it is told to dequeue it: so only a
    task whose place in the queue was given up is dequeued, and one that an agent has taken is stopped once it has started. One
    that its machine has ended, and that is about to be back in its queue, is waited for.
    """
    queue, deadline = str((task.get("execution") or {}).get("queue") or ""), time.monotonic() + START_WITHIN
    comeback = requeue.Comeback()
    while task["status"] == "queued" or comeback.awaited(task):
        ours = queue != "" and leave_queue(server, queue, task["id"])
        task = server.task(task["id"])
        if task["status"] == "queued" and (ours or time.monotonic() > deadline):
            server.call("tasks.dequeue", task=task["id"])
            return "queued"
        time.sleep(LOOK_AGAIN)
    if task["status"] == "in_progress":
        server.call("tasks.stop", task=task["id"], status_reason="stopped from the command line")
    return str(task["status"])


def leave_queue(server: Server, queue: str, task: str) -> bool:
    """Give up a task's place in a queue; False if it is not there: an agent has taken it."""
    try:
        server.call("queues.remove_task", queue=queue, task=task)
    except RefusedError:
        return False
    return True


def give_up(server: Server, task: str, worker: str, reason: str) -> None:
    """Tell that a worker is gone, and its task stopped unless that has ended already; it may go back to its queue then."""
    before = requeue.look(server, task)
    if before["status"] == "in_progress":
        server.call("tasks.stopped", task=task, status_reason=reason)
    server.call("workers.unregister", worker=worker)
    found = requeue.look(server, task)
    if requeue.ended_by_machine(found) and not requeue.asked_to_stop(before):
        requeue.put_back(server, found, reason_of(found))
