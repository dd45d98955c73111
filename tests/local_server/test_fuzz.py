"""Nonsense at every end point: it is refused or taken, but breaks nothing. Seeded, so that a failure can be repeated."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from support.events import log_line, scalar
from support.server import LocalServer

from local_server import models, tasks
from local_server.endpoints import Endpoint
from local_server.table import TABLE

PER_ENDPOINT = 18
NUMBERS = [0, -1, 1, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, 10**30, 0.5, -0.0, 1e300, 1e-320, float("nan"), float("inf"), True]
TEXTS = [
    *("", " ", "x", "\0", "a\0b", "\ud800", "𝕏" * 50, "../../etc", "'; DROP TABLE task; --", '"', "\\", "%", "$.a[", "-", "__$all"),
    *("__$not", "[", "(?=a)", "^(a+)+$", ">=", "<2020", ">99999999999999999999", "1e999", "last_metrics.a.b.value", "a.b.c.d.e"),
    *("-last_update", "x" * 70_000, "created", "training", "2024-01-01", "0001-01-01T00:00:00+14:00", "9" * 400, "log", "plot"),
    *("input", "iter", "hyperparams.a.b.c"),
]
FIELDS = """
    name type task tasks model models project projects queue queues ids id status tags system_tags order_by only_fields page page_size
    size scroll_id search_text _any_ _all_ _or_ fields pattern values datetime status_changed created last_update parent hyperparams
    configuration script execution artifacts container runtime input output metrics metric variant variants iter iters value timestamp
    ts event_type key url section labels design metadata force user new_status worker last_seen timeout from_date to_date interval
    items
"""
NAMES = FIELDS.split()
PLAIN = (str, int, float, bool)
MORE = {"tasks.create": tasks.FIELDS, "tasks.edit": tasks.FIELDS, "models.create": models.FIELDS, "models.edit": models.FIELDS}
RAW = [
    *(b"", b"{", b"[]", b"null", b"1", b'"x"', b"\xff\xfe", b'{"a": "\xff"}', b'{"a": "\\ud800"}', b"[" * 10_000, b'{"a":' * 5000),
    *(b"\0", b'{"name": NaN}', b'{"name": -Infinity, "type": 1e400}', b'{"a": 1, "a": [2]}', b"\xef\xbb\xbf{}"),
    b'{"task": "' + b"x" * 10**6 + b'"}',
]


class Nonsense:
    """Values of all kinds, among them the IDs of what is there."""

    def __init__(self, seed: int, ids: list[str]) -> None:
        self._random = random.Random(seed)
        self._ids = ids

    def value(self, depth: int = 3) -> Any:
        kind = self._random.random()
        if kind < 0.2 and depth:
            return [self.value(depth - 1) for _ in range(self._random.choice((0, 1, 1, 2, 40)))]
        if kind < 0.4 and depth:
            return self.fields(self._random.sample(NAMES, 3), depth - 1)
        if kind < 0.65:
            return self._random.choice(self._ids)
        return self._random.choice([*NUMBERS, None, *TEXTS, *TEXTS])

    def fields(self, names: list[str], depth: int = 3) -> dict[str, Any]:
        return {name: self.value(depth) for name in names}

    def request(self, endpoint: Endpoint) -> Any:
        """Fields of an end point, each of its own type more often than not, and some that it does not name."""
        skipped = ("requests", "asked", "event")
        hints = {field: str(parameter.annotation) for field, parameter in endpoint.parameters.items() if field not in skipped}
        parameters = [*hints]
        if endpoint.name in MORE:
            hints |= {name: hint.__name__ if hint in PLAIN else str(hint) for name, hint in MORE[endpoint.name].items()}
            parameters = [*parameters, *MORE[endpoint.name]]
        wanted = [name for name in parameters if self._random.random() < 0.8]
        request = {name: self.fitting(hints[name]) if self._random.random() < 0.9 else self.value() for name in wanted}
        return self.fields(self._random.sample(NAMES, 2)) | request

    def fitting(self, hint: str) -> Any:
        if hint.startswith("list[dict"):
            return [self.fields(self._random.sample(NAMES, 5)) for _ in range(self._random.randrange(3))]
        if hint.startswith("list"):
            return [self._random.choice([*self._ids, *TEXTS]) for _ in range(self._random.randrange(4))]
        if hint.startswith("dict"):
            return self.fields(self._random.sample([*NAMES, "input", "output", "artifacts"], 4))
        if hint.startswith(("int", "float")):
            return self._random.choice(NUMBERS)
        if hint.startswith("bool"):
            return self._random.random() < 0.5
        return self._random.choice([*self._ids, *self._ids, *TEXTS])


def filled(server: LocalServer) -> list[str]:
    """IDs of one thing of each kind."""
    project = server.call("projects.create", name="some project")["id"]
    queue = server.call("queues.create", name="some queue")["id"]
    parameters = {"Args": {"lr": {"section": "Args", "name": "lr", "value": "1"}}}
    draft = {"type": "training", "project": project, "hyperparams": parameters}
    made = [server.call("tasks.create", name=f"task {index}", **draft)["id"] for index in range(4)]
    model = server.call("models.create", name="some model", uri="file:///w", task=made[0])["id"]
    server.call("tasks.add_or_update_model", task=made[0], name="m", model=model, type="output")
    server.report(*(scalar(made[0], step, 1.0) for step in range(5)), log_line(made[0], "line", 1))
    server.report({"type": "plot", "task": made[0], "metric": "m", "variant": "v", "iter": 1, "plot_str": "{}"})
    server.call("workers.register", worker="some worker", queues=[queue])
    return [project, queue, *made, model, "some worker"]


def bodies(endpoint: Endpoint, nonsense: Nonsense) -> Iterator[bytes]:
    for _ in range(PER_ENDPOINT):
        if endpoint.takes.lines:
            events = [nonsense.fields([*NAMES[:4], "iter", "value", "metric", "variant", "url", "timestamp"]) for _ in range(3)]
            yield "\n".join(json.dumps(event) for event in events).encode()
        else:
            yield json.dumps(nonsense.request(endpoint)).encode()
    yield from RAW if endpoint.name in ("tasks.create", "events.add_batch", "tasks.get_all") else RAW[:3]


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    server = LocalServer(tmp_path_factory.mktemp("fuzz") / "data")
    yield server
    server.kill()


def test_no_request_breaks_the_server(broken: LocalServer) -> None:
    """What is asked for makes no sense, or has been deleted meanwhile; nothing of it is the server's own failure (5xx)."""
    server = broken
    failures = []
    with requests.Session() as session:
        session.auth = server.keys
        for seed, endpoint in enumerate(TABLE):
            for body in bodies(endpoint, Nonsense(seed, filled_again(server))):
                answer = session.post(f"{server.url}/{endpoint.name}", data=body, timeout=30)
                answer.json()
                if answer.status_code >= 500:
                    failures.append((endpoint.name, answer.status_code, answer.json()["meta"]["result_msg"], body[:300]))
    assert failures == [], "\n".join(map(str, failures)) + server.log.read_text()[-20_000:]
    server.restart()
    after_all(server)


def filled_again(server: LocalServer) -> list[str]:
    """What the end point before has left is cleared away, so that each meets the same."""
    server.call(
        "tasks.delete_many",
        ids=[task["id"] for task in server.call("tasks.get_all", only_fields=["id"], search_hidden=True)["tasks"]],
        force=True,
    )
    for project in server.call("projects.get_all", only_fields=["id"], search_hidden=True)["projects"]:
        server.ask("projects.delete", project=project["id"], force=True)
    for queue in server.call("queues.get_all", only_fields=["id"])["queues"]:
        server.ask("queues.delete", queue=queue["id"], force=True)
    return filled(server)


def after_all(server: LocalServer) -> None:
    """All that is read and written afterwards works as ever."""
    server.call("tasks.get_all_ex", search_hidden=True, search_text="x", tags=["x"], order_by=["name", "-last_update"])
    server.call("projects.get_all_ex", include_stats=True, search_hidden=True)
    server.call("models.get_all_ex")
    server.call("queues.get_all_ex")
    server.call("workers.get_all")
    server.call("organization.get_tags", include_system=True)
    task = server.call("tasks.create", name="afterwards", type="training", script={"entry_point": "x.py"})["id"]
    queue = server.call("queues.create", name="afterwards")["id"]
    server.call("tasks.enqueue", task=task, queue=queue)
    assert server.call("queues.get_next_task", queue=queue)["entry"]["task"] == task
    server.call("tasks.started", task=task)
    server.report(scalar(task, 1, 0.5))
    assert server.call("events.scalar_metrics_iter_histogram", task=task)["loss"]["train"]["y"] == [0.5]
    server.call("tasks.completed", task=task)
