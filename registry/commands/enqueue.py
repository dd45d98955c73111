"""enqueue: turns a command line into tasks on a queue."""

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
@click.option("--queue", metavar="QUEUE", shell_complete=completion.queues, help="Queue for the task.  [default: the workload's]")
@click.option(
    "--dataset", metavar="ID_OR_ALIAS", shell_complete=completion.datasets, help="Dataset, by ID, alias or name; sets dataset_id."
)
@click.option("--name", "task_name", metavar="NAME", help="Name of the task; each run of a sweep adds its own values.")
@click.option("--project", metavar="PROJECT", help=f"Project of the task.  [default: {PROJECT}]")
@click.option("--branch", metavar="BRANCH", help="Branch or tag to run.  [default: the commit that is checked out]")
@click.option("--head", is_flag=True, help="Run the commit that is checked out, not the earlier task's; requires --like.")
@click.option(
    "--image", metavar="TAG", help="Tag of the workload's image, or a complete image name.  [default: the tag of its environment, env-...]"
)
@click.option("--output-uri", metavar="URI", help="Destination of models, artifacts and published data, such as s3://bucket/prefix.")
@click.option("--tag", "tags", metavar="TAG", multiple=True, help="Tag for the task; may be repeated.")
@click.option(
    "--resume",
    metavar="TASK",
    shell_complete=completion.tasks,
    help="Continue an earlier task from its last checkpoint, with its arguments and any given here.",
)
@click.option(
    "--like",
    metavar="TASK",
    shell_complete=completion.tasks,
    help="Repeat an earlier task with its commit, image, queue and arguments; those given here replace them.",
)
@click.option("--smoke", is_flag=True, help="Enqueue the steps of the workload's smoke run, in order.")
@click.option("-m", "--multirun", is_flag=True, hidden=True, help="Hydra's option; sweeps work without it.")
@click.option("--dry-run", is_flag=True, help="Print the equivalent clearml-task commands and enqueue nothing.")
@click.option("--wait", is_flag=True, help="Wait until all tasks have ended; exit with code 1 if any fails.")
def enqueue(name: str, arguments: tuple[str, ...], task_name: str | None, dry_run: bool, wait: bool, **options: Any) -> None:
    """Enqueue a run of a workload, or a sweep.

    Commas make a sweep: train.lr=1e-3,1e-4 makes two runs. Everything is checked before any task is created; all problems are
    reported together, with exit code 2. Unless stdout is a terminal, only the task IDs are written to it.
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
        problems.append(f"{' and '.join(exclusive)} cannot be combined")
    if options["head"] and not options["like"]:
        problems.append("--head requires --like; without --like, the commit that is checked out is run anyway")
    if options["head"] and options["branch"]:
        problems.append("--head and --branch cannot be combined")
    if dry_run and wait:
        problems.append("--dry-run and --wait cannot be combined: a dry run starts nothing")
    if options.pop("multirun"):
        problems.append("-m (--multirun) is not needed: key=a,b makes two runs")
    if problems:
        raise UsageError(*problems)


def connected(dry_run: bool, options: dict[str, Any]) -> Server | None:
    """The server; None for a dry run where no server is configured."""
    from ..backends import choose_server, connect

    if dry_run and not (options["resume"] or options["like"]) and not choose_server():
        warn(["no server is configured, so the queue and the datasets are not checked"])
        return None
    return connect()


def print_command_lines(submission: Submission) -> None:
    """Print commands that can be pasted: a step that a later one refers to keeps its task ID in a shell variable."""
    wanted = {step for run in submission.runs for step in referenced_steps(run, submission.commands)}
    for run, command in zip(submission.runs, submission.commands, strict=True):
        line = run.command_line(steps=wanted)
        click.echo(f"{command}_task=$({line} | sed -n 's/^New task created id=//p')" if command in wanted else line)


def print_tasks(tasks: list[dict[str, Any]], server: Server) -> None:
    """Print a table at a terminal; elsewhere only the IDs."""
    if sys.stdout.isatty():
        print_table(("task", "ID", "page"), [(task["name"], task["id"], server.link(task)) for task in tasks], whole=["ID"])
    else:
        click.echo("\n".join(task["id"] for task in tasks))


def wait_for(server: Server, tasks: list[dict[str, Any]]) -> None:
    """Wait for tasks. An interrupt leaves them running, and a message says so."""
    from ..tasks.watch import wait

    ids = [task["id"] for task in tasks]
    try:
        wait(server, ids, notes)
    except KeyboardInterrupt:
        say(f"\nno longer waiting; the tasks continue: {' '.join(ids)} (see registry status, registry stop TASK)")
        raise
    for task in tasks:
        say(f"{task['name']}: {server.link(task)}")


COMMANDS = (enqueue,)
