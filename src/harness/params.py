"""Arguments: one grammar for `clearml-task --args`, the registry and the command line.

An argument is `key=value`; `grammar` defines its forms on a command line and on a task. Some keys belong to the harness (`RESERVED`);
every other key is a setting of the command, that is a field of its dataclass, in dotted form. Settings are merged in the order
defaults < config file < arguments, and checked together: someone who made three mistakes is told all three.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .aliases import Names
from .conditions import holds
from .errors import ParameterError
from .grammar import Argument, expand, on_tasks, read, text_on_task
from .keys import RESERVED, Reserved, names_of, own_keys, path_key, settings_class
from .local_run import folder_of, places
from .settings import Setting, describe, flat, leaves_of, merge, nearest, problem_of_text, setting, stated_in
from .translation import Translation, translate
from .workload import Command, Declaration
from .wrapped.script import note_on_age

__all__ = ["Arguments", "Setting", "describe", "expand", "nearest", "resolve", "setting"]


@dataclass(frozen=True)
class Arguments:
    """The checked arguments of a run."""

    command: Command
    reserved: Mapping[str, Any]
    datasets: Mapping[str, str]
    """The value of each dataset key that is given."""
    settings: Any
    """An instance of the command's settings class."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Every given argument by its key, in its form on a task."""
    notes: tuple[str, ...] = ()
    """Notes about given names and settings that have no effect."""
    folder: Path | None = None
    """The run's folder, if local runs with the same arguments share one."""
    said: frozenset[str] = frozenset()
    """The keys that were given: on a command line, on a task or in a file."""

    def flat_settings(self) -> dict[str, Any]:
        """Every setting in dotted form, as shown beside the run."""
        return flat(self.settings)


def resolve(
    declaration: Declaration, tokens: Iterable[str], inherited: Mapping[str, str] | None = None, home: Path | None = None
) -> Arguments:
    """Turn the tokens of one run into checked arguments, with aliases translated as the workload declares.

    Args:
        declaration: the workload.
        tokens: each `key=value`, as typed.
        inherited: the arguments on a task, by key; tokens override them.
        home: for a local run, the folder that its declared paths are relative to.

    Raises:
        ParameterError: listing every problem of command, keys, types, ranges and required values.
        WorkloadError: the command's settings cannot be imported.
    """
    read_here, problems = read(tokens)
    on_task = on_tasks(inherited or {})
    command = chosen_command(declaration, text_of({**on_task, **read_here}, "command"), problems)
    names = names_of(declaration, command) if command else Names()
    earlier, typed = translate(names, on_task.values()), translate(names, read_here.values())
    given = {**earlier.arguments, **typed.arguments}
    file = config_file(declaration, text_of(given, "config"), problems)
    stated = translate(names, stated_by(command, file, problems), f"{file.name}: ") if command and file else Translation()
    own = own_keys(declaration)
    given = {**{key: stated.arguments.pop(key) for key in [*stated.arguments] if key in own - {"command", "config"}}, **given}
    all_given = {**by_hand(declaration, command, home, {*given, *stated.arguments}), **given}
    reserved = {key: entry.default for key, entry in RESERVED.items()}
    reserved |= {key: read_reserved(item, problems) for key, item in all_given.items() if key in own}
    settings: Any = None
    if command is not None:
        try:
            settings = typed_settings(command, file, stated, [item for key, item in all_given.items() if key not in own], {*own, *names})
        except ParameterError as error:
            problems += error.problems
        found = {key: item.value for key, item in given.items()} if settings is None else flat(settings)
        problems += problems_of_run(declaration, command, reserved, found)
    parts = (earlier, typed, stated)
    problems += [problem for part in parts for problem in part.problems]
    if problems or command is None:
        raise ParameterError(problems)
    said = {*all_given, *stated.arguments}
    notes = [note for part in parts for note in part.notes]
    notes += without_effect(command, said, flat(settings))
    notes += notes_on_age(declaration, command)
    return Arguments(
        command,
        reserved,
        {key: reserved[key] for key in declaration.datasets if reserved.get(key)},
        settings,
        {key: item.text for key, item in given.items()},
        tuple(notes),
        folder_of(command, reserved["output_dir"], flat(settings), home) if home else None,
        frozenset(said),
    )


def without_effect(command: Command, given: Collection[str], settings: Mapping[str, Any]) -> Iterator[str]:
    """A line for each given setting that differs from its default and has no effect under the values of the others."""
    for key, leaf in leaves_of(settings_class(command)).items():
        if key in given and settings[key] != leaf.default and not holds(leaf.when, settings):
            yield f"{key}={settings[key]} has no effect without {leaf.when}"


def notes_on_age(declaration: Declaration, command: Command) -> Iterator[str]:
    """A note if a command's script has changed since its options were read."""
    if command.script and (note := note_on_age(command.script, declaration.root, declaration.name)):
        yield note


def by_hand(declaration: Declaration, command: Command | None, home: Path | None, said: Collection[str]) -> dict[str, Argument]:
    """The declared default paths of a local run, for keys that are not given; a given dataset also replaces the default folder."""
    if command is None or home is None:
        return {}
    settled = {*said, *(path_key(key) for key in declaration.datasets if key in said)}
    return on_tasks({key: place for key, place in places(command, home).items() if key not in settled})


def chosen_command(declaration: Declaration, name: str | None, problems: list[str]) -> Command | None:
    """The given command; by default the only one there is, or `train`."""
    names = list(declaration.commands)
    if name is None:
        name = names[0] if len(names) == 1 else "train"
        if name not in names:
            problems.append(f"command is required: one of {', '.join(names)}")
    elif name not in names:
        problems.append(f"command={name}: {declaration.name} has no such command{nearest(name, names)}; it has {', '.join(names)}")
    return declaration.commands.get(name)


def read_reserved(argument: Argument, problems: list[str]) -> Any:
    """The value of a reserved key; an empty value stands for its default."""
    entry = RESERVED.get(argument.key, Reserved(str, None, ""))
    if argument.text == "":
        return entry.default
    value = argument.text if entry.type is str else argument.value
    if type(value) is not entry.type:  # True is an int to Python, but not a number of processes
        problems.append(f"{argument}: must be {entry.type.__name__}")
    elif problem := problem_of_text(argument.text):
        problems.append(f"{argument}: {problem}")
    elif isinstance(value, int) and value < entry.least:
        problems.append(f"{argument}: must be at least {entry.least}")
    else:
        return value
    return entry.default


def config_file(declaration: Declaration, name: str | None, problems: list[str]) -> Path | None:
    """The file of the settings called `name`: one below configs/<workload>/, or any file."""
    if name is None:
        return None
    folder = declaration.configs
    known = {path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(folder.rglob("*.yaml"))}
    for path in (known.get(name), Path(name), declaration.root / name):
        if path is not None and path.is_file():
            return path
    problems.append(
        f"config={name}: there is no such file, nor one of that name in configs/{declaration.name}{nearest(name, known)}: "
        + (", ".join(known) or "it is empty")
    )
    return None


def text_of(given: Mapping[str, Argument], key: str) -> str | None:
    """The text of an argument, or None if it is missing or empty."""
    return given[key].text or None if key in given else None


def stated_by(command: Command, file: Path, problems: list[str]) -> list[Argument]:
    """The settings in a config file."""
    try:
        pairs = stated_in(file, leaves_of(settings_class(command)))
    except ParameterError as error:
        problems += error.problems
        return []
    return [Argument(key, text_on_task(value), value) for key, value in pairs]


def typed_settings(command: Command, file: Path | None, stated: Translation, arguments: Iterable[Argument], known: Iterable[str]) -> Any:
    """The command's settings: those of a file, overridden by arguments."""
    schema = settings_class(command)
    leaves = leaves_of(schema)
    values = [(item.key, item.meant(item.key in leaves and leaves[item.key].holds_text)) for item in arguments]
    return merge(schema, file, values, known, [(key, item.value) for key, item in stated.arguments.items()])


def problems_of_run(declaration: Declaration, command: Command, reserved: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    """Contradictions between a command and the reserved keys: missing datasets, and processes that it cannot use."""
    instead = [key for key in command.instead if settings.get(key)]
    named = [key for key in command.needs if reserved.get(key) or reserved.get(path_key(key))]
    problems = [
        f"{key} is required: {declaration.datasets[key]} ({' or '.join(['', f'{path_key(key)}=FOLDER', *command.instead]).strip()})"
        for key in command.needs
        if key not in named and not instead
    ]
    problems += [f"{one}={settings[one]}: {key} already names the data; keep one of the two" for key in named for one in instead]
    if command.launcher == "inline" and max(reserved["nproc_per_node"], reserved["nnodes"]) > 1:
        problems.append(f"command={command.name} runs in one process; leave out nproc_per_node and nnodes")
    if command.launcher == "own" and reserved["nnodes"] > 1:
        problems.append(f"command={command.name} starts its own processes, on one machine; leave out nnodes")
    if reserved["nnodes"] > 1 and reserved["standalone"]:
        problems.append(f"standalone=True and nnodes={reserved['nnodes']} cannot be combined; leave out standalone to use several machines")
    if reserved["nnodes"] > 1 and reserved["requeue"]:
        problems.append(
            f"requeue={reserved['requeue']} and nnodes={reserved['nnodes']} cannot be combined; runs on several machines are not requeued"
        )
    return problems
