"""compare, status, logs, stop, open: runs that have been enqueued."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from harness import requeue
from harness.reasons import reason_of

from .. import completion, statuses
from ..backends import MOST_TASKS
from ..console import print_json, print_table, say, terminal_width
from ..errors import RegistryError, UsageError

if TYPE_CHECKING:
    from ..backends import Server

RECENT = 20
LONGEST_TAIL = 10_000
"""The most log entries that a ClearML server returns at once."""


@click.command("compare")
@click.argument("tasks", nargs=-1, required=True, shell_complete=completion.tasks)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list with one object per task.")
def compare_command(tasks: tuple[str, ...], as_json: bool) -> None:
    """Compare tasks: the settings that differ, and the results.

    Name each task by its ID, the first characters of its ID, or its exact name. The table shows the last and best value of each
    scalar, status and duration. The workload's main metric comes first; a star marks the run that is best in it. Whether lower is
    better is declared by the workload, or else guessed from the scalar's name.
    """
    from ..backends import connect
    from ..tasks.compare import as_json as objects
    from ..tasks.compare import comparison
    from ..tasks.lookup import find_tasks, short_id

    server = connect()
    found = find_tasks(server, tasks)
    if as_json:
        print_json(objects(found))
        return
    columns = ["", *(f"{task['name']}\n{short_id(task)}" for task in found)]
    rows: list[list[str]] = []
    for part, values in comparison(found):
        rows += [[f"-- {part}", *[""] * len(found)]]
        rows += [[name, *row] for name, row in values] or [["(no difference)" if part == "settings" else "(none)", *[""] * len(found)]]
    print_table(columns, rows, whole=[""])
    if len(found) > 1:
        say(f"page: {server.web.rstrip('/')}/compare?ids={','.join(task['id'] for task in found)}") if server.embedded else None


@click.command()
@click.argument("tasks", nargs=-1, shell_complete=completion.tasks)
@click.option(
    "--limit",
    type=click.IntRange(1, MOST_TASKS),
    metavar="N",
    help=f"Number of tasks to show, newest first; at most {MOST_TASKS}.  [default: {RECENT}]",
)
@click.option("--project", metavar="PROJECT", help="Show only tasks of this project and its subprojects.")
@click.option("--tag", "tags", metavar="TAG", multiple=True, help="Show only tasks with this tag; if repeated, with all of the tags.")
@click.option(
    "--status",
    "statuses",
    type=click.Choice(statuses.ALL),
    multiple=True,
    help="Show only tasks with this status; if repeated, with any of them.",
)
@click.option("--workload", metavar="NAME", shell_complete=completion.workloads, help="Show only tasks of this workload.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of objects.")
def status(
    tasks: tuple[str, ...],
    limit: int | None,
    project: str | None,
    tags: tuple[str, ...],
    statuses: tuple[str, ...],
    workload: str | None,
    as_json: bool,
) -> None:
    """Show the status of the given tasks, or of the most recent ones."""
    from ..backends import connect
    from ..tasks import filters, overview
    from ..tasks.lookup import find_tasks

    if tasks and (limit or project or tags or statuses or workload):
        raise UsageError("task names cannot be combined with --limit, --project, --tag, --status or --workload")
    server = connect()
    if tasks:
        found = find_tasks(server, tasks)
    else:
        asked = filters.query(server, project=project, tags=tags, statuses=statuses, name=workload)
        found = server.tasks(page=0, page_size=limit or RECENT, **asked)
    queues = {queue.id: queue.name for queue in server.queues().values()}
    if as_json:
        print_json(overview.objects(found, queues))
    else:
        print_table(*overview.table(found, queues, terminal_width()), cut=overview.CUT)


def told(task: dict[str, Any]) -> str:
    """A task's status, and the reason if it failed or was stopped."""
    from ..tasks import overview

    why = reason_of(task) if task["status"] in statuses.ENDED_BADLY else ""
    status = overview.state_of(task)
    return f"{status}: {why}" if why else status


@click.command()
@click.argument("task", shell_complete=completion.tasks)
@click.option("--follow", "-f", is_flag=True, help="Print new output as it arrives, until the task ends.")
@click.option("--tail", "-n", type=click.IntRange(1, LONGEST_TAIL), metavar="N", help="Start at the last N lines.")
def logs(task: str, follow: bool, tail: int | None) -> None:
    """Print a task's console output.

    If the task failed or was stopped, the reason comes last.
    """
    from ..backends import connect
    from ..tasks.lookup import find_task
    from ..tasks.watch import follow_log

    server = connect()
    found = find_task(server, task)
    follow_log(server, found["id"], click.echo, until_end=follow, tail=tail)
    ended = server.task(found["id"])
    if ended["status"] in statuses.ENDED_BADLY:
        say(f"{ended['name']} ({ended['id']}): {told(ended)}")


@click.command()
@click.argument("tasks", nargs=-1, required=True, shell_complete=completion.stoppable)
def stop(tasks: tuple[str, ...]) -> None:
    """Stop tasks that are queued or running.

    A queued task is removed from its queue; a running one is ended by its agent, or by this command if its agent on this machine is
    gone. If any of the tasks cannot be stopped, none is. If stopping one of them fails, the others are stopped nevertheless and the exit
    code is 1. Checkpoints are kept: see enqueue --resume.
    """
    from ..agents import orphans
    from ..backends import connect
    from ..tasks.lookup import find_tasks

    server = connect()
    found = list({task["id"]: task for task in find_tasks(server, tasks)}.values())
    over = [task for task in found if not (task["status"] in statuses.ACTIVE or requeue.goes_back(task) or orphans.left_by(task))]
    if over:
        raise UsageError(*(f"task {task['id']} ({task['name']}) is {task['status']}, so it cannot be stopped" for task in over))
    failures = []
    for task in found:
        try:
            say(f"{task['name']} ({task['id']}): {stop_one(server, task)}")
        except RegistryError as error:
            failures.append(f"{task['name']} ({task['id']}): {error}")
    if failures:
        raise RegistryError("\n".join(failures))


def stop_one(server: Server, task: dict[str, Any]) -> str:
    """Stop a task, and return what happened in words."""
    from ..agents import orphans, stopping

    was = stopping.stop(server, task)
    if was != "queued" and orphans.end(server, task):
        return "stopped; its agent was gone and had left it running"
    return {"queued": "removed from its queue", "in_progress": "stopping"}.get(was, f"already {was}")


@click.command("open")
@click.argument("task", shell_complete=completion.tasks)
@click.option("--print", "only_print", is_flag=True, help="Print the address without opening a browser.")
def open_command(task: str, only_print: bool) -> None:
    """Open a task's page in the browser, and print its address.

    The address of a page of the embedded server contains the key to that server: keep it secret.
    """
    from ..backends import connect
    from ..tasks import browser
    from ..tasks.lookup import find_task

    server = connect()
    address = browser.address_of(server, find_task(server, task))
    click.echo(address)
    if not only_print and not browser.show(address, secret=server.embedded):
        say("no browser was found")


COMMANDS = (compare_command, status, logs, stop, open_command)
