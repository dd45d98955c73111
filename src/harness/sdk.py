"""ClearML's SDK: whether there is a server for it, and what of it has no public name.

Every private member of the SDK that this package uses is used here, with the reason for it: a new version is checked in one place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .errors import ServerError
from .storage import share


def has_server(environment: Mapping[str, str]) -> bool:
    """Whether a ClearML server is configured."""
    stated = ("CLEARML_API_HOST", "CLEARML_CONFIG_FILE", "CLEARML_TASK_ID")
    return any(environment.get(key) for key in stated) or Path("~/clearml.conf").expanduser().exists()


def is_remote(environment: Mapping[str, str]) -> bool:
    """Whether an agent started this process for a task that exists already."""
    return bool(environment.get("CLEARML_TASK_ID"))


def check_server() -> None:
    """Ask the configured server for a sign of life: the SDK would try again for minutes.

    Raises:
        ServerError: it does not answer.
    """
    import requests
    from clearml.backend_api import Session

    host = Session.get_api_server_host()
    try:
        requests.get(f"{host}/debug.ping", timeout=10)
    except requests.RequestException as error:
        raise ServerError(f"the ClearML server at {host} does not answer") from error


def task_class() -> Any:
    """The SDK's Task, which finds S3 stores as this package does, and reports from a thread.

    Its reporting process waits up to 5 s at every flush and at the exit. The class attribute is where the SDK keeps
    `sdk.development.report_use_subprocess` of clearml.conf; no environment variable sets it.
    """
    from clearml import Task

    share()
    Task._report_subprocess_enabled = False
    return Task


def edit(task: Any, fields: Callable[[Any], Mapping[str, Any]]) -> None:
    """Replace fields of a task in a single request.

    The public setters send a request for each section, and each merges with what the task holds: between two of them, and without
    the lock, a reader or another thread would see half of a change.

    Args:
        task: of the SDK.
        fields: new values by name, from the task's data as the server holds it now.
    """
    with task._edit_lock:
        task.reload()
        task._edit(**fields(task.data))
        task.reload()


def set_runtime(task: Any, properties: Mapping[str, str]) -> None:
    """Add runtime properties: the only part of a task that clones do not copy and a reset empties. They have no public setter."""
    task._set_runtime_properties(dict(properties))


def models_folder(task: Any) -> str:
    """The address below which the SDK stores a task's models, beside its artifacts. It tells none but that of an uploaded model."""
    return f"{task.output_uri}/{task._get_output_destination_suffix('models')}"


def close_console(task: Any) -> None:
    """Send the last lines of the console, and wait until they have arrived: the public `flush` only asks the sending thread to do so."""
    task.flush(wait_for_uploads=True)
    task.get_logger()._close_stdout_handler(wait=True)
