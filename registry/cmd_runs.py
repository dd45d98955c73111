"""compare, status, logs, stop: what became of runs."""

from __future__ import annotations

from typing import Any

import click

from harness import requeue
from harness.reasons import reason_of

from .console import print_json, print_table, say

RECENT = 20


@click.command("compare")
@click.argument("tasks", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="As a JSON list, one object per task.")
def compare_command(tasks: tuple[str, ...], as_json: bool) -> None:
    """Compare tasks: settings that differ, last and best value of each scalar, status and duration.

    Each TASK is an ID, the beginning of one or an exact name. What a run's workload declares comes first, a star marks the run that is
    best in it. Whether a scalar is best at its minimum is declared there, too, else read from the words of its name.
    """
    from .backends import connect
    from .compare import as_json as objects
    from .compare import comparison
    from .lookup import find_tasks

    server = connect()
    found = find_tasks(server, tasks)
    if as_json:
        print_json(objects(found))
        return
    columns = ["", *(f"{task['name']}\n{task['id'][:8]}" for task in found)]
    rows: list[list[str]] = []
    for part, values in comparison(found):
        rows += [[f"-- {part}", *[""] * len(found)]]
        rows += [[name, *row] for name, row in values] or [["(no difference)" if part == "settings" else "(none)", *[""] * len(found)]]
    print_table(columns, rows)
    if len(found) > 1:
        say(f"page: {server.web.rstrip('/')}/compare?ids={','.join(task['id'] for task in found)}") if server.embedded else None


@click.command()
@click.argument("tasks", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="As a JSON list of objects.")
def status(tasks: tuple[str, ...], as_json: bool) -> None:
    """Show the status of tasks; without any, of the most recent ones."""
    from .backends import connect
    from .lookup import find_tasks
    from .metrics import not_finite
    from .watch import age, duration, numbers

    server = connect()
    found = find_tasks(server, tasks) if tasks else recent(server)
    queues = {queue.id: queue.name for queue in server.queues().values()}
    if as_json:
        keys = ("id", "name", "status", "status_reason", "started", "completed", "last_iteration")
        print_json(
            [
                {key: task.get(key) for key in keys}
                | {
                    "reason": reason_of(task),
                    "requeued": requeue.count(task),
                    "duration_s": duration(task),
                    "queue": queue_of(task, queues),
                    "not_finite": not_finite(task),
                }
                for task in found
            ]
        )
    else:
        columns = ("ID", "task", "status", "queue", "time", "last scalars")
        print_table(
            columns, [(task["id"][:8], task["name"], told(task), queue_of(task, queues), age(task), numbers(task)) for task in found]
        )


def recent(server: Any) -> list[dict[str, Any]]:
    """The newest runs, without the tasks in which ClearML keeps datasets."""
    found: list[dict[str, Any]] = server.tasks(page=0, page_size=RECENT, system_tags=["-dataset"])
    return found


def told(task: dict[str, Any], width: int | None = 80) -> str:
    """A task's status; of one that ended badly also why, cut to its first line and to `width` unless that is None."""
    why = reason_of(task) if task["status"] in ("failed", "stopped") else ""
    status = f"{task['status']} ({requeued})" if (requeued := requeue.told(task)) else str(task["status"])
    return f"{status}: {why.splitlines()[0][:width] if width else why}" if why else status


def queue_of(task: dict[str, Any], queues: dict[str, str]) -> str:
    return queues.get((task.get("execution") or {}).get("queue", ""), "")


@click.command()
@click.argument("task")
@click.option("--follow", "-f", is_flag=True, help="Go on until the task ends.")
def logs(task: str, follow: bool) -> None:
    """Print a task's console output, and at its end why it failed or was stopped."""
    from .backends import connect
    from .lookup import find_task
    from .watch import follow_log

    server = connect()
    found = find_task(server, task)
    follow_log(server, found["id"], click.echo, until_end=follow)
    ended = server.task(found["id"])
    if ended["status"] in ("failed", "stopped"):
        say(f"{ended['name']} ({ended['id']}): {told(ended, width=None)}")


@click.command()
@click.argument("task")
def stop(task: str) -> None:
    """Stop a task: off its queue, or ended by its agent; what an agent that is gone left running on this machine is ended here.

    What it has saved stays, see enqueue --resume.
    """
    from . import orphans, stopping
    from .backends import connect
    from .errors import UsageError
    from .lookup import find_task

    server = connect()
    found = find_task(server, task)
    was = stopping.stop(server, found)
    if was != "queued" and orphans.end(server, found):
        was = "orphan"
    elif found["status"] not in stopping.STOPPABLE and not requeue.goes_back(found):
        raise UsageError(f"task {found['id']} ({found['name']}) is {found['status']}; there is nothing to stop")
    outcomes = {
        "queued": "taken off its queue",
        "in_progress": "stopping",
        "orphan": "stopped; its agent was gone, and has left it running",
    }
    say(f"{found['name']} ({found['id']}): {outcomes.get(was, f'{was} meanwhile')}")


COMMANDS = (compare_command, status, logs, stop)
