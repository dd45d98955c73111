"""Scripts that nobody changes, from `registry new` to their smoke runs: typed, discovered, rendered, run by a real clearml-agent.

Slow: the agent takes 5 s to start, and each task as long. All tasks of the module go to one agent.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.agent import plain_agent
from support.command_line import git
from support.events import wait_for
from support.server import LocalServer
from support.spot import Spot
from support.toy import make_repository
from support.wrapped import COLLIDING, commit_all, make_foreign

from harness.reasons import reason_of

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
THIRD_PARTY = ROOT / "tests/support/third_party"


class House:
    """A clone, another repository with the scripts of tests/support/third_party, and an agent that serves a queue of theirs."""

    def __init__(self, server: LocalServer, folder: Path) -> None:
        self.server, self.folder, self.clone, self.other = server, folder, folder / "clone", folder / "other"
        make_repository(self.clone)
        (self.clone / "docker/toy/Dockerfile").write_text("ARG BASE_IMAGE=python:3.11-slim-bookworm\nFROM ${BASE_IMAGE}\n")
        python = self.clone / ".venvs/toy/bin/python"
        python.parent.mkdir(parents=True)
        python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
        python.chmod(0o755)
        shutil.copytree(THIRD_PARTY, self.other)
        git(self.other, "init", "-q", "-b", "main")
        commit_all(self.other)
        make_foreign(folder / "foreign")
        self.queue = f"wrapped-{uuid.uuid4().hex[:6]}"
        server.call("queues.create", name=self.queue)
        (folder / "home").mkdir()
        (folder / "home/server").symlink_to(server.data)
        mine = {"REGISTRY_HOME": str(folder / "home"), "HARNESS_CACHE": str(folder / "cache"), "TMPDIR": str(folder)}
        self.environment = server.env | mine

    def registry(self, *arguments: str) -> str:
        argv = [sys.executable, "-m", "registry", *arguments]
        done = subprocess.run(argv, cwd=self.clone, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def new(self, name: str, source: str) -> None:
        """All that a person types to wrap a script."""
        self.registry("new", name, "--from", source, "--image", "toy", "--queue", self.queue)
        commit_all(self.clone)

    def collide(self) -> None:
        """A workload whose script brings packages with our names."""
        if not (self.clone / "clearml_tasks/colliding").exists():
            self.new("colliding", f"{(self.folder / 'foreign').as_uri()}@main:tools/train.py")

    def enqueue(self, name: str, *arguments: str) -> str:
        return self.registry("enqueue", name, *arguments).split()[-1]

    def task(self, identity: str) -> dict[str, Any]:
        task: dict[str, Any] = self.server.call("tasks.get_by_id", task=identity)["task"]
        return task

    def log(self, identity: str) -> str:
        events = self.server.call("events.get_task_log", task=identity, order="asc", batch_size=1000)["events"]
        return "".join(event["msg"] for event in events)

    run_of, runs_of = Spot.run_of, Spot.runs_of

    def ended(self, identity: str) -> dict[str, Any]:
        wait_for(lambda: self.task(identity)["status"] not in {"queued", "in_progress", "created"}, 90)
        return self.task(identity)


@pytest.fixture(scope="module")
def house(server: LocalServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(server, tmp_path_factory.mktemp("wrapped"))
    place = house.folder / "agent"
    place.mkdir()
    environment = house.environment | plain_agent(server, place, f"wrapped:{house.queue}", 0.5)
    argv = [sys.executable, "-m", "clearml_agent", "daemon", "--foreground", "--cpu-only", "--queue", house.queue]
    with (house.folder / "agent.log").open("wb") as log:
        agent = subprocess.Popen(argv, env=environment, stdout=log, stderr=log, cwd=place, start_new_session=True)
    yield house
    agent.terminate()
    agent.wait(60)


def curves(task: dict[str, Any]) -> dict[str, float]:
    """The last value of each curve."""
    found = (entry for variants in task["last_metrics"].values() for entry in variants.values())
    return {f"{entry['metric']}/{entry['variant']}": entry["value"] for entry in found if not entry["metric"].startswith(":")}


def test_a_third_party_script_runs_on_the_queue_and_its_results_are_its_task_s(house: House) -> None:
    house.new("mnist", f"{house.other.as_uri()}@main:mnist.py")
    first = house.enqueue("mnist", "epochs=3", "lr=0.5", "save_model=True", "seed=4")
    smoke = house.enqueue("mnist", "--smoke")
    task = house.ended(first)
    assert task["status"] == "completed", house.log(first)
    assert "running mnist.py --epochs=3 --lr=0.5 --seed=4 --save-model" in house.log(first)
    assert "Train Epoch: 3 [0]\tLoss: " in house.log(first)
    assert curves(task).keys() == {"loss/train"}  # from its TensorBoard file
    assert {model["name"] for model in task["models"]["output"]} == {"checkpoint-0"}
    settings = {name: entry["value"] for name, entry in task["hyperparams"]["Settings"].items()}
    assert settings == {
        "seed": "4",
        "batch_size": "64",
        "epochs": "3",
        "lr": "0.5",
        "no_cuda": "False",
        "dry_run": "False",
        "log_interval": "10",
        "save_model": "True",
        "arguments": "[]",
    }
    resumed = house.enqueue("mnist", "--resume", first, "epochs=4")
    task = house.ended(smoke)
    assert (task["status"], "--epochs=1 --dry-run --seed=0" in house.log(smoke)) == ("completed", True), house.log(smoke)
    task = house.ended(resumed)
    assert task["status"] == "completed", house.log(resumed)
    assert ("Train Epoch: 3 " in house.log(resumed), "Train Epoch: 4 " in house.log(resumed)) == (False, True)


def test_scikit_learn_s_digits(house: House) -> None:
    """Of one's own, in the clone itself."""
    (house.clone / "digits").mkdir()
    shutil.copy(THIRD_PARTY / "digits.py", house.clone / "digits/digits.py")
    assert len((THIRD_PARTY / "digits.py").read_text().splitlines()) < 25
    house.new("digits", "digits/digits.py")
    smoke = house.enqueue("digits", "--smoke")
    task = house.ended(smoke)
    assert task["status"] == "completed", house.log(smoke)
    assert "accuracy 0." in house.log(smoke)
    images = house.server.call("events.debug_images", metrics=[{"task": smoke, "metric": "files"}])["metrics"]
    assert [(event["metric"], event["variant"]) for entry in images for each in entry["iterations"] for event in each["events"]] == [
        ("files", "confusion")
    ]


def test_its_packages_are_its_own_with_the_agent_s_path_too(house: House) -> None:
    house.collide()
    task = house.enqueue("colliding", "steps=2")
    assert house.ended(task)["status"] == "completed", house.log(task)
    assert f"theirs: {' '.join(COLLIDING)}\n" in house.log(task)


def test_a_failure_and_a_stop_are_told_in_its_status(house: House) -> None:
    house.collide()
    failing = house.enqueue("colliding", "fail_at=2")
    slow = house.enqueue("colliding", "steps=1000", "pause=0.2")
    task = house.ended(failing)
    assert (task["status"], reason_of(task)) == ("failed", "ValueError: step 2 went wrong"), house.log(failing)
    wait_for(lambda: "step 2\n" in house.log(slow), 60)
    house.registry("stop", slow)
    assert house.ended(slow)["status"] == "stopped", house.log(slow)


def test_a_run_that_its_machine_ends_goes_on_from_its_last_checkpoint(house: House) -> None:
    house.collide()
    task = house.enqueue("colliding", "steps=4", "pause=2.5", "requeue=1")
    wait_for(lambda: house.task(task).get("models", {}).get("output"), 60)
    os.kill(house.run_of(task), signal.SIGTERM)
    wait_for(lambda: house.task(task)["status"] == "completed", 90)
    first, _, second = house.log(task).partition("--resume=")
    assert second, first
    assert ("rank 0: step 1\n" in first, "rank 0: step 1\n" in second, "total 4\n" in second) == (True, False, True)
