"""Ends tasks from outside: for a user, or for an agent that is gone."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from harness import requeue
from harness.reasons import reason_of

from ..backends import Server
from ..errors import RefusedError

START_WITHIN = 30.0  # seconds that an agent has to start a task that it has taken
LOOK_AGAIN = 0.3  # seconds


def stop(server: Server, task: Mapping[str, Any]) -> str:
    """Remove a task from its queue, or have its agent end it. Return the status that it had: queued, in_progress, or how it ended.

    A queued task may start meanwhile, and the server turns even a running task into a draft if told to dequeue it. Therefore a task is
    dequeued only after it has been removed from the queue; one that an agent has taken is stopped once it has started. A task that
    its machine has ended, and that is about to be requeued, is waited for.
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
    """Remove a task from a queue. False if it is not there, because an agent has taken it."""
    try:
        server.call("queues.remove_task", queue=queue, task=task)
    except RefusedError:
        return False
    return True


def give_up(server: Server, task: str, worker: str, reason: str) -> None:
    """Report to the server that a worker is gone, and that its task is stopped if it has not ended. The task may be requeued."""
    before = requeue.look(server, task)
    if before["status"] == "in_progress":
        server.call("tasks.stopped", task=task, status_reason=reason)
    server.call("workers.unregister", worker=worker)
    found = requeue.look(server, task)
    if requeue.ended_by_machine(found) and not requeue.asked_to_stop(before):
        requeue.put_back(server, found, reason_of(found))
