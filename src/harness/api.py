"""Requests to the ClearML server through the session of a task of the SDK's, as plain end points."""

from __future__ import annotations

from typing import Any

from .errors import ServerError


def request(task: Any, action: str, /, **body: Any) -> dict[str, Any]:
    """Ask an end point of the server's service `tasks`, or of the one before its dot, and return its data.

    Raises:
        ServerError: it refuses.
    """
    service, _, name = action.rpartition(".")
    response = task.session.send_request(service or "tasks", name, json=body)
    if not response.ok:
        raise ServerError(f"the ClearML server refuses {service or 'tasks'}.{name}: {response.text}")
    data: dict[str, Any] = response.json()["data"]
    return data
