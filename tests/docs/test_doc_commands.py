"""Every command line of README.md, CONTRIBUTING.md, docs/ and the heads of configs/ is right: run, or read by the program that it names, or
by its dry run.

What no checker of `check` knows is an error, so a new kind of command needs one here. Words in capitals stand for what a reader puts
there: `TASK` is a task that the tests' server has, `ID` a dataset, and so on, see `stand_ins`.
"""

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
import pytest
import yaml
from support.clone import copy_files
from support.command_line import Registry, git, in_this_process, parse_clearml_task
from support.documents import DOCUMENTS, Line, command_lines, commands_in, files_in, header_lines, sessions_in, spans
from support.lines import understood
from support.server import LocalServer

from harness.errors import HarnessError
from harness.workload import load
from registry import cli
from registry.environment import ROOT, image_names

pytestmark = pytest.mark.filterwarnings("ignore::pyparsing.warnings.PyparsingDeprecationWarning")  # of the SDK's
CONFIGS = sorted(ROOT.glob("configs/*/*.yaml"))
LINES = [
    *dict.fromkeys(line for document in DOCUMENTS for line in command_lines(document)),
    *dict.fromkeys(line for config in CONFIGS for line in header_lines(config)),
]
QUEUES = ("gpu01", "spot", "services")
DATASETS = ("tabletop-pairs", "my-pairs")
RUN = {"registry list", "registry show", "registry dataset list", "registry queue list", "registry status"}
"""What is run as it stands: it changes nothing."""


@pytest.fixture
def registry(capfd: pytest.CaptureFixture[str]) -> Registry:
    return in_this_process(capfd)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What stands here, committed or not, as a commit on a branch, whatever this clone has checked out."""
    place = copy_files(tmp_path_factory.mktemp("docs") / "clone")
    git(place, "init", "-q", "-b", "main")
    git(place, "add", ".")
    git(place, "commit", "-qm", "here")
    (place / ".venvs").symlink_to(ROOT / ".venvs")
    return place


@pytest.fixture(scope="module")
def served(server: LocalServer) -> tuple[LocalServer, dict[str, str]]:
    """A server with what the lines name, and what their words in capitals stand for."""
    for queue in QUEUES:
        server.call("queues.create", name=queue)
    published = {}
    project = server.call("projects.create", name="[ClearML] public-dataset/.datasets/docs")["id"]
    for name in DATASETS:
        tags = {"system_tags": ["dataset"], "project": project}
        identity = str(server.call("tasks.create", name=name, type="data_processing", **tags)["id"])
        server.call("tasks.started", task=identity)
        server.call("tasks.completed", task=identity)
        published[name] = identity
    return server, published


@pytest.fixture
def stand_ins(
    served: tuple[LocalServer, dict[str, str]], clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry: Registry
) -> Callable[[str], str]:
    """Puts what is there in place of a word in capitals; this test talks to the server."""
    server, published = served
    (tmp_path / "home").mkdir()
    (tmp_path / "home/server").symlink_to(server.data)
    monkeypatch.setenv("REGISTRY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CLEARML_CONFIG_FILE", str(server.conf))
    for name in ("CLEARML_API_HOST", "HARNESS_ENVS", "IMAGE_REGISTRY", "REGISTRY_ROOT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(clone)
    (tmp_path / "weights.pt").touch()

    def put(word: str) -> str:
        key, equals, value = word.rpartition("=")
        named = {"ID": published["tabletop-pairs"], "FOLDER": str(tmp_path), "FILE": str(tmp_path / "weights.pt")}
        if value == "TASK":
            named["TASK"] = task_of(server, registry)
        return f"{key}{equals}{named.get(value, value)}"

    return put


def task_of(server: LocalServer, registry: Registry) -> str:
    """A task of clip, submitted once."""
    found = server.call("tasks.get_all", name="^docs-task$")["tasks"]
    if found:
        return str(found[0]["id"])
    line = ("enqueue", "clip", "--dataset", "tabletop-pairs", "config=smoke", "--name", "docs-task")
    done = registry(*line)
    assert done.code == 0, done.err
    return done.out.strip()


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


@pytest.mark.parametrize("line", LINES, ids=str)
def test_a_command_line_is_right(line: Line, stand_ins: Callable[[str], str], registry: Registry) -> None:
    check(line, stand_ins, registry)


@pytest.mark.parametrize(
    "wrong",
    [
        "registry stauts",
        "registry stop --forse TASK",
        "registry show no-such-workload",
        "registry enqueue clip --dataset tabletop-pears",
        "registry enqueue clip --dataset tabletop-pairs train.epochs=none",
        "make no-such-target",
        "PART=no-such-part make bench/clip",
        "python -m clip_training.no_such_module",
        "python -m clip_training.train no.such.key=1",
        "python -m cliport.tasks --no-such-option",
        "python -m cliport.data.convert no_such_key=1",
        "python clearml_tasks/clip/clearml_train.py dataset_path=pairs config=no-such-config",
        "clearml-task --script clearml_tasks/clip/clearml_train.py --args command=train no.such.key=1",
        "bash example/no-such-script.sh",
        "frobnicate",
    ],
)
def test_a_wrong_one_is_found(wrong: str, stand_ins: Callable[[str], str], registry: Registry) -> None:
    (line,) = commands_in(wrong, ROOT / "README.md")
    with pytest.raises((AssertionError, click.ClickException, HarnessError)):
        check(line, stand_ins, registry)


def test_what_a_terminal_shows_is_what_the_command_says(stand_ins: Callable[[str], str], registry: Registry) -> None:
    shown = [session for document in DOCUMENTS for session in sessions_in(document)]
    assert shown
    for (program, *words), said in shown:
        assert program == "registry"
        done = registry(*map(stand_ins, words))
        assert (done.out + done.err).strip() == said.strip()


def test_every_settings_file_opens_with_a_command() -> None:
    assert [config.name for config in CONFIGS if not list(header_lines(config))] == []


def test_commands_were_found() -> None:
    assert len(LINES) > 80
    assert {line.words[0] for line in LINES} >= {"make", "registry", "python", "clearml-task"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_in_the_text_exist(document: Path) -> None:
    """`make X`, `registry X` and `python -m X` between backticks."""
    for span in spans(document):
        words = span.split()
        if words[0] == "make" and len(words) > 1 and "<" not in span:
            check_make(Line(document, tuple(words)))
        elif words[0] == "registry" and len(words) > 1 and words[1].islower():
            command = cli.cli.commands.get(words[1])
            assert command, span
            if isinstance(command, click.Group) and len(words) > 2:
                assert all(name in command.commands for name in words[2].split("|")), span
        elif words[:2] == ["python", "-m"] and "..." not in span and not span.endswith(".command"):
            module_file(words[2])
