"""Every command line of README.md, CONTRIBUTING.md, docs/ and the heads of configs/ is right: run, or read by the program that it names, or
by its dry run.

What no checker of `support.command_checkers` knows is an error, so a new kind of command needs one there. Words in capitals stand for what
a reader puts there: `TASK` is a task that the tests' server has, `ID` a dataset, and so on, see `stand_ins`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import pytest
from support.clone import copy_files
from support.command_checkers import check, check_make, module_file
from support.command_line import Registry, git, in_this_process
from support.documents import DOCUMENTS, Line, command_lines, commands_in, header_lines, sessions_in, spans
from support.server import LocalServer

from harness.errors import HarnessError
from registry import cli
from registry.environment import ROOT

pytestmark = pytest.mark.filterwarnings("ignore::pyparsing.warnings.PyparsingDeprecationWarning")  # of the SDK's
CONFIGS = sorted(ROOT.glob("configs/*/*.yaml"))
LINES = [
    *dict.fromkeys(line for document in DOCUMENTS for line in command_lines(document)),
    *dict.fromkeys(line for config in CONFIGS for line in header_lines(config)),
]
QUEUES = ("gpu01", "spot", "services")
DATASETS = ("tabletop-pairs", "my-pairs")


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
