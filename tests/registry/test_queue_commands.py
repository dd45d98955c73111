"""Queues: listing and creating them, and setting the GPUs of their machines, against which runs are checked."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from support.command_line import Registry

from registry.backends import Queue, Server

pytestmark = pytest.mark.filterwarnings("ignore::pyparsing.warnings.PyparsingDeprecationWarning")  # of the SDK's


def listed(registry: Registry, name: str) -> dict[str, Any]:
    (found,) = (each for each in json.loads(registry("queue", "list", "--json").out) if each["name"] == name)
    entry: dict[str, Any] = found
    return entry


def serve(server: Server, queue: Queue, *agents: str) -> None:
    for agent in agents:
        server.call("workers.register", worker=agent, queues=[queue.id])


def test_a_queue_is_listed_with_its_waiting_tasks_and_agents(embedded: Server, queue: Queue, registry: Registry) -> None:
    assert registry("enqueue", "toy", "command=make", "--queue", queue.name).code == 0
    serve(embedded, queue, f"{queue.name}-a", f"{queue.name}-b")
    expected = {"name": queue.name, "id": queue.id, "gpus": None, "waiting": 1, "agents": [f"{queue.name}-a", f"{queue.name}-b"]}
    assert listed(registry, queue.name) == expected
    (row,) = (line for line in registry("queue", "list").lines if line.startswith(queue.name))
    assert row.split() == [queue.name, "1", f"{queue.name}-a,", f"{queue.name}-b"]


def test_a_queue_is_created_with_the_gpus_of_its_machines(embedded: Server, registry: Registry) -> None:
    names = [f"made-{uuid.uuid4().hex[:6]}" for _ in range(3)]
    for name, options in zip(names, ([], ["--gpus", "8"], ["--gpus", "0"]), strict=True):
        outcome = registry("queue", "create", name, *options)
        assert (outcome.code, outcome.out) == (0, ""), outcome.err
    assert [listed(registry, name)["gpus"] for name in names] == [None, 8, 0]


def test_set_corrects_the_gpus_and_keeps_other_tags(embedded: Server, queue: Queue, registry: Registry) -> None:
    embedded.call("queues.update", queue=queue.id, tags=["fast", "gpus=2", "gpus=3"])
    assert registry("queue", "set", queue.name, "--gpus", "4").code == 0
    assert embedded.queues()[queue.name].tags == ("fast", "gpus=4")
    assert listed(registry, queue.name)["gpus"] == 4


def test_up_refuses_invalid_queue_names(clone: Any, registry: Registry) -> None:
    outcome = registry("up", "--queue", "ab", "--queue", "gpu01", "--queue", "x")
    assert (outcome.code, outcome.out) == (2, "")
    for name in ("ab", "x"):
        assert f"  - the queue name '{name}' is shorter than 3 characters" in outcome.err.splitlines()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["create", "QUEUE"], "already exists; to set its GPUs: registry queue set QUEUE --gpus N"),
        (["create", " "], "the queue name ' ' is shorter than 3 characters"),
        (["create", "--", "-xyz"], "queue '-xyz': must not begin with -"),
        (["create", "ab"], "the queue name 'ab' is shorter than 3 characters"),
        (["create", "new", "--gpus", "-1"], "-1 is not in the range x>=0"),
        (["create", "new", "--gpus", "two"], "'two' is not a valid integer"),
        (["set", "QUEUEX", "--gpus", "1"], "there is no queue 'QUEUEX' (did you mean QUEUE?)"),
        (["set", "QUEUE"], "Missing option '--gpus'"),
    ],
)
def test_a_wrong_command_changes_nothing(embedded: Server, queue: Queue, registry: Registry, arguments: list[str], told: str) -> None:
    before = embedded.queues()
    outcome = registry("queue", *(word.replace("QUEUE", queue.name) for word in arguments))
    assert (outcome.code, outcome.out) == (2, "")
    assert told.replace("QUEUE", queue.name) in outcome.err
    assert embedded.queues() == before


class TestEnqueue:
    """`nproc_per_node` and `nnodes` against the queue."""

    def test_more_processes_than_gpus_are_refused(self, embedded: Server, queue: Queue, registry: Registry) -> None:
        command = ("enqueue", "toy", "--queue", queue.name, "--dataset", "s3://bucket/numbers", "nproc_per_node=3")
        assert registry(*command).code == 0  # a queue that says nothing does not limit them
        registry("queue", "set", queue.name, "--gpus", "2")
        outcome = registry(*command)
        assert outcome.code == 2
        assert f"nproc_per_node=3: queue '{queue.name}' has 2 GPU(s) per machine, according to its tag gpus=2" in outcome.err
        assert f"registry queue set {queue.name} --gpus N" in outcome.err
        registry("queue", "set", queue.name, "--gpus", "0")
        assert registry(*command).code == 0  # nor do machines without any: the processes share the CPU

    def test_more_machines_than_agents_are_a_warning(self, embedded: Server, queue: Queue, registry: Registry) -> None:
        command = ("enqueue", "toy", "--queue", queue.name, "--dataset", "s3://bucket/numbers", "nnodes=2")
        serve(embedded, queue, f"{queue.name}-a")
        outcome = registry(*command, "steps=1,2")
        assert (outcome.code, len(outcome.lines)) == (0, 2)
        assert outcome.err.count(f"warning: nnodes=2 needs one agent per machine, but queue '{queue.name}' has 1") == 1
        serve(embedded, queue, f"{queue.name}-b")
        assert "warning" not in registry(*command).err
        assert "warning: 2 runs need 4 agents together, but queue" in registry(*command, "steps=1,2").err

    def test_arguments_that_contradict_several_machines_are_refused(self, embedded: Server, queue: Queue, registry: Registry) -> None:
        command = ("enqueue", "toy", "--queue", queue.name, "nnodes=2")
        assert "standalone=True and nnodes=2 cannot be combined" in registry(*command, "standalone=True").err
        assert "command=make runs in one process" in registry(*command, "command=make").err
        assert "nproc_per_node=0: must be at least 1" in registry(*command, "nproc_per_node=0").err
