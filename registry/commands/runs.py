"""compare, status, logs, stop, open: what became of runs."""

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
"""Texts that a ClearML server's search answers at once."""


@click.command("compare")
@click.argument("tasks", nargs=-1, required=True, shell_complete=completion.tasks)
@click.option("--json", "as_json", is_flag=True, help="As a JSON list, one object per task.")
def compare_command(tasks: tuple[str, ...], as_json: bool) -> None:
    """Compare tasks: settings that differ, last and best value of each scalar, status and duration.

    Each TASK is an ID, the beginning of one or an exact name. What a run's workload declares comes first, a star marks the run that is
    best in it. Whether a scalar is best at its minimum is declared there, too, else read from the words of its name.
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
@click.option("--project", metavar="PROJECT", help="Those in a project and in those within it.")
@click.option("--tag", "tags", metavar="TAG", multiple=True, help="Those with a tag; may be repeated, for those with all of them.")
@click.option("--status", "statuses", type=click.Choice(statuses.ALL), multiple=True, help="Those in a status; may be repeated.")
@click.option("--workload", metavar="NAME", shell_complete=completion.workloads, help="Those of a workload.")
@click.option("--json", "as_json", is_flag=True, help="As a JSON list of objects.")
def status(
    tasks: tuple[str, ...],
    limit: int | None,
    project: str | None,
    tags: tuple[str, ...],
    statuses: tuple[str, ...],
    workload: str | None,
    as_json: bool,
) -> None:
    """Show the status of tasks; without any, of the most recent ones."""
    from ..backends import connect
    from ..tasks import filters, overview
    from ..tasks.lookup import find_tasks

    if tasks and (limit or project or tags or statuses or workload):
        raise UsageError("name tasks, or say which are meant by --limit, --project, --tag, --status and --workload; not both")
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
    """A task's status; of one that ended badly also why."""
    from ..tasks import overview

    why = reason_of(task) if task["status"] in statuses.ENDED_BADLY else ""
    status = overview.state_of(task)
    return f"{status}: {why}" if why else status


@click.command()
@click.argument("task", shell_complete=completion.tasks)
@click.option("--follow", "-f", is_flag=True, help="Go on until the task ends.")
@click.option("--tail", "-n", type=click.IntRange(1, LONGEST_TAIL), metavar="N", help="Begin with the last N lines of what is there.")
def logs(task: str, follow: bool, tail: int | None) -> None:
    """Print a task's console output, and at its end why it failed or was stopped."""
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
    """Stop tasks: off their queue, or ended by their agent; what an agent that is gone left running on this machine is ended here.

    All are looked up first: if one cannot be stopped, none is. Then one that fails keeps no other from being stopped; exit code 1 tells.
    What they have saved stays, see enqueue --resume.
    """
    from ..agents import orphans
    from ..backends import connect
    from ..tasks.lookup import find_tasks

    server = connect()
    found = list({task["id"]: task for task in find_tasks(server, tasks)}.values())
    over = [task for task in found if not (task["status"] in statuses.ACTIVE or requeue.goes_back(task) or orphans.left_by(task))]
    if over:
        raise UsageError(*(f"task {task['id']} ({task['name']}) is {task['status']}; there is nothing to stop" for task in over))
    failures = []
    for task in found:
        try:
            say(f"{task['name']} ({task['id']}): {stop_one(server, task)}")
        except RegistryError as error:
            failures.append(f"{task['name']} ({task['id']}): {error}")
    if failures:
        raise RegistryError("\n".join(failures))


def stop_one(server: Server, task: dict[str, Any]) -> str:
    """Stop a task, and say what that came to."""
    from ..agents import orphans, stopping

    was = stopping.stop(server, task)
    if was != "queued" and orphans.end(server, task):
        return "stopped; its agent was gone, and has left it running"
    return {"queued": "taken off its queue", "in_progress": "stopping"}.get(was, f"{was} meanwhile")


@click.command("open")
@click.argument("task", shell_complete=completion.tasks)
@click.option("--print", "only_print", is_flag=True, help="Print the address alone; so it is where there is no browser.")
def open_command(task: str, only_print: bool) -> None:
    """Print the address of a task's page, and open it. That of the embedded server holds the key that lets one in: it is a secret."""
    from ..backends import connect
    from ..tasks import browser
    from ..tasks.lookup import find_task

    server = connect()
    address = browser.address_of(server, find_task(server, task))
    click.echo(address)
    if not only_print and not browser.show(address, secret=server.embedded):
        say("there is no browser here")


COMMANDS = (compare_command, status, logs, stop, open_command)
