"""Filters for lists of tasks. The server applies them, so they cover all of its tasks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from .. import workload
from ..backends import Server, exactly
from ..errors import UsageError


def query(server: Server, *, project: str | None, tags: Sequence[str], statuses: Sequence[str], name: str | None) -> dict[str, Any]:
    """Filters of `tasks.get_all` for runs: in a project or its subprojects, with all tags, with any of the statuses, of a workload.

    The tasks in which ClearML stores datasets are left out.

    Raises:
        UsageError: there is no such project, or no such workload.
    """
    asked: dict[str, Any] = {"system_tags": ["-dataset"]}
    problems = []
    if project is not None:
        asked["project"], problem = within(server, project)
        problems += [problem] if problem else []
    if tags:
        asked["tags"] = ["__$all", *tags]
    if statuses:
        asked["status"] = list(statuses)
    if name is not None:
        root = workload.clone_root()
        try:
            script = workload.named(name, workload.discover(root)).script
        except UsageError as error:
            problems += error.problems
        else:
            asked["_all_"] = {"fields": ["script.entry_point"], "pattern": exactly(script)}
    if problems:
        raise UsageError(*problems)
    return asked


def within(server: Server, project: str) -> tuple[list[str], str | None]:
    """The IDs of a project and its subprojects, and what is wrong with its name, if anything."""
    found = server.call("projects.get_all", name=f"^{re.escape(project)}(/.*)?$", only_fields=["id", "name"]).get("projects") or []
    if found:
        return [each["id"] for each in found], None
    from harness.settings import nearest  # slow to import

    known = sorted(each["name"] for each in server.call("projects.get_all", only_fields=["name"]).get("projects") or [])
    return [], f"there is no project {project!r}{nearest(project, known)}; available: {', '.join(known) or 'none'}"
