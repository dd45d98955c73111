"""Statistics of a project's tasks."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

_STATUSES = ("closed", "completed", "created", "failed", "in_progress", "published", "queued", "stopped", "unknown")


def project_stats(db: sqlite3.Connection, projects: Sequence[str]) -> dict[str, Any]:
    """The number of tasks by status in all of these projects: of active tasks, and of archived ones."""
    counts = {archived: dict.fromkeys(_STATUSES, 0) for archived in (0, 1)}
    sql = f"""SELECT EXISTS (SELECT 1 FROM json_each(doc, '$.system_tags') WHERE value = 'archived'), doc ->> '$.status', count(*)
              FROM task WHERE doc ->> '$.project' IN ({", ".join("?" * len(projects))}) GROUP BY 1, 2"""
    for archived, status, count in db.execute(sql, tuple(projects)):
        counts[archived][status if status in _STATUSES else "unknown"] += count
    return {name: {"status_count": counts[key], "total_tasks": sum(counts[key].values())} for key, name in ((0, "active"), (1, "archived"))}
