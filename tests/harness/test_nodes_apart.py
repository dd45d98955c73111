"""A run on two machines, which are network namespaces: two real agents, torchrun's rendezvous between them, gradients across.

Slow: two agents, and torch in each rank. Skipped where no namespace can be made, or the environment of the image `clip` is not built.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from support.agent import plain_agent
from support.events import wait_for
from support.namespaces import Network, why_not
from support.server import LocalServer
from support.toy import ROOT, make_repository

from harness.reasons import reason_of

ENVIRONMENTS = Path(os.environ.get("HARNESS_ENVS", ROOT / ".venvs"))
IMAGE = "clip"  # of those with torch the one that there has always been
WITHOUT = why_not() or ("" if (ENVIRONMENTS / IMAGE / "bin/python").exists() else f"make env/{IMAGE}")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(WITHOUT), reason=WITHOUT)]

WORKLOAD = """\
summary: Lays a line through points
queue: gpu01
datasets: {dataset_id: points}
commands: {train: {launcher: torchrun, type: training, config: toy_settings:Train}}
"""
SETTINGS = """\
from dataclasses import dataclass

from harness.params import setting


@dataclass
class Train:
    steps: int = setting(5, "steps", ge=1)
    pause: float = setting(0.0, "time per step", unit="s", ge=0)
"""

SCRIPT = '''\
"""A line through points, of which each rank knows its share alone."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

import harness


def train(job):
    import time

    import torch
    from torch import distributed as dist

    dist.init_process_group("gloo")
    rows = torch.tensor([[float(word) for word in line.split()] for line in (job.dataset / "points.txt").read_text().splitlines()])
    mine = rows[job.rank :: job.world_size]
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(1, 1))
    with torch.no_grad():
        model.module.weight.zero_(), model.module.bias.zero_()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for step in range(1, job.settings.steps + 1):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(mine[:, :1]), mine[:, 1:])
        loss.backward()
        optimizer.step()
        job.report.scalar("line", "slope", model.module.weight.item(), step)
        print(f"rank {job.rank} of {job.world_size}: step {step}", flush=True)
        time.sleep(job.settings.pause)
    print(f"rank {job.rank} has {model.module.weight.item():.9f} {model.module.bias.item():.9f}", flush=True)
    del model, optimizer, loss  # they hold the process group, whose threads must end before the interpreter does
    dist.destroy_process_group()


if __name__ == "__main__":
    harness.main(__file__, train=train)
'''


class Cluster:
    """Two machines with an agent each, and the repository whose runs they take."""

    def __init__(self, server: LocalServer, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.queue = f"apart-{uuid.uuid4().hex[:6]}"
        self.script = make_repository(folder / "repository", WORKLOAD, SETTINGS, SCRIPT)
        (folder / "data").mkdir()
        (folder / "data" / "points.txt").write_text("".join(f"{x / 8} {0.3 + 1.7 * x / 8 + x % 3 / 10}\n" for x in range(16)))
        (folder / "environments").mkdir()
        (folder / "environments" / "toy").symlink_to(ENVIRONMENTS / IMAGE)
        (folder / "home").mkdir()
        (folder / "home" / "server").symlink_to(server.data)
        self.environment = server.env | {
            "REGISTRY_HOME": str(folder / "home"),
            "HARNESS_ENVS": str(folder / "environments"),
            "HARNESS_CACHE": str(folder / "cache"),
            "PYTHONPATH": str(self.script.parent),
            "OMP_NUM_THREADS": "1",
        }
        self.registry("queue", "create", self.queue)
        self.network = Network(2, int(server.url.rpartition(":")[2]))
        self.agents = [self.start(namespace, address) for namespace, address in self.network.addresses.items()]

    def start(self, namespace: str, address: str) -> subprocess.Popen[bytes]:
        """A real agent on a machine. Behind the relay the server's address says nothing about the machine's own, so it is stated."""
        place = self.folder / namespace
        place.mkdir()
        mine = plain_agent(self.server, place, namespace, 1) | {"MASTER_ADDR": address}
        argv = [sys.executable, "-m", "clearml_agent", "daemon", "--foreground", "--cpu-only", "--queue", self.queue]
        with (place / "agent.log").open("wb") as log:
            command = [*self.network.inside(namespace), *argv]
            return subprocess.Popen(command, env=self.environment | mine, stdout=log, stderr=log, start_new_session=True)

    def registry(self, *arguments: str) -> list[str]:
        """What a command prints."""
        argv = [sys.executable, "-m", "registry", *arguments]
        done = subprocess.run(argv, cwd=self.script.parents[2], env=self.environment, capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.splitlines()

    def enqueue(self, *arguments: str) -> str:
        (task,) = self.registry("enqueue", "toy", "--queue", self.queue, f"dataset_path={self.folder}/data", *arguments)
        return task

    def task(self, task: str) -> dict[str, Any]:
        found: dict[str, Any] = self.server.call("tasks.get_by_id", task=task)["task"]
        return found

    def nodes(self, task: str) -> list[dict[str, Any]]:
        """A run's tasks, the first node's first."""
        others: list[dict[str, Any]] = self.server.call("tasks.get_all", parent=task)["tasks"]
        return [self.task(task), *others]

    def ended(self, task: str) -> list[dict[str, Any]]:
        wait_for(lambda: all(node["status"] not in {"created", "queued", "in_progress"} for node in self.nodes(task)), 150)
        return self.nodes(task)

    def log(self, task: Mapping[str, Any]) -> str:
        events = self.server.call("events.get_task_log", task=task["id"], order="asc", batch_size=1000)["events"]
        return "".join(event["msg"] for event in events)

    def log_with(self, task: Mapping[str, Any], said: str) -> str:
        """The log once `said` is in it: a task may end before its agent has sent the last lines."""
        wait_for(lambda: said in self.log(task), 60)
        return self.log(task)

    def close(self) -> None:
        self.network.close()
        for agent in self.agents:
            agent.wait()


@pytest.fixture(scope="module")
def cluster(server: LocalServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(server, tmp_path_factory.mktemp("apart"))
    yield cluster
    cluster.close()


def line(log: str, rank: int) -> list[float]:
    """The weights that a rank ended with."""
    (found,) = re.findall(rf"rank {rank} has (\S+) (\S+)", log)
    return [float(number) for number in found]


def test_two_machines_learn_what_two_processes_on_one_do(cluster: Cluster) -> None:
    alone = [sys.executable, str(cluster.script), f"dataset_path={cluster.folder}/data", "nproc_per_node=2"]
    environment = {name: value for name, value in cluster.environment.items() if not name.startswith("CLEARML_")}
    done = subprocess.run(alone, cwd=cluster.folder, env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr

    nodes = cluster.ended(cluster.enqueue("nnodes=2", "standalone=False", "nproc_per_node=1"))
    assert [node["status"] for node in nodes] == ["completed", "completed"], [cluster.log(node) for node in nodes]
    logs = [cluster.log_with(node, f"rank {rank} has") for rank, node in enumerate(nodes)]
    assert {node["last_worker"].partition(":")[0] for node in nodes} == set(cluster.network.addresses)
    weights = [line(log, rank) for rank, log in enumerate(logs)]
    assert weights[0] == weights[1]  # each knows half of the points, so the gradients of both are in them
    assert weights[0] == pytest.approx(line(done.stdout, 0), rel=1e-6)
    assert all(f"rank {rank} of 2: step 5" in log for rank, log in enumerate(logs))

    (scalars, nothing) = (cluster.server.call("events.scalar_metrics_iter_histogram", task=node["id"]) for node in nodes)
    assert scalars["line"]["slope"]["x"] == [1, 2, 3, 4, 5]
    assert "line" not in nothing
    assert nodes[1]["name"] == f"{nodes[0]['name']} node 1"


def test_a_machine_uses_the_address_from_which_it_reaches_the_server(cluster: Cluster) -> None:
    first, second = cluster.network.addresses.items()
    code = f"from harness.network import *; print(address_towards('http://{second[1]}:8008'), interface_towards('{second[1]}'))"
    found = subprocess.run([*cluster.network.inside(first[0]), sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == [first[1], "eth0"]


def test_a_machine_that_goes_dark_ends_the_run_on_the_other_one(cluster: Cluster) -> None:
    """Its agent goes with it, so nobody there is left to say so."""
    zero = cluster.enqueue("nnodes=2", "steps=100000", "pause=0.05")
    wait_for(lambda: len(cluster.nodes(zero)) == 2 and all("of 2: step 3" in cluster.log(node) for node in cluster.nodes(zero)), 150)
    dark = cluster.nodes(zero)[1]
    cluster.network.cut(dark["last_worker"])
    nodes = cluster.ended(zero)
    assert [node["status"] for node in nodes] == ["failed", "failed"]
    told = rf"node 1 \(task {dark['id']} on .*\): unresponsive for \d+ s; it was killed, or has lost its connection to the server"
    assert all(re.fullmatch(told, reason_of(node)) for node in nodes), nodes
