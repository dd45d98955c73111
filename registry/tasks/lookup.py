"""Tasks as people name them: a whole ID, the beginning of one, or an exact name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..backends import MOST_TASKS, TASK_ID, Server, exactly
from ..errors import MissingError, UsageError

SHOWN = 5  # of several tasks that one reference may stand for
SHORT = 8  # characters of an ID


def find_task(server: Server, reference: str) -> dict[str, Any]:
    """The task that `reference` stands for.

    Raises:
        UsageError: there is none, or several.
    """
    if TASK_ID.fullmatch(reference):
        try:
            return server.task(reference)
        except MissingError:
            raise UsageError(f"there is no task {reference}") from None
    found = server.tasks(name=exactly(reference), page=0, page_size=SHOWN + 1)
    if not found and re.fullmatch(r"[0-9a-f]{4,31}", reference):
        recent = server.tasks(only_fields=["id"], page=0, page_size=MOST_TASKS)  # the API has no filter for an ID's beginning
        ids = [task["id"] for task in recent if task["id"].startswith(reference)]
        found = server.tasks(id=ids[: SHOWN + 1]) if ids else []
    if not found:
        raise UsageError(f"there is no task {reference!r}: give an ID, its first characters (4 or more) or an exact name")
    if len(found) > 1:
        raise UsageError(f"{reference!r} stands for several tasks, give one ID: " + ", ".join(task["id"] for task in found[:SHOWN]))
    return found[0]


def short_id(task: Mapping[str, Any]) -> str:
    """A task's ID as tables show it: enough of it to find the task by."""
    return str(task["id"][:SHORT])


def find_tasks(server: Server, references: Sequence[str]) -> list[dict[str, Any]]:
    """The task of each reference; all that cannot be found are named in one error."""
    found: list[dict[str, Any]] = []
    problems: list[str] = []
    for reference in references:
        try:
            found.append(find_task(server, reference))
        except UsageError as error:
            problems += error.problems
    if problems:
        raise UsageError(*problems)
    return found
