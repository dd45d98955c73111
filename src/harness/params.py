"""Arguments: one grammar for `clearml-task --args`, the registry and the command line.

An argument is `key=value` in Hydra's override grammar. Some keys are the harness's own (`RESERVED`); every other one is a
setting of the command: a field of its dataclass, in dotted form. Settings merge in the order defaults < config file <
arguments, and are checked as a whole: a person who made three mistakes reads about three.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from .errors import ParameterError
from .settings import Setting, describe, flat, leaves_of, merge, nearest, setting
from .workload import Command, Declaration

__all__ = ["RESERVED", "Arguments", "Setting", "describe", "expand", "nearest", "resolve", "setting", "settings_class"]


@dataclass(frozen=True)
class Reserved:
    """One argument that belongs to the harness."""

    type: type
    default: Any
    help: str


RESERVED: Mapping[str, Reserved] = {
    "command": Reserved(str, None, "which of the workload's commands to run"),
    "dataset_id": Reserved(str, None, "ClearML dataset: an ID, an alias, task:<task id> or s3://bucket/prefix"),
    "dataset_path": Reserved(str, None, "with dataset_id: where the data shall appear; alone: a folder that is the data"),
    "config": Reserved(str, None, "settings: a name below configs/<workload>/ or a YAML file"),
    "standalone": Reserved(bool, None, "True: one machine only; False: machines that meet; by default as nnodes says"),
    "nproc_per_node": Reserved(int, 1, "processes per machine, one for each GPU"),
    "nnodes": Reserved(int, 1, "machines; each runs a task of its own, which ClearML clones from the first"),
    "resume": Reserved(str, None, "continue a run: a task ID, a folder or a checkpoint file, also s3://bucket/file"),
    "init_from": Reserved(str, None, "start from the weights of a task, a folder or a file, also s3://bucket/file"),
    "seed": Reserved(int, 0, "where all random numbers come from"),
    "output_dir": Reserved(str, "outputs", "folder below which a run's files are written"),
}


@dataclass(frozen=True)
class Arguments:
    """What a run was asked to do, checked."""

    command: Command
    reserved: Mapping[str, Any]
    datasets: Mapping[str, str]
    """The value of each dataset key that was given."""
    settings: Any
    """An instance of the command's settings class."""

    def flat_settings(self) -> dict[str, Any]:
        """Every setting in dotted form, as shown beside the run."""
        return flat(self.settings)


def settings_class(command: Command) -> type:
    """Import the class that holds a command's settings."""
    module, _, name = command.config.partition(":")
    found: type = getattr(importlib.import_module(module), name)
    return found


def read(tokens: Iterable[str]) -> tuple[list[Override], list[str]]:
    """The tokens as overrides in Hydra's grammar, and what is wrong with those that cannot be read."""
    parser = OverridesParser.create()
    overrides: list[Override] = []
    problems: list[str] = []
    for token in tokens:
        try:
            override = parser.parse_override(token)
        except HydraException as error:
            reason = str(error).splitlines()[0]
            problems.append(f"{token!r} cannot be read: {reason}; write key=value, and quote special characters: key='a, b'")
            continue
        if override.is_add() or override.is_force_add() or override.is_delete() or override.package:
            problems.append(f"{token!r}: write key=value without + or ~ or @")
        else:
            overrides.append(override)
    keys = [override.key_or_group for override in overrides]
    problems += [f"{key} is given {keys.count(key)} times" for key in dict.fromkeys(keys) if keys.count(key) > 1]
    return overrides, problems


def expand(tokens: Sequence[str]) -> list[list[str]]:
    """Expand sweeps (`lr=1e-3,1e-4`) into the token lists of single runs, the last key varying fastest.

    Raises:
        ParameterError: naming every token that cannot be read.
    """
    overrides, problems = read(tokens)
    problems += [f"{item.input_line!r}: an interval has no list of values; write a=1,2,3" for item in overrides if item.is_interval_sweep()]
    if problems:
        raise ParameterError(problems)
    runs: list[list[str]] = [[]]
    for override in overrides:
        token, key = str(override.input_line), override.key_or_group
        values = [f"{key}={text}" for text in override.sweep_string_iterator()] if override.is_sweep_override() else [token]
        runs = [[*run, value] for run in runs for value in values]
    return runs


def resolve(declaration: Declaration, tokens: Sequence[str]) -> Arguments:
    """Turn the tokens of one run into checked arguments.

    Raises:
        ParameterError: with every problem of command, keys, types, ranges and required values.
    """
    overrides, problems = read(tokens)
    problems += [
        f"{item.input_line!r}: a sweep makes several runs; one run takes one value" for item in overrides if item.is_sweep_override()
    ]
    given = {item.key_or_group: item for item in overrides if not item.is_sweep_override()}
    paths = {key: path_key(key) for key in declaration.datasets}
    own = {*RESERVED, *paths, *paths.values()}
    reserved = {key: entry.default for key, entry in RESERVED.items()}
    for key in given.keys() & own:
        reserved[key] = read_reserved(given[key], problems)
    command = chosen_command(declaration, reserved["command"], problems)
    file = config_file(declaration, reserved["config"], problems)
    settings = None
    if command is not None:
        try:
            settings = typed_settings(command, file, [item for key, item in given.items() if key not in own], own)
        except ParameterError as error:
            problems += error.problems
        stated = {key: item.value() for key, item in given.items()} if settings is None else flat(settings)
        problems += problems_of_run(declaration, command, reserved, stated)
    if problems or command is None:
        raise ParameterError(problems)
    return Arguments(command, reserved, {key: reserved[key] for key in paths if reserved.get(key)}, settings)


def path_key(dataset_key: str) -> str:
    """The argument that says where a dataset shall appear: `dataset_path` for `dataset_id`."""
    return dataset_key.removesuffix("_id") + "_path"


def chosen_command(declaration: Declaration, name: str | None, problems: list[str]) -> Command | None:
    """The command asked for; without one the only one there is, or `train`."""
    names = list(declaration.commands)
    if name is None:
        name = names[0] if len(names) == 1 else "train"
        if name not in names:
            problems.append(f"command is required: one of {', '.join(names)}")
    elif name not in names:
        problems.append(f"command={name}: {declaration.name} has no such command{nearest(name, names)}; it has {', '.join(names)}")
    return declaration.commands.get(name)


def text_of(override: Override) -> str | None:
    """An override's value as typed, unquoted: an ID made of digits stays what it is."""
    value = override.value()
    if isinstance(value, str) or value is None:
        return value
    return str(override.input_line).partition("=")[2].strip()


def read_reserved(override: Override, problems: list[str]) -> Any:
    """The value of a reserved key; an empty one means its default."""
    entry = RESERVED.get(override.key_or_group, Reserved(str, None, ""))
    value = override.value()
    if value is None or value == "":
        return entry.default
    if entry.type is str:
        return text_of(override)
    if type(value) is not entry.type:
        problems.append(f"{override.key_or_group}={text_of(override)}: must be {entry.type.__name__}")
        return entry.default
    return value


def config_file(declaration: Declaration, name: str | None, problems: list[str]) -> Path | None:
    """Where the settings called `name` are: below configs/<workload>/, or a file."""
    if name is None:
        return None
    folder = declaration.configs
    known = {path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(folder.rglob("*.yaml"))}
    for path in (known.get(name), Path(name), declaration.root / name):
        if path is not None and path.is_file():
            return path
    problems.append(
        f"config={name}: neither a file nor one of configs/{declaration.name}{nearest(name, known)}: {', '.join(known) or 'there are none'}"
    )
    return None


def typed_settings(command: Command, file: Path | None, overrides: Iterable[Override], own: Iterable[str]) -> Any:
    schema = settings_class(command)
    leaves = leaves_of(schema)
    values = []
    for override in overrides:
        key = override.key_or_group
        wants_text = key in leaves and "str" in leaves[key].type and not isinstance(override.value(), list | dict)
        values.append((key, text_of(override) if wants_text else override.value()))
    return merge(schema, file, values, own)


def problems_of_run(declaration: Declaration, command: Command, reserved: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    """What contradicts the command in the reserved keys: datasets that it needs, processes that it cannot use."""
    instead = [key for key in command.instead if settings.get(key)]
    named = [key for key in command.needs if reserved.get(key) or reserved.get(path_key(key))]
    problems = [
        f"{key} is required: {declaration.datasets[key]} ({' or '.join(['', f'{path_key(key)}=FOLDER', *command.instead]).strip()})"
        for key in command.needs
        if key not in named and not instead
    ]
    problems += [f"{one}={settings[one]}: {key} names the data already; keep one of them" for key in named for one in instead]
    problems += [f"{key}={reserved[key]}: must be at least 1" for key in ("nproc_per_node", "nnodes") if reserved[key] < 1]
    if command.launcher == "inline" and max(reserved["nproc_per_node"], reserved["nnodes"]) > 1:
        problems.append(f"command={command.name} runs in one process; leave out nproc_per_node and nnodes")
    if command.launcher == "own" and reserved["nnodes"] > 1:
        problems.append(f"command={command.name} starts its processes itself, on one machine; leave out nnodes")
    if reserved["nnodes"] > 1 and reserved["standalone"]:
        problems.append(f"standalone=True means one machine, nnodes={reserved['nnodes']} several; write standalone=False or leave it out")
    return problems
