"""Requests to the ClearML server through the session of a task of the SDK's, as plain end points."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from .errors import ServerError


def connect() -> Any:
    """A session without a task, which tries a request again once."""
    from clearml.backend_api import Session

    retries = dict.fromkeys(("total", "connect", "read", "redirect", "status"), 1)
    return SimpleNamespace(session=Session(http_retries_config={**retries, "backoff_factor": 0.3}))


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
