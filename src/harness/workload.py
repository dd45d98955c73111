"""The declaration of a workload: its workload.yaml, read and checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .aliases import TABLES, Names, problems_of_names
from .errors import WorkloadError
from .metrics import Metrics, problems_of_metrics
from .yaml_file import read_yaml

FOLDER = "folder"
"""Of a command's `here`, what names the run's own folder; the others are keys."""
LAUNCHERS = ("inline", "torchrun", "paddle", "own")
TASK_TYPES = (
    "training",
    "testing",
    "inference",
    "data_processing",
    "application",
    "monitor",
    "controller",
    "optimizer",
    "service",
    "qc",
    "custom",
)


@dataclass(frozen=True)
class Command:
    """One thing that a workload can do."""

    name: str
    launcher: str
    type: str
    config: str
    """Where the typed settings are: `module:Class`, importable without torch."""
    needs: tuple[str, ...] = ()
    """Keys of the datasets without which the command cannot start."""
    instead: tuple[str, ...] = ()
    """Settings that name the data in place of those datasets."""
    names: Names = Names()
    """An original's names that this command knows beside those of the workload."""
    here: Mapping[str, str] = field(default_factory=dict)
    """Places of a run by hand, see `here`."""


@dataclass(frozen=True)
class Declaration:
    """A workload as its workload.yaml states it."""

    name: str
    folder: Path
    summary: str
    image: str
    queue: str
    datasets: Mapping[str, str] = field(default_factory=dict)
    """Key of each dataset argument and what it holds."""
    commands: Mapping[str, Command] = field(default_factory=dict)
    metrics: Metrics = Metrics()
    smoke: tuple[Mapping[str, Any], ...] = ()
    names: Names = Names()
    """An original's names for what is called otherwise here."""
    home: str = ""
    """The environment variable that names the folder of the places of runs by hand."""

    @property
    def root(self) -> Path:
        """The repository that the workload lives in."""
        return self.folder.parent.parent

    @property
    def configs(self) -> Path:
        return self.root / "configs" / self.name

    @property
    def script(self) -> str:
        """The entry script, relative to the repository."""
        return f"clearml_tasks/{self.name}/clearml_train.py"


def load(folder: Path) -> Declaration:
    """Read `folder`/workload.yaml.

    Raises:
        WorkloadError: naming the file and everything that is wrong in it.
    """
    path = folder / "workload.yaml"
    try:
        stated = read_yaml(path)
    except ValueError as error:
        raise WorkloadError(f"{path}: {error}") from error
    problems = list(problems_of(stated))
    if problems:
        raise WorkloadError("\n".join(f"{path}: {problem}" for problem in problems))
    datasets = stated.get("datasets", {})
    return Declaration(
        name=folder.name,
        folder=folder.resolve(),
        summary=stated["summary"],
        image=stated.get("image", folder.name.lower()),
        queue=stated["queue"],
        datasets=datasets,
        commands={name: command_of(name, values, datasets) for name, values in stated["commands"].items()},
        metrics=Metrics.of(stated.get("metrics")),
        smoke=tuple(stated.get("smoke", ())),
        names=Names.of(stated),
        home=stated.get("home", ""),
    )


def command_of(name: str, stated: Mapping[str, Any], datasets: Mapping[str, str]) -> Command:
    """A command as the checked contents of workload.yaml state it."""
    return Command(
        name,
        stated["launcher"],
        stated["type"],
        stated["config"],
        needs=tuple(stated.get("needs", datasets)),
        instead=tuple(stated.get("instead", ())),
        names=Names.of(stated),
        here=stated.get("here", {}),
    )


def problems_of(stated: Any) -> list[str]:
    """Everything that is wrong in a workload.yaml's contents."""
    if not isinstance(stated, dict):
        return ["must be a mapping with summary, queue and commands"]
    allowed = {"summary", "image", "queue", "datasets", "commands", "metrics", "smoke", "home", *TABLES}
    problems = [f"unknown key {key!r}; allowed: {', '.join(sorted(allowed))}" for key in stated if key not in allowed]
    problems += [f"{key} is missing" for key in ("summary", "queue", "commands") if not stated.get(key)]
    commands = stated.get("commands") or {}
    for name, command in commands.items():
        problems += [f"commands.{name}: {problem}" for problem in problems_of_command(command, stated.get("datasets") or {})]
    problems += problems_of_metrics(stated.get("metrics"))
    problems += problems_of_names(stated)
    for number, step in enumerate(stated.get("smoke") or [], 1):
        if not isinstance(step, dict) or step.get("command") not in commands:
            problems.append(f"smoke step {number}: command must be one of {', '.join(commands)}")
    return problems


def problems_of_command(command: Any, datasets: Mapping[str, str]) -> list[str]:
    if not isinstance(command, dict):
        return ["must be a mapping with launcher, type and config"]
    problems = [f"unknown key {key!r}" for key in command if key not in {"launcher", "type", "config", "needs", "instead", "here", *TABLES}]
    problems += problems_of_names(command)
    here = command.get("here", {})
    if not isinstance(here, dict) or not all(isinstance(place, str) for place in here.values()):
        problems.append(f"here is {here!r}; must be a mapping of keys to places")
    for key, valid in (("launcher", LAUNCHERS), ("type", TASK_TYPES)):
        if command.get(key) not in valid:
            problems.append(f"{key} is {command.get(key)!r}; must be one of {', '.join(valid)}")
    if not re.fullmatch(r"[\w.]+:\w+", str(command.get("config", ""))):
        problems.append(f"config is {command.get('config')!r}; must be module:Class")
    problems += [
        f"needs {key!r}, which is not among datasets: {', '.join(datasets)}" for key in command.get("needs", []) if key not in datasets
    ]
    return problems
