"""The output of `--json` matches docs/json.md."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from support.annotated import Coco
from support.command_line import Registry
from support.server import LocalServer

from registry.backends import Queue, Server
from registry.cli import cli

pytestmark = pytest.mark.filterwarnings("ignore::pyparsing.warnings.PyparsingDeprecationWarning")  # of the SDK's
TEXT = (Path(__file__).resolve().parents[2] / "docs/json.md").read_text()
SHOWN = {title: json.loads(value) for title, value in re.findall(r"^## registry (.*?) --json\n.*?```json\n(.*?)```", TEXT, re.M | re.S)}
OPEN = {
    "datasets",
    "settings",
    "scalars",
    "not_finite",
    "limits",
    "smoke",
    "aliases",
    "fixed",
    "refused",
    "splits",
    "of_class",
    "masks_read",
}
"""Keys whose values have names that the workload, or the data, chooses."""


def same_shape(found: Any, shown: Any, place: str = "") -> None:
    """Fails unless `found` has the keys and the kinds of values of `shown`."""
    if found is None or shown is None or place.endswith(".default"):
        return
    assert isinstance(found, type(shown)), place
    if isinstance(shown, dict):
        if place.rpartition(".")[2] in OPEN:
            return
        assert set(found) == set(shown), place
        for key, value in shown.items():
            same_shape(found[key], value, f"{place}.{key}")
    elif isinstance(shown, list) and shown and place.rpartition(".")[2] not in OPEN:
        for item in found:
            same_shape(item, shown[0], place)


def run_of(server: LocalServer, lr: str) -> str:
    """A task that has run, with its loss as its main metric."""
    sections = {"Settings": {"lr": lr}, "properties": {"metrics": '{"main": "loss/value"}'}}
    given = {name: {key: {"section": name, "name": key, "value": value} for key, value in held.items()} for name, held in sections.items()}
    task = str(server.call("tasks.create", name="json", type="training", hyperparams=given)["id"])
    server.call("tasks.started", task=task)
    event = {"type": "training_stats_scalar", "task": task, "metric": "loss", "variant": "value", "value": 0.4, "iter": 1}
    server.report({**event, "timestamp": int(time.time() * 1000)})
    server.call("tasks.completed", task=task)
    return task


@pytest.fixture
def lines(clone: Path, server: LocalServer, embedded: Server, queue: Queue) -> dict[str, tuple[str, ...]]:
    """A command line for each title, about an existing task, dataset, queue and image."""
    first, second = run_of(server, "0.1"), run_of(server, "0.2")
    hidden = embedded.project("[ClearML] public-dataset/.datasets/json")
    embedded.call("tasks.create", name="json", type="data_processing", project=hidden, system_tags=["dataset"])
    animals = Coco(clone / "animals")
    for stated in animals.files.values():
        stated["categories"].append({"id": 4, "name": "background"})
    (clone / "docker/toy/Dockerfile").write_text("ARG BASE_IMAGE=debian:12\nFROM ${BASE_IMAGE}\n")
    return {
        "list": ("list",),
        "show NAME": ("show", "toy"),
        "status [TASK...]": ("status", first),
        "compare TASK...": ("compare", first, second),
        "queue list": ("queue", "list"),
        "dataset list": ("dataset", "list"),
        "dataset check FOLDER_OR_ID": ("dataset", "check", str(animals.save())),
        "image list": ("image", "list"),
    }


def test_each_command_prints_the_documented_json(lines: dict[str, tuple[str, ...]], registry: Registry) -> None:
    assert set(lines) == set(SHOWN)
    for title, line in lines.items():
        outcome = registry(*line, "--json")
        assert outcome.code == 0, outcome.err
        found = json.loads(outcome.out)
        assert found, title
        same_shape(found, SHOWN[title], title)


def test_every_command_with_json_is_covered() -> None:
    shown = {" ".join(word for word in title.split() if word.islower()) for title in SHOWN}
    groups = {"": cli, **{f"{name} ": group for name, group in cli.commands.items() if hasattr(group, "commands")}}
    taking = {
        f"{begin}{name}"
        for begin, group in groups.items()
        for name, command in group.commands.items()
        if any("--json" in parameter.opts for parameter in command.params)
    }
    assert taking == shown


@pytest.mark.usefixtures("no_server")
def test_errors_go_to_stderr(clone: Path, registry: Registry) -> None:
    for line in (
        ["show", "nobody"],
        ["status"],
        ["compare", "x"],
        ["queue", "list"],
        ["dataset", "list"],
        ["dataset", "check", "nothing"],
        ["image", "list", "nobody"],
    ):
        outcome = registry(*line, "--json")
        assert (outcome.code in {1, 2}, outcome.out, outcome.err.startswith("error: ")) == (True, "", True)
