"""enqueue: from what was typed to tasks in a queue."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from .. import completion, workload
from ..console import notes, print_table, say, warn
from ..errors import UsageError
from ..run import PROJECT, referenced_steps

if TYPE_CHECKING:
    from ..backends import Server
    from ..enqueue.submission import Submission


@click.command()
@click.argument("name", shell_complete=completion.workloads)
@click.argument("arguments", nargs=-1, metavar="[KEY=VALUE]...", shell_complete=completion.arguments)
@click.option("--queue", metavar="QUEUE", shell_complete=completion.queues, help="Queue to put the task on; by default the workload's own.")
@click.option(
    "--dataset", metavar="ID_OR_ALIAS", shell_complete=completion.datasets, help="Dataset by ID, alias or name: the argument dataset_id."
)
@click.option("--name", "task_name", metavar="NAME", help="Name of the task; a sweep adds what differs.")
@click.option("--project", metavar="PROJECT", help=f"Project of the task.  [default: {PROJECT}]")
@click.option("--branch", metavar="BRANCH", help="Branch or tag to run; by default the commit that is checked out.")
@click.option("--head", is_flag=True, help="With --like: run the commit that is checked out, in place of that task's.")
@click.option("--image", metavar="TAG", help="Tag of the workload's image, or a whole reference; by default the environment's hash.")
@click.option("--output-uri", metavar="URI", help="Where models, artifacts and published data go: s3://bucket/prefix, for one.")
@click.option("--tag", "tags", metavar="TAG", multiple=True, help="Tag of the task; may be repeated.")
@click.option(
    "--resume",
    metavar="TASK",
    shell_complete=completion.tasks,
    help="Take up an earlier task: its arguments, with those given here, from its last checkpoint.",
)
@click.option(
    "--like",
    metavar="TASK",
    shell_complete=completion.tasks,
    help="Run an earlier task once more, with the changes given here; its commit, image and queue, too.",
)
@click.option("--smoke", is_flag=True, help="Enqueue the workload's smoke steps, in order.")
@click.option("-m", "--multirun", is_flag=True, hidden=True, help="Hydra's, of which a sweep has no need here.")
@click.option("--dry-run", is_flag=True, help="Print the equivalent clearml-task command lines instead.")
@click.option("--wait", is_flag=True, help="Wait until the tasks have ended; exit 1 if one fails.")
def enqueue(name: str, arguments: tuple[str, ...], task_name: str | None, dry_run: bool, wait: bool, **options: Any) -> None:
    """Enqueue a workload with its arguments.

    A value with commas is a sweep: train.lr=1e-3,1e-4 makes two runs. Everything is checked before a task exists; what is wrong
    is told all at once, with exit code 2. Where stdout is not a terminal it gets the task IDs and nothing else.
    """
    from ..enqueue.request import Request
    from ..enqueue.submission import prepare, submit

    check_options(dry_run, wait, options)
    request = Request(name, arguments, name=task_name, **options)
    server = connected(dry_run, options)
    submission = prepare(request, workload.clone_root(), server)
    warn(submission.warnings)
    if dry_run:
        print_command_lines(submission)
        return
    assert server is not None
    tasks = submit(submission, server)
    print_tasks(tasks, server)
    if wait:
        wait_for(server, tasks)


def check_options(dry_run: bool, wait: bool, options: dict[str, Any]) -> None:
    problems = []
    exclusive = [f"--{name}" for name in ("smoke", "resume", "like") if options[name]]
    if len(exclusive) > 1:
        problems.append(f"{' and '.join(exclusive)} exclude each other")
    if options["head"] and not options["like"]:
        problems.append("--head is for --like: without that, what is checked out runs anyway")
    if options["head"] and options["branch"]:
        problems.append("--head and --branch exclude each other")
    if dry_run and wait:
        problems.append("--dry-run starts nothing, so there is nothing to --wait for")
    if options.pop("multirun"):
        problems.append("a sweep needs no -m or --multirun; key=a,b makes two runs")
    if problems:
        raise UsageError(*problems)


def connected(dry_run: bool, options: dict[str, Any]) -> Server | None:
    """The server; a dry run does without one where none is configured."""
    from ..backends import choose_server, connect

    if dry_run and not (options["resume"] or options["like"]) and not choose_server():
        warn(["no server is configured: queue and datasets are not checked"])
        return None
    return connect()


def print_command_lines(submission: Submission) -> None:
    """What can be pasted: where a later step refers to an earlier one, the earlier one's line keeps its task ID in a variable."""
    wanted = {step for run in submission.runs for step in referenced_steps(run, submission.commands)}
    for run, command in zip(submission.runs, submission.commands, strict=True):
        line = run.command_line(steps=wanted)
        click.echo(f"{command}_task=$({line} | sed -n 's/^New task created id=//p')" if command in wanted else line)


def print_tasks(tasks: list[dict[str, Any]], server: Server) -> None:
    """A table at a terminal, else the IDs alone."""
    if sys.stdout.isatty():
        print_table(("task", "ID", "page"), [(task["name"], task["id"], server.link(task)) for task in tasks], whole=["ID"])
    else:
        click.echo("\n".join(task["id"] for task in tasks))


def wait_for(server: Server, tasks: list[dict[str, Any]]) -> None:
    """Wait for tasks; an interrupt leaves them running, and says so."""
    from ..tasks.watch import wait

    ids = [task["id"] for task in tasks]
    try:
        wait(server, ids, notes)
    except KeyboardInterrupt:
        say(f"\nno longer waiting; left as they are: {' '.join(ids)} (registry status, registry stop TASK)")
        raise
    for task in tasks:
        say(f"{task['name']}: {server.link(task)}")


COMMANDS = (enqueue,)
