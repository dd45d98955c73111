"""A value reaches its run unchanged by every entry point: registry, the clearml-task command that it prints, SDK, command line."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from support.command_line import Registry, git, parse_clearml_task
from support.echo import ECHO, said
from support.server import LocalServer
from support.toy import make_repository

from harness.grammar import text_on_task, token
from registry.backends import Queue, Server, hyperparameters

pytestmark = pytest.mark.filterwarnings("ignore::pyparsing.warnings.PyparsingDeprecationWarning")  # of the SDK's

VALUES: dict[str, Any] = {
    "one": "größe",
    "two": "a photo of a {}",
    "three": "red, green and blue",
    "four": "a=b",
    "five": "https://h/p?q=1&r=2",
    "six": "two\nlines",
    "seven": """it's "quoted" with \\ and \\'""",
    "eight": "  leading blanks",
    "nine": "null",
    "ten": "~/data",
    "note": None,
    "count": None,
    "words": ["a, b", "c=d", "é", "[x]", "True", "null", "it's"],
    "options": {"name": "x, y", "size": 3, "deep": {"on": True}},
}
NEVER_TYPED = {"seed": 0, "optim": {"lr": 0.001}}


@pytest.fixture
def echo(clone: Path) -> Path:
    """The clone with a workload that prints its settings; returns its entry script."""
    for name in ("clearml_tasks", "configs", "docker"):
        shutil.rmtree(clone / name)
    (clone / "src").unlink()
    script = make_repository(clone, **ECHO)
    assert git(clone, "status", "--porcelain") == ""
    return script


@pytest.fixture
def tokens() -> list[str]:
    return [token(key, value) for key, value in VALUES.items()]


def test_a_task_has_the_values(echo: Path, embedded: Server, queue: Queue, registry: Registry, tokens: list[str]) -> None:
    (task,) = registry("enqueue", "toy", "--queue", queue.name, *tokens).lines
    on_task = hyperparameters(embedded.task(task), "Args")
    assert on_task == {"command": "say", **{key: text_on_task(value) for key, value in VALUES.items()}}
    assert (on_task["seven"], on_task["note"], json.loads(on_task["words"])) == (VALUES["seven"], "", VALUES["words"])


def test_the_printed_command_has_the_same_values(echo: Path, embedded: Server, queue: Queue, registry: Registry, tokens: list[str]) -> None:
    printed = registry("enqueue", "toy", "--queue", queue.name, *tokens, "--dry-run").out
    arguments = dict(argument.split("=", 1) for argument in parse_clearml_task(printed).args)
    assert arguments == {"command": "say", **{key: text_on_task(value) for key, value in VALUES.items()}}


def test_quotes_of_the_command_line_are_not_part_of_the_value(echo: Path, embedded: Server, queue: Queue, registry: Registry) -> None:
    (task,) = registry(
        "enqueue", "toy", "--queue", queue.name, "one='a, b'", "two=x=1", "three=größe", "optim.lr=1e-3", "words=[a,'b c']"
    ).lines
    expected = {"one": "a, b", "two": "x=1", "three": "größe", "optim.lr": "1e-3", "words": '["a", "b c"]'}
    assert hyperparameters(embedded.task(task), "Args") == {"command": "say", **expected}


def test_a_sweep_of_quoted_texts(echo: Path, embedded: Server, queue: Queue, registry: Registry) -> None:
    tasks = registry("enqueue", "toy", "--queue", queue.name, "one='a, b','c=d',e f").lines
    assert [hyperparameters(embedded.task(task), "Args")["one"] for task in tasks] == ["a, b", "c=d", "e f"]


def test_a_resumed_task_keeps_its_values(echo: Path, embedded: Server, queue: Queue, registry: Registry, tokens: list[str]) -> None:
    (first,) = registry("enqueue", "toy", "--queue", queue.name, *tokens).lines
    (second,) = registry("enqueue", "toy", "--queue", queue.name, "--resume", first, "one='x, y'").lines
    before, after = (hyperparameters(embedded.task(task), "Args") for task in (first, second))
    assert after == {**before, "resume": first, "one": "x, y"}


@pytest.mark.slow
def test_every_entry_point_makes_the_same_run(
    echo: Path, server: LocalServer, embedded: Server, queue: Queue, registry: Registry, tokens: list[str]
) -> None:
    """Starts clearml-task, a script of the SDK and four runs, each of which imports the SDK."""
    (line,) = [registry("enqueue", "toy", "--queue", queue.name, *tokens, "--dry-run").out]
    (submitted,) = registry("enqueue", "toy", "--queue", queue.name, *tokens).lines
    shutil.rmtree(echo.parents[2] / ".venvs")  # runs take this python then
    command = shlex.quote(str(Path(sys.executable).with_name("clearml-task")))
    done = subprocess.run(line.replace("clearml-task", command, 1), shell=True, env=server.env, capture_output=True, text=True)
    printed = re.findall(r"New task created id=(\w+)", done.stdout)
    assert printed, done.stdout + done.stderr
    code = f"""
from clearml import Task
task = Task.clone({submitted!r})
task.set_parameters({{"Args/" + key: value for key, value in {VALUES!r}.items()}})
print(task.id)
"""
    done = subprocess.run([sys.executable, "-c", code], env=server.env, capture_output=True, text=True, check=True)
    for task in (submitted, *printed, done.stdout.split()[-1]):
        assert run(echo, server, task) == VALUES | NEVER_TYPED
    alone = {"PATH": os.environ["PATH"], "HOME": "/nowhere"}
    by_hand = subprocess.run([sys.executable, echo, *tokens], env=alone, capture_output=True, text=True, cwd=echo.parents[2])
    assert said(by_hand.stdout) == VALUES | NEVER_TYPED


def run(script: Path, server: LocalServer, task: str) -> dict[str, Any]:
    """The settings that a task prints when run as by an agent."""
    if server.call("tasks.get_by_id", task=task)["task"]["status"] == "queued":
        server.call("tasks.dequeue", task=task)
    server.call("tasks.started", task=task)
    environment = server.env | {"CLEARML_TASK_ID": task, "HARNESS_CACHE": f"{server.data}.cache-{uuid.uuid4().hex[:4]}"}
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, cwd=script.parents[2])
    assert done.returncode == 0, done.stdout + done.stderr
    return said(done.stdout)
