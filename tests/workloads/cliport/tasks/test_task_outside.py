"""Tasks of one's own: the file that docs/workloads/cliport-own.md writes out is a task, by the name of its class."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cliport.config import DemosConfig, EvalConfig, TrainConfig
from cliport.data.reader import open_demonstrations
from cliport.demos import make_demos
from cliport.errors import TaskError
from cliport.sim.environment import Environment
from cliport.tasks import make
from cliport.tasks.oracle_table import play
from harness.command_line import settings_of
from harness.errors import ParameterError
from harness.report import Recorder

PAGE = Path(__file__).parents[4] / "docs/workloads/cliport-own.md"
NAME = "my_tasks.MugsOnCoasters"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the Python path with the page's file."""
    (text,) = re.findall(r'^```python title="my_tasks.py"\n(.*?)^```$', PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "my_tasks.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("my_tasks", None)


def test_its_oracle_solves_its_scenes(folder: Path) -> None:
    task = make(NAME, "train")
    with Environment(renderer="tiny") as env:
        played = [play(env, task, seed) for seed in range(4)]
    assert all(one.reward > 0.99 for one in played), played
    assert re.fullmatch(r"put the \w+ mug on the \w+ coaster", task.goals[0].instruction)


def test_its_demonstrations_are_kept_under_its_name(folder: Path) -> None:
    settings = settings_of(DemosConfig, [f"task={NAME}", "n=1", "debug_images=0"])
    (made,) = make_demos(settings, folder / "data", Recorder())
    assert made.name == f"{NAME}-train"
    assert open_demonstrations(folder / "data", NAME, "train")[0].solved


def test_its_name_is_taken_wherever_a_task_is() -> None:
    assert settings_of(TrainConfig, [f"train.task={NAME}"]).train.task == NAME
    assert settings_of(EvalConfig, [f"eval_task={NAME}", f"model_task={NAME}"]).model_task == NAME
    for wrong in ("MugsOnCoasters", "my_tasks.", "my_tasks.mugs", "../my_tasks.Mugs", "my tasks.Mugs"):
        with pytest.raises(ParameterError, match="must be one of"):
            settings_of(TrainConfig, [f"train.task={wrong}"])


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("no_such_module.Mugs", "the module no_such_module cannot be imported"),
        ("my_tasks.MugOnCoaster", "did you mean MugsOnCoasters?"),
        ("my_tasks.Goal", "must be a class derived from cliport.tasks.task.Task"),
        ("own-cups", "recorded demonstrations have no scene in the simulator"),
    ],
)
def test_a_class_that_is_no_task_is_told(folder: Path, name: str, told: str) -> None:
    with pytest.raises(TaskError) as failure:
        make(name)
    assert told in str(failure.value)
