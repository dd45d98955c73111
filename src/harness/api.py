"""Requests to the endpoints of the ClearML server, through the session that an SDK task holds."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from .errors import ServerError


def connect() -> Any:
    """A session without a task; it retries a failed request once."""
    from clearml.backend_api import Session

    retries = dict.fromkeys(("total", "connect", "read", "redirect", "status"), 1)
    return SimpleNamespace(session=Session(http_retries_config={**retries, "backoff_factor": 0.3}))


def request(task: Any, action: str, /, **body: Any) -> dict[str, Any]:
    """Call an endpoint of the service `tasks`, or of the service named before the dot, and return the data of its response.

    Raises:
        ServerError: the server refuses the request.
    """
    service, _, name = action.rpartition(".")
    response = task.session.send_request(service or "tasks", name, json=body)
    if not response.ok:
        raise ServerError(f"the ClearML server refused {service or 'tasks'}.{name}: {response.text}")
    data: dict[str, Any] = response.json()["data"]
    return data
