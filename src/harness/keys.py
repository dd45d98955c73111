"""The keys that a command takes: the harness's own, those of datasets, its settings, and the other names of all of them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from typing import Any

from .aliases import Alias, Names
from .conditions import subject_of
from .errors import WorkloadError
from .local_run import names_in
from .settings import Setting, describe, leaves_of
from .workload import FOLDER, Command, Declaration
from .wrapped.schema import schema


@dataclass(frozen=True)
class Reserved:
    """One argument that belongs to the harness."""

    type: type
    default: Any
    help: str
    least: int = 0
    """The least value of a number."""

    @property
    def allowed(self) -> str:
        """Type and limit in words."""
        return f"{self.type.__name__} >= {self.least}" if self.type is int else self.type.__name__


RESERVED: Mapping[str, Reserved] = {
    "command": Reserved(str, None, "command of the workload to run"),
    "dataset_id": Reserved(str, None, "dataset: a ClearML dataset's ID or name, task:<task id>, or s3://bucket/prefix"),
    "dataset_path": Reserved(str, None, "folder that contains the data; with dataset_id, where to create a link to the data"),
    "config": Reserved(str, None, "file of settings: a name below configs/<workload>/, or the path of a YAML file"),
    "standalone": Reserved(bool, None, "True for a single machine, False for several; by default determined by nnodes"),
    "nproc_per_node": Reserved(int, 1, "number of processes per machine, usually one per GPU", 1),
    "nnodes": Reserved(int, 1, "number of machines; each runs a task of its own, cloned from the first", 1),
    "resume": Reserved(str, None, "run to continue: a task ID, a folder, or a checkpoint file here or at s3://bucket/file"),
    "init_from": Reserved(str, None, "weights to start from: a task ID, a folder, or a file here or at s3://bucket/file"),
    "requeue": Reserved(
        int, 0, "number of times a run returns to its queue when its machine ends it, to continue from its last checkpoint"
    ),
    "seed": Reserved(int, 0, "seed of all random numbers"),
    "output_dir": Reserved(str, "outputs", "folder below which each run writes its files"),
}


def settings_class(command: Command) -> type:
    """Import the class that holds a command's settings.

    Raises:
        WorkloadError: it cannot be imported.
    """
    if command.script:
        return schema(command.script.settings)
    module, _, name = command.config.partition(":")
    try:
        found: type = getattr(importlib.import_module(module), name)
        problem = "" if is_dataclass(found) else "it is no dataclass"
    except Exception as error:  # noqa: BLE001  importing a module can raise anything
        problem = f"{type(error).__name__}: {error}"
    if problem:
        raise WorkloadError(f"the settings of command={command.name}, {command.config}, cannot be imported: {problem}")
    return found


def own_keys(declaration: Declaration) -> set[str]:
    """The keys that are not settings: those of the harness, and those of datasets."""
    return {*RESERVED, *declaration.datasets, *map(path_key, declaration.datasets)}


def names_of(declaration: Declaration, command: Command) -> Names:
    """All other names of a command's keys: those that the workload declares, and the last part of each dotted key if it is unique.

    Raises:
        WorkloadError: a declared name is itself a key, is declared twice, or stands for an unknown key.
    """
    leaves = leaves_of(settings_class(command))
    keys = {*leaves, *own_keys(declaration)}
    common, own = declaration.names, command.names
    aliases = {**{name: alias for name, alias in common.aliases.items() if alias.key in keys}, **own.aliases}
    if command.script:
        aliases = {**{name: Alias(key) for name, key in command.script.aliases().items() if name not in keys}, **aliases}
    stated = Names(aliases, {**common.fixed, **own.fixed}, {**common.refused, **own.refused})
    if problems := list(problems_of_declared(declaration, command, keys)):
        raise WorkloadError("\n".join(f"{declaration.folder / 'workload.yaml'}: {problem}" for problem in problems))
    ends = [key.rpartition(".")[2] for key in leaves]
    short = {end: Alias(key) for key, end in zip(leaves, ends, strict=True) if ends.count(end) == 1 and end not in {*keys, *stated}}
    return Names({**short, **aliases}, stated.fixed, stated.refused)


def problems_of_declared(declaration: Declaration, command: Command, keys: set[str]) -> Iterator[str]:
    """All problems of the names declared for a command, given the command's keys."""
    common, own = declaration.names, command.names
    where = f"commands.{command.name}: "
    others = {*common, *own.aliases, *own.refused}  # `fixed` may name a setting of a class that commands share, which this one ignores
    yield from (f"{where}{name} is itself a key, so it cannot be another name of one" for name in others & keys)
    for leaf in describe(settings_class(command)):
        if leaf.when and subject_of(leaf.when) not in keys:
            yield f"{where}{leaf.key}: when={leaf.when} names no setting"
    holding = {name for name in common if name not in common.aliases or common.aliases[name].key in keys}
    yield from (f"{where}{name} is already declared for all commands" for name in holding & {*own})
    yield from (f"{where}aliases.{name}: there is no key {alias.key}" for name, alias in own.aliases.items() if alias.key not in keys)
    yield from (f"{where}here.{key}: there is no such key" for key in command.here if key != FOLDER and key not in keys)
    yield from (f"{where}here.{FOLDER}: there is no setting {name}" for name in names_in(command) if name not in keys)
    every = {leaf for each in declaration.commands.values() for leaf in leaves_of(settings_class(each))} | keys
    yield from (f"aliases.{name}: no command has a key {alias.key}" for name, alias in common.aliases.items() if alias.key not in every)


def settings_of(command: Command) -> list[Setting]:
    """The settings that a command has: those of its class, less those that it declares to have no effect.

    Raises:
        WorkloadError: the class cannot be imported.
    """
    return [leaf for leaf in describe(settings_class(command)) if leaf.key not in command.names.fixed]


def keys_of(declaration: Declaration) -> dict[str, bool]:
    """Every key and other name of a workload, of any command, and whether its value is a string."""
    commands = declaration.commands.values()
    settings = {leaf.key: leaf.holds_text for command in commands for leaf in describe(settings_class(command))}
    datasets = dict.fromkeys([*declaration.datasets, *map(path_key, declaration.datasets)], True)
    keys = {**settings, **datasets, **{key: entry.type is str for key, entry in RESERVED.items()}}
    names = [(name, each.key_of(name)) for each in (names_of(declaration, command) for command in commands) for name in each]
    return {**{name: keys.get(key, True) for name, key in names}, **keys}


def path_key(dataset_key: str) -> str:
    """The key of a dataset's folder: `dataset_path` for `dataset_id`."""
    return dataset_key.removesuffix("_id") + "_path"
