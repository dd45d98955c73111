"""Checkers of command lines in documents, one for each kind of command: each fails where its line is wrong."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import yaml

from harness.workload import load
from registry import cli
from registry.environment import ROOT, image_names

from .command_line import Registry, parse_clearml_task
from .documents import Line, files_in
from .lines import understood

RUN = {"registry list", "registry show", "registry dataset list", "registry queue list", "registry status"}
"""What is run as it stands: it changes nothing."""


def check_registry(line: Line, put: Callable[[str], str], registry: Registry) -> None:
    if shell := dict(line.variables).get("_REGISTRY_COMPLETE"):
        assert shell in {"bash_source", "zsh_source", "fish_source"}
        return
    words = [put(word) for word in line.words[1:]]
    command, rest = cli.cli, words
    context = click.Context(command, info_name="registry")
    while isinstance(command, click.Group):
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None
        command, context = found, click.Context(found, info_name=name, parent=context)
    full = " ".join(["registry", *words[: len(words) - len(rest)]])
    if full == "registry enqueue":
        done = registry(*[word for word in words if word not in {"--wait", "--dry-run"}], "--dry-run")
        assert done.code == 0, done.err
        for printed in done.lines:
            if "$(" not in printed:
                parse_clearml_task(printed)
    elif full in RUN:
        done = registry(*words)
        assert done.code == 0, done.err
        assert done.out
    else:
        command.make_context(context.info_name, rest, parent=context.parent)  # raises what is wrong


def check_make(line: Line) -> None:
    mine = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run([*line.words, "-n"], cwd=ROOT, env=mine, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if line.words[1].startswith("bench/"):
        name, part = line.words[1].partition("/")[2], dict(line.variables).get("PART")
        place = ROOT / "tests/benchmarks"
        assert (place / f"{name}.py").exists() or (place / name / "__main__.py").exists()
        assert part is None or (place / name / f"{part}.py").exists()


def check_python(line: Line, put: Callable[[str], str]) -> None:
    program = line.words[0]
    if program.startswith(".venvs/"):
        assert program.split("/")[1] in image_names()
    first, *arguments = (put(word) for word in line.words[1:])
    if first != "-m":
        check_script(line, first, arguments)
        return
    module, *arguments = arguments
    source = module_file(module)
    entered = re.search(r'enter\("([\w.-]+)", "([\w-]+)"', source.read_text())
    if entered:
        check_run(entered[1], [f"command={entered[2]}", *arguments])
    else:
        check_help(module, arguments)


def module_file(module: str) -> Path:
    name = module.replace(".", "/")
    places = [ROOT / base / f"{name}{end}" for base in ("src", ".", "tests") for end in (".py", "/__main__.py")]
    found = next((place for place in places if place.exists()), None)
    assert found, f"there is no module {module}"
    return found


def check_script(line: Line, script: str, arguments: list[str]) -> None:
    if script in files_in(line.document):
        return  # the page makes this workload: test_doc_example runs the line
    assert (ROOT / script).exists(), script
    ast.parse((ROOT / script).read_text())
    if script.endswith("/clearml_train.py"):
        check_run(Path(script).parent.name, arguments)


def check_run(workload: str, arguments: list[str]) -> None:
    """The harness's own reading of the arguments."""
    if "--help" in arguments:
        return
    declared = load(ROOT / "clearml_tasks" / workload)
    command = next((word.partition("=")[2] for word in arguments if word.startswith("command=")), next(iter(declared.commands)))
    understood(workload, command, *(word for word in arguments if not word.startswith("command=")))


def check_help(module: str, arguments: list[str]) -> None:
    """The options and keys are those that the module's help names."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)), "PYTHONWARNINGS": "ignore"}
    told = subprocess.run([sys.executable, "-m", module, "--help"], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    for word in arguments:
        if word.startswith("-"):
            assert re.search(rf"(?<![\w-]){re.escape(word)}\b", told.stdout), f"{word} is not in the help of {module}"
        elif "=" in word:
            assert re.search(rf"^ *{re.escape(word.partition('=')[0])}=", told.stdout, re.MULTILINE), f"{word}: {module} has no such key"


def check_clearml_task(line: Line) -> None:
    parsed = parse_clearml_task(shlex.join(line.words))
    assert (ROOT / parsed.script).exists()
    arguments = [str(word) for word in parsed.args]
    understood(Path(parsed.script).parent.name, arguments[0].partition("=")[2], *arguments[1:])


def check_bash(line: Line) -> None:
    assert (ROOT / line.words[1]).exists()
    subprocess.run(["bash", "-n", ROOT / line.words[1]], check=True)


def check_compose(line: Line) -> None:
    words = list(line.words[1:])
    file = ROOT / words[words.index("-f") + 1]
    assert yaml.safe_load(file.read_text())["services"]
    assert {"up", "down", "ps", "logs"} & set(words)


def check_docker(line: Line) -> None:
    assert line.words[1:2] == ("login",), "of docker the documents use docker login alone"


def check_export(line: Line) -> None:
    for word in line.words[1:]:
        name, equals, value = word.partition("=")
        assert equals, word
        for image in re.findall(r"\.venvs/([\w.-]+)", value):
            assert image in image_names()
        assert name in {"PYTHONPATH", "PATH", "IMAGE_REGISTRY"} or name.startswith("CLEARML_"), f"{name}: what reads this?"


def check_source(line: Line) -> None:
    assert (ROOT / line.words[1]).exists()


def check_pip(line: Line) -> None:
    assert line.words[1:] == ("install", ".")


def check_eval(line: Line) -> None:
    assert line.words[1:] == ("SUBSTITUTED",)  # what was substituted is a line of its own


def check(line: Line, put: Callable[[str], str], registry: Registry) -> None:
    checkers: dict[str, Callable[[], None]] = {
        "registry": lambda: check_registry(line, put, registry),
        "python": lambda: check_python(line, put),
        "make": lambda: check_make(line),
        "clearml-task": lambda: check_clearml_task(line),
        "bash": lambda: check_bash(line),
        "docker-compose": lambda: check_compose(line),
        "docker": lambda: check_docker(line),
        "export": lambda: check_export(line),
        "source": lambda: check_source(line),
        "eval": lambda: check_eval(line),
        "pip": lambda: check_pip(line),
    }
    checker = checkers.get(Path(line.words[0]).name)
    assert checker, f"{line}: no test knows how to check such a command"
    checker()
