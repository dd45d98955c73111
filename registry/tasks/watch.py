"""Waits for tasks: with live progress at a terminal, with plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from time import sleep
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from harness.reasons import reason_of
from harness.requeue import Comeback

from ..backends import Server
from ..errors import RunFailedError
from ..statuses import PENDING, SUCCEEDED
from .lookup import short_id
from .metrics import Scalar, declared, reported

POLL = 1.0  # seconds between two requests to the server
LAST_LINES = 15  # of a failed task's log
SETTLING = 3.0  # seconds after which an agent has sent the end of a failed task's log

Task = dict[str, Any]


def wait(server: Server, ids: Sequence[str], console: Console, poll: float = POLL) -> list[Task]:
    """Wait until every task has ended, and return them in the order of `ids`.

    Raises:
        RunFailedError: at least one did not complete; the message gives the reason and the last lines of the log.
    """
    tasks = follow(server, ids, console, poll) if console.is_terminal else narrate(server, ids, console, poll)
    failed = [task for task in tasks if task["status"] not in SUCCEEDED]
    if failed:
        sleep(SETTLING)
        raise RunFailedError("\n".join(obituary(server, task) for task in failed))
    return tasks


def ended(server: Server, ids: Sequence[str], poll: float, show: Callable[[list[Task]], None]) -> list[Task]:
    """Request the tasks until none is pending, and show each answer."""
    comeback = Comeback()
    while True:
        known = {task["id"]: task for task in server.tasks(id=list(ids))}
        tasks = [known.get(name, {"id": name, "name": name, "status": "deleted"}) for name in ids]
        show(tasks)
        if not any(task["status"] in PENDING or comeback.awaited(task) for task in tasks):
            return tasks
        sleep(poll)


def follow(server: Server, ids: Sequence[str], console: Console, poll: float) -> list[Task]:
    """Show a live table, with the newest line of each running task's log."""
    with Live(console=console, transient=False, auto_refresh=False) as live:

        def show(tasks: list[Task]) -> None:
            table = Table("task", "ID", "status", "time", "iteration", "last scalars", box=None)
            for task in tasks:
                cells = (task["name"], short_id(task), task["status"], age(task), str(task.get("last_iteration") or ""), numbers(task))
                table.add_row(*map(Text, cells))
            running = [task["id"] for task in tasks if task["status"] == "in_progress"]
            lines = [line for name in running for line in last_lines(server, name, 1)]
            news = (Text.from_ansi(line, style="dim", no_wrap=True, overflow="ellipsis") for line in lines)
            live.update(Group(table, *news), refresh=True)

        return ended(server, ids, poll, show)


def narrate(server: Server, ids: Sequence[str], console: Console, poll: float) -> list[Task]:
    """Print a line whenever a task's status changes."""
    last: dict[str, str] = {}

    def show(tasks: list[Task]) -> None:
        for task in tasks:
            if last.get(task["id"]) != task["status"]:
                last[task["id"]] = task["status"]
                console.print(f"{task['name']} ({task['id'][:8]}): {task['status']}", highlight=False, markup=False, soft_wrap=True)

    return ended(server, ids, poll, show)


def obituary(server: Server, task: Mapping[str, Any]) -> str:
    """Why a task ended, and the last lines of its log."""
    why = reason_of(task)
    lines = last_lines(server, task["id"], LAST_LINES) if task["status"] != "deleted" else []
    return "\n".join([f"{task['name']} ({task['id']}): {task['status']}{f': {why}' if why else ''}", *(f"    {line}" for line in lines)])


def numbers(task: Mapping[str, Any], count: int = 3) -> str:
    """The last values of a task's first few scalars: the main metric, then those that are no longer finite, then the others."""
    found, metrics = reported(task), declared([task])
    main = metrics.main_of(found)
    names = sorted(metrics.main_first(found), key=lambda name: (name != main, not found[name].diverged))
    texts = [f"{name}{short(found[name])}" for name in names[:count]]
    untold = sum(found[name].diverged for name in names[count:])
    return "  ".join([*texts, *([f"and {untold} more not finite"] if untold else [])])


def short(scalar: Scalar) -> str:
    """`=0.4`, or the step since which it is not finite."""
    return f" not finite {scalar.gaps.rpartition(', ')[2]}".rstrip() if scalar.diverged else f"={scalar.last:.4g}"


def moment(stated: str | None) -> datetime | None:
    """A time stamp of the server; without a time zone, it is in UTC."""
    if not stated:
        return None
    found = datetime.fromisoformat(stated)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def duration(task: Mapping[str, Any]) -> float | None:
    """The seconds that a task has run, until now or until it ended."""
    started = moment(task.get("started"))
    if started is None:
        return None
    end = moment(task.get("completed")) if task["status"] not in PENDING else datetime.now(UTC)
    return ((end or moment(task.get("last_update")) or started) - started).total_seconds()


def age(task: Mapping[str, Any]) -> str:
    """How long a task has run, in words."""
    seconds = duration(task)
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def last_lines(server: Server, task: str, count: int) -> list[str]:
    """The end of a task's console output."""
    return lines_of(server.log_end(task, count), count)


def lines_of(events: Sequence[tuple[float, str]], count: int) -> list[str]:
    """The last lines in these texts."""
    lines = "\n".join(text.rstrip("\n") for _, text in events).splitlines()
    return lines[max(len(lines) - count, 0) :]


def follow_log(
    server: Server, task: str, echo: Callable[[str], None], *, until_end: bool, tail: int | None = None, poll: float = POLL
) -> None:
    """Print a task's console output, or its last `tail` lines; with `until_end`, also new output until the task ends."""
    end = server.log_end(task, tail) if tail else []
    for text in lines_of(end, tail or 0):
        echo(text)
    printed, since, comeback = set(end), max((moment for moment, _ in end), default=0.0), Comeback()
    while True:
        found = server.task(task)
        goes_on = found["status"] in PENDING or comeback.awaited(found)
        for line in server.log_lines(task, since):
            if line not in printed:
                printed.add(line)
                echo(line[1].rstrip("\n"))
            since = max(since, line[0])
        printed = {line for line in printed if line[0] >= since}
        if not until_end or not goes_on:
            return
        sleep(poll)
