"""Events as runs report them, and waiting for what they lead to."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from .server import LocalServer

NewTask = Callable[..., str]
OwnServer = Callable[..., LocalServer]


def scalar(task: str, iteration: int, value: float, *, metric: str = "loss", variant: str = "train", **more: Any) -> dict[str, Any]:
    """One scalar event; its time goes with its iteration."""
    event = {"type": "training_stats_scalar", "task": task, "metric": metric, "variant": variant, "iter": iteration, "value": value}
    return event | {"timestamp": 1_700_000_000_000 + iteration * 1000} | more


def log_line(task: str, text: str, timestamp: int) -> dict[str, Any]:
    return {"type": "log", "task": task, "msg": text, "level": "info", "worker": "here", "timestamp": timestamp}


def wait_for(what: Callable[[], Any], seconds: float = 60.0) -> Any:
    """What `what` returns, once it is true; fails when that takes too long."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return found
