"""Why a task failed or was stopped, kept where its agent does not overwrite it.

A run gives the reason when it marks its task as failed or stopped. Its agent marks the task once more when the process has ended, and on
ClearML's server that replaces the status reason and message by "worker execution exit code 2" and "Changed by clearml-agent ..".
Therefore the reason is also stored as a user property, which the web UI shows in the task's configuration. It is written before the
status is changed, as the server refuses most changes of a task that has ended.
"""

from __future__ import annotations

import logging
import re
import signal
from collections.abc import Mapping
from typing import Any

from .api import request

log = logging.getLogger(__name__)

PROPERTY = "reason"
FIELDS = ("id", "status", "status_reason", "status_message", "started", "hyperparams.properties")
"""The fields of a task that are needed to say why it ended."""

STOPPED = "stopped by"
"""How the reason of a run begins that was stopped, and has not failed."""
BY_AGENT = re.compile(r"Changed by clearml-agent")
PASSED_ON = (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS)
EXIT_CODE = re.compile(r"worker execution exit code (-?\d+)")


def tell(task: Any, identity: str, reason: str) -> None:
    """Record why the task `identity` ends, through the session of `task`. If this fails, log a warning."""
    try:
        (found,) = request(task, "get_all", id=[identity], only_fields=["id", "started"])["tasks"]
        item = {"section": "properties", "name": PROPERTY, "type": "str", "value": reason, "description": origin(found)}
        request(task, "edit_hyper_params", task=identity, hyperparams=[item])
    except Exception as error:  # noqa: BLE001  of the SDK, requests or the server: the task must still be marked as ended
        log.warning("the reason %r may be missing on the server: %s", reason, error)


def reason_of(task: Mapping[str, Any]) -> str:
    """Why a task ended, according to its run, else to the server, else to its agent; empty if nothing is known."""
    own = ((task.get("hyperparams") or {}).get("properties") or {}).get(PROPERTY) or {}
    if own.get("value") and own.get("description") == origin(task):
        return str(own["value"])
    stated = dict.fromkeys(str(task.get(field) or "") for field in ("status_reason", "status_message"))
    said = "; ".join(text for text in stated if text and not BY_AGENT.match(text))
    code = EXIT_CODE.fullmatch(said)
    return f"{ended(code_of(int(code[1])))} ({said})" if code else said


def is_by_agent(task: Mapping[str, Any]) -> bool:
    """Whether it was a task's agent that last changed its status."""
    return bool(BY_AGENT.match(str(task.get("status_message") or "")))


def origin(task: Mapping[str, Any]) -> str:
    """The run of a task that a reason belongs to: clones inherit properties, and a task that is enqueued again keeps them."""
    return f"of task {task['id']}, started {task.get('started')}"


def code_of(stated: int) -> int:
    """A run's exit code, from the one that its agent reports: the agent turns the signal N into 256 - N."""
    return stated - 256 if 256 - stated in PASSED_ON else stated


def ended(code: int) -> str:
    """An exit code in words; a signal N is -N, or 128 + N as in a shell."""
    number = -code if code < 0 else code - 128
    if number not in set(signal.Signals):
        return f"a process ended with exit code {code}"
    hint = ": out of memory, or killed by hand" if number == signal.SIGKILL else ""
    return f"a process was ended by {signal.Signals(number).name}{hint}"
