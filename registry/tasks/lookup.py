"""Finds tasks by their full ID, the first characters of it, or their exact name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..backends import MOST_TASKS, TASK_ID, Server, exactly
from ..errors import MissingError, UsageError

SHOWN = 5  # tasks in the message about an ambiguous name
SHORT = 8  # characters of an ID in tables


def find_task(server: Server, reference: str) -> dict[str, Any]:
    """The task that `reference` names.

    Raises:
        UsageError: there is no such task, or several.
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
        raise UsageError(f"there is no task {reference!r}: give an ID, the first characters of one (at least 4), or an exact name")
    if len(found) > 1:
        raise UsageError(f"{reference!r} matches several tasks; use the ID of one: " + ", ".join(task["id"] for task in found[:SHOWN]))
    return found[0]


def short_id(task: Mapping[str, Any]) -> str:
    """A task's ID as tables show it, long enough to find the task by it."""
    return str(task["id"][:SHORT])


def find_tasks(server: Server, references: Sequence[str]) -> list[dict[str, Any]]:
    """The task of each reference. A single error names all that cannot be found."""
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
