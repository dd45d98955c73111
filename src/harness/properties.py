"""A task's user properties: notes of a run for people, shown in ClearML's web UI. If they cannot be read or written, the run continues."""

from __future__ import annotations

import logging
from typing import Any

log = logging.getLogger(__name__)


def read(task: Any, name: str) -> str | None:
    try:
        found: dict[str, str] = task.get_user_properties(value_only=True)
    except Exception as error:  # noqa: BLE001  the SDK raises whatever it meets; a run does not fail for a note
        log.warning("the task's property %s could not be read: %s", name, error)
        return None
    return found.get(name)


def write(task: Any, name: str, value: str | None) -> None:
    """Set a property, or delete it with None."""
    try:
        done = task.delete_user_properties([("properties", name)]) if value is None else task.set_user_properties(**{name: value})
        reason = "the server refused" if not done else None
    except Exception as error:  # noqa: BLE001  as above
        reason = str(error)
    if reason:
        log.warning("the task's property %s could not be written: %s", name, reason)
