"""The keys of a workload's runs and their possible values, for shell completion."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from harness.keys import RESERVED, path_key
from harness.settings import Setting
from harness.workload import Command, Declaration

from ..workload import configs_of, settings_of

Offer = tuple[str, str]


def commands_of(declaration: Declaration, given: Sequence[str]) -> list[Command]:
    """The given command, or else the default one; all commands if it is unknown."""
    named = next((argument.partition("=")[2] for argument in given if argument.startswith("command=")), "train")
    return [declaration.commands[named]] if named in declaration.commands else list(declaration.commands.values())


def settings(declaration: Declaration, given: Sequence[str]) -> dict[str, Setting]:
    return {setting.key: setting for command in commands_of(declaration, given) for setting in settings_of(command)}


def keys_of(declaration: Declaration, given: Sequence[str]) -> Iterator[Offer]:
    """Every key and its meaning: the harness's own keys, those of datasets, and the settings of the given command."""
    own = {key: entry.help for key, entry in RESERVED.items() if key not in {"dataset_id", "dataset_path"}}
    own |= dict(declaration.datasets) | {path_key(key): f"folder of {what}" for key, what in declaration.datasets.items()}
    yield from own.items()
    yield from ((key, setting.help) for key, setting in settings(declaration, given).items() if key not in own)


def values_of(
    declaration: Declaration, given: Sequence[str], key: str, datasets: Callable[[], Iterable[Offer]], tasks: Callable[[], Iterable[Offer]]
) -> Iterable[Offer]:
    """The possible values of a key, as far as they can be listed."""
    listed: dict[str, Callable[[], Iterable[Offer]]] = {
        "command": lambda: [(name, command.type) for name, command in declaration.commands.items()],
        "config": lambda: [(name, "") for name in configs_of(declaration)],
        "resume": tasks,
        "init_from": tasks,
        **dict.fromkeys(declaration.datasets, datasets),
    }
    if key in listed:
        return listed[key]()
    if key in RESERVED:
        return truths() if RESERVED[key].type is bool else []
    setting = settings(declaration, given).get(key)
    if setting is None:
        return []
    return [(str(choice), "") for choice in setting.choices] or (truths() if setting.type.startswith("bool") else [])


def truths() -> list[Offer]:
    return [("True", ""), ("False", "")]
