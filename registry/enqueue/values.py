"""The keys that a workload's runs take, and what may stand behind each: what a shell can offer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from harness.params import RESERVED, path_key
from harness.settings import Setting
from harness.workload import Command, Declaration

from ..workload import configs_of, settings_of

Offer = tuple[str, str]


def commands_of(declaration: Declaration, given: Sequence[str]) -> list[Command]:
    """The command that was given or is the default one; all, where that is not known."""
    named = next((argument.partition("=")[2] for argument in given if argument.startswith("command=")), "train")
    return [declaration.commands[named]] if named in declaration.commands else list(declaration.commands.values())


def settings(declaration: Declaration, given: Sequence[str]) -> dict[str, Setting]:
    return {setting.key: setting for command in commands_of(declaration, given) for setting in settings_of(command)}


def keys_of(declaration: Declaration, given: Sequence[str]) -> Iterator[Offer]:
    """Every key, and what it means: the harness's own, those of datasets, the settings of the command that was given."""
    own = {key: entry.help for key, entry in RESERVED.items() if key not in {"dataset_id", "dataset_path"}}
    own |= dict(declaration.datasets) | {path_key(key): f"folder of {what}" for key, what in declaration.datasets.items()}
    yield from own.items()
    yield from ((key, setting.help) for key, setting in settings(declaration, given).items() if key not in own)


def values_of(
    declaration: Declaration, given: Sequence[str], key: str, datasets: Callable[[], Iterable[Offer]], tasks: Callable[[], Iterable[Offer]]
) -> Iterable[Offer]:
    """What may stand behind a key, as far as it can be listed."""
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
