"""Which settings a run reads. What counts is stated here by example: a use of a value counts, and handling or showing it does not."""

from __future__ import annotations

import copy
import dataclasses
import logging
import multiprocessing
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support.reads import unread
from support.toy import SCRIPT, SETTINGS, forget_settings, make_repository

from harness.errors import ParameterError
from harness.params import resolve, setting
from harness.plan import Plan
from harness.reads import NOTES, noted
from harness.report import Recorder, Report
from harness.settings import flat
from harness.workload import load

log = logging.getLogger(__name__)


@dataclass
class Optim:
    lr: float = setting(1e-3, "rate")
    steps: int = setting(3, "steps")


@dataclass
class Train:
    name: str = setting("toy", "name")
    sizes: list[int] = setting([1, 2], "sizes")
    optim: Optim = field(default_factory=Optim)

    @property
    def title(self) -> str:
        return f"toy-{self.name}"

    def problems(self) -> list[str]:
        return [f"steps={self.optim.steps}" for size in self.sizes if size > self.optim.steps]


@pytest.fixture
def settings(tmp_path: Path) -> Train:
    watched: Train = noted(Train(), tmp_path)
    return watched


def read_in(folder: Path) -> set[str]:
    return {path.name for path in (folder / NOTES).iterdir()}


def loop(report: Report, settings: Train) -> None:
    for _ in report.progress(range(settings.optim.steps), total=settings.optim.steps):
        pass


USES: dict[str, tuple[Callable[[Train], object], set[str]]] = {
    "a value": (lambda settings: settings.optim.lr * 2, {"optim.lr"}),
    "a condition": (lambda settings: settings.name == "toy" or 1, {"name"}),
    "by getattr": (lambda settings: getattr(settings.optim, "lr"), {"optim.lr"}),  # noqa: B009
    "an argument": (lambda settings: sum(settings.sizes), {"sizes"}),
    "an argument of a call in a report": (lambda settings: Recorder().text(str(sum(settings.sizes))), {"sizes"}),
    "a text that is no message": (lambda settings: Path(f"weights.{settings.name}"), {"name"}),
    "a property of the settings": (lambda settings: settings.title, {"name"}),
    "a loop with a progress bar": (lambda settings: loop(Recorder(), settings), {"optim.steps"}),
    "a changed copy": (lambda settings: dataclasses.replace(settings, name="other").optim.lr, {"optim.lr"}),
    "an unpickled copy": (lambda settings: pickle.loads(pickle.dumps(settings.optim)).lr, {"optim.lr"}),
    "a deep copy": (lambda settings: copy.deepcopy(settings).sizes, {"sizes"}),
}


@pytest.mark.parametrize(("use", "keys"), USES.values(), ids=list(USES))
def test_a_value_that_is_used_is_read(settings: Train, tmp_path: Path, use: Callable[[Train], object], keys: set[str]) -> None:
    use(settings)
    assert read_in(tmp_path) == keys


def refuse(settings: Train) -> None:
    with pytest.raises(ParameterError):
        raise ParameterError([f"name={settings.name}: no"])


def tell(report: Report, settings: Train) -> None:
    report.text(f"{settings.name}: {settings.optim.lr:g}, {', '.join(map(str, settings.sizes))}")
    report.scalar("loss", settings.name, 1.0, settings.optim.steps)
    report.artifact("result", {"lr": settings.optim.lr})


HANDLING: dict[str, Callable[[Train], object]] = {
    "asdict": dataclasses.asdict,
    "flat": flat,
    "a group": lambda settings: settings.optim,
    "vars": lambda settings: {**vars(settings), **vars(settings.optim)},
    "copies": lambda settings: [copy.copy(settings), copy.deepcopy(settings), dataclasses.replace(settings)],
    "pickling": lambda settings: pickle.loads(pickle.dumps(settings)),
    "comparing": lambda settings: [settings == Train(), settings == copy.copy(settings), settings != 3],
    "printing them all": lambda settings: print(settings, repr(settings), f"{settings}"),
    "printing one": lambda settings: print("name:", settings.name),
    "logging one": lambda settings: log.info("%s", settings.name),
    "reporting": lambda settings: tell(Recorder(), settings),
    "an error's text": refuse,
    "a check": lambda settings: settings.problems(),
}


@pytest.mark.parametrize("handle", HANDLING.values(), ids=list(HANDLING))
def test_a_value_that_is_handled_or_shown_is_not_read(settings: Train, tmp_path: Path, handle: Callable[[Train], object]) -> None:
    handle(settings)
    assert read_in(tmp_path) == set()


def test_noted_settings_behave_as_plain_ones(settings: Train) -> None:
    assert isinstance(settings, Train)
    assert settings == Train()
    assert settings != Train("other")
    assert repr(settings) == repr(Train())
    assert flat(settings) == flat(Train())
    assert type(settings).__hash__ is None  # as that of the plain class, which can be changed


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_value_that_only_a_loader_process_reads_is_read(settings: Train, tmp_path: Path, method: str) -> None:
    worker: Any = multiprocessing.get_context(method).Process(target=load_with, args=(settings,))
    worker.start()
    worker.join(60)
    assert read_in(tmp_path) == {"sizes"}


def load_with(settings: Train) -> None:
    assert settings.sizes == [1, 2]
    os._exit(1)  # as a loader process that is killed: it writes nothing at its end


def test_what_a_run_left_unread_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a toy that reads one of its two settings, and merely prints the other."""
    settings = SETTINGS.replace(
        '    n: int = setting(5, "numbers", ge=1)', '    n: int = setting(5, "numbers", ge=1)\n    dead: int = setting(1, "nothing")'
    )
    entry = make_repository(
        tmp_path / "clone", settings=settings, script=SCRIPT.replace("def make(job):", "def make(job):\n    print(job.settings.dead)")
    )
    folder = tmp_path / "reads"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("CLEARML_")} | {"HARNESS_READS": str(folder)}
    command = [sys.executable, entry, "command=make", "n=3", f"output_dir={tmp_path}/outputs"]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    monkeypatch.syspath_prepend(entry.parent)
    forget_settings(monkeypatch)
    found = [line.partition(":")[0] + line.partition(":")[2].partition(":")[0] for line in unread(load(entry.parent), folder)]
    assert found == ["train there is no run of it", "make dead is never read"]


def test_a_run_notes_what_it_reads_where_it_is_asked_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.job import settings_of

    entry = make_repository(tmp_path / "clone")
    monkeypatch.syspath_prepend(entry.parent)
    forget_settings(monkeypatch)
    declaration = load(entry.parent)
    arguments = resolve(declaration, ["command=make"])
    plan = Plan("toy", "make", "make-1", arguments.flat_settings(), {}, str(tmp_path), 0, None, None, None)
    assert type(settings_of(declaration, plan)) is type(arguments.settings)
    monkeypatch.setenv("HARNESS_READS", str(tmp_path / "reads"))
    assert settings_of(declaration, plan).n == 5
    assert read_in(tmp_path / "reads" / "toy" / "make" / "make-1") == {"n"}
