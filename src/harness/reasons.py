"""Why a task ended badly, kept where its agent does not write.

A run says why when it marks its task failed or stopped; its agent does so once more when the process has ended, and on ClearML's server
that replaces status reason and message by "worker execution exit code 2" and "Changed by clearml-agent ..". So the reason is also a user
property, which the web UI shows among the task's configuration. It is written first: what has ended takes few changes.
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
"""What must be known of a task to say why it ended."""

BY_AGENT = re.compile(r"Changed by clearml-agent")
PASSED_ON = (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS)
EXIT_CODE = re.compile(r"worker execution exit code (-?\d+)")


def tell(task: Any, identity: str, reason: str) -> None:
    """Write down why the task `identity` ends, over the session of `task`. Where that cannot be, a warning says so."""
    try:
        (found,) = request(task, "get_all", id=[identity], only_fields=["id", "started"])["tasks"]
        item = {"section": "properties", "name": PROPERTY, "type": "str", "value": reason, "description": origin(found)}
        request(task, "edit_hyper_params", task=identity, hyperparams=[item])
    except Exception as error:
        log.warning("the reason %r may be missing on the server: %s", reason, error)


def reason_of(task: Mapping[str, Any]) -> str:
    """Why a task ended: as its run has it, else as the server has it, else what its agent saw; nothing if nobody says anything."""
    own = ((task.get("hyperparams") or {}).get("properties") or {}).get(PROPERTY) or {}
    if own.get("value") and own.get("description") == origin(task):
        return str(own["value"])
    stated = dict.fromkeys(str(task.get(field) or "") for field in ("status_reason", "status_message"))
    said = "; ".join(text for text in stated if text and not BY_AGENT.match(text))
    code = EXIT_CODE.fullmatch(said)
    return f"{ended(code_of(int(code[1])))} ({said})" if code else said


def is_by_agent(task: Mapping[str, Any]) -> bool:
    """Whether a task's agent has said last how it ended."""
    return bool(BY_AGENT.match(str(task.get("status_message") or "")))


def origin(task: Mapping[str, Any]) -> str:
    """Which run of which task a reason belongs to: clones and tasks that are enqueued anew keep their properties."""
    return f"of task {task['id']}, started {task.get('started')}"


def code_of(stated: int) -> int:
    """The code with which a run ended, from the one that its agent states: a signal passes through the agent's own exit as 256 - N."""
    return stated - 256 if 256 - stated in PASSED_ON else stated


def ended(code: int) -> str:
    """An exit code in words; signals are negative ones, or what a shell makes of them."""
    number = -code if code < 0 else code - 128
    if number not in set(signal.Signals):
        return f"a process ended with exit code {code}"
    hint = ": out of memory, or killed by hand" if number == signal.SIGKILL else ""
    return f"a process was ended by {signal.Signals(number).name}{hint}"
