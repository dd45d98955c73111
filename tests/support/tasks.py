"""Tasks on a server as runs leave them, for tests that only read them."""

from __future__ import annotations

import json
import time
from typing import Any

from registry.backends import Server


def send_events(server: Server, events: list[dict[str, Any]]) -> None:
    lines = "".join(json.dumps(event) + "\n" for event in events)
    answer = server.session.send_request("events", "add_batch", data=lines, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200


def run_on(server: Server, name: str, settings: dict[str, str], losses: list[float]) -> str:
    """A task that has run: its settings, a loss and an accuracy."""
    section = {key: {"section": "Settings", "name": key, "value": value, "type": "str"} for key, value in settings.items()}
    body = {"name": name, "type": "training", "project": server.project("clearml-example-project"), "hyperparams": {"Settings": section}}
    task = str(server.call("tasks.create", **body)["id"])
    server.call("tasks.started", task=task)
    now = int(time.time() * 1000)
    scalars = [
        {
            "type": "training_stats_scalar",
            "task": task,
            "metric": metric,
            "variant": "value",
            "value": value,
            "iter": step,
            "timestamp": now + step,
        }
        for step, loss in enumerate(losses)
        for metric, value in (("loss", loss), ("accuracy", 1 - loss))
    ]
    log = [
        {"type": "log", "task": task, "level": "info", "worker": "w", "timestamp": now + step, "msg": f"step {step}\n"} for step in range(3)
    ]
    send_events(server, scalars + log)
    server.call("tasks.completed", task=task)
    return task
