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
from .wrapped.script import KEYS, Script, problems_of_script, script_of
from .yaml_file import read_yaml

FOLDER = "folder"
"""The entry of a command's `here` that names the run's folder; all others are keys."""
LAUNCHERS = ("inline", "torchrun", "paddle", "own", "script")
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
    """The class of the typed settings: `module:Class`, importable without torch; empty for a script, whose options are its settings."""
    needs: tuple[str, ...] = ()
    """Keys of the datasets that the command requires."""
    instead: tuple[str, ...] = ()
    """Settings that can name the data instead of those datasets."""
    names: Names = Names()
    """Other names of settings, in addition to those of the workload."""
    here: Mapping[str, str] = field(default_factory=dict)
    """Default paths of a local run, see `local_run`."""
    script: Script | None = None
    """With `launcher: script`, the script that runs unchanged."""


@dataclass(frozen=True)
class Declaration:
    """A workload, as declared in its workload.yaml."""

    name: str
    folder: Path
    summary: str
    image: str
    queue: str
    datasets: Mapping[str, str] = field(default_factory=dict)
    """The key of each dataset argument, and what the dataset contains."""
    commands: Mapping[str, Command] = field(default_factory=dict)
    metrics: Metrics = Metrics()
    smoke: tuple[Mapping[str, Any], ...] = ()
    names: Names = Names()
    """Other names of settings, for all commands."""
    home: str = ""
    """The environment variable that names the folder for the default paths of local runs."""

    @property
    def root(self) -> Path:
        """The repository that contains the workload."""
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
        WorkloadError: naming the file and listing all its problems.
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
        commands={name: command_of(name, values, datasets, folder) for name, values in stated["commands"].items()},
        metrics=Metrics.of(stated.get("metrics")),
        smoke=tuple(stated.get("smoke", ())),
        names=Names.of(stated),
        home=stated.get("home", ""),
    )


def command_of(name: str, stated: Mapping[str, Any], datasets: Mapping[str, str], folder: Path) -> Command:
    """A command, from the checked contents of workload.yaml."""
    return Command(
        name,
        stated["launcher"],
        stated["type"],
        stated.get("config", ""),
        needs=tuple(stated.get("needs", datasets)),
        instead=tuple(stated.get("instead", ())),
        names=Names.of(stated),
        here=stated.get("here", {}),
        script=script_of(name, stated, folder) if stated["launcher"] == "script" else None,
    )


def problems_of(stated: Any) -> list[str]:
    """All problems in the contents of a workload.yaml."""
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
    own = KEYS if command.get("launcher") == "script" else ("config",)
    problems = [f"unknown key {key!r}" for key in command if key not in {"launcher", "type", "needs", "instead", "here", *own, *TABLES}]
    problems += problems_of_names(command)
    here = command.get("here", {})
    if not isinstance(here, dict) or not all(isinstance(place, str) for place in here.values()):
        problems.append(f"here is {here!r}; must be a mapping of keys to paths")
    for key, valid in (("launcher", LAUNCHERS), ("type", TASK_TYPES)):
        if command.get(key) not in valid:
            problems.append(f"{key} is {command.get(key)!r}; must be one of {', '.join(valid)}")
    if command.get("launcher") == "script":
        problems += problems_of_script(command, datasets)
    elif not re.fullmatch(r"[\w.]+:\w+", str(command.get("config", ""))):
        problems.append(f"config is {command.get('config')!r}; must be module:Class")
    problems += [
        f"needs {key!r}, which is not among datasets: {', '.join(datasets)}" for key in command.get("needs", []) if key not in datasets
    ]
    return problems
