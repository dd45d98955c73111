"""Translation of other names to the keys that they stand for, with problems and notes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from .aliases import Alias, Fixed, Names
from .grammar import Argument, text_on_task


@dataclass
class Translation:
    """The valid arguments by key, with problems and notes about the names that were used."""

    arguments: dict[str, Argument] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def translate(names: Names, given: Iterable[Argument], source: str = "") -> Translation:
    """Replace other names by keys. `source` is a prefix for problems and notes: `file.yaml: `."""
    found = Translation()
    typed: dict[str, Argument] = {}
    for item in given:
        if item.key in names.refused:
            found.problems.append(f"{source}{item.key}: not supported: {names.refused[item.key]}")
        elif (meant := meant_by(item, names.aliases[item.key]) if item.key in names.aliases else item).key in names.fixed:
            settle(names.fixed[meant.key], item, found, source)
        else:
            before = found.arguments.setdefault(meant.key, meant)
            if before.value != meant.value and before.text != meant.text:
                found.problems.append(f"{source}{typed[meant.key]} and {item} both set {meant.key}; keep one of the two")
            typed.setdefault(meant.key, item)
    return found


def settle(fixed: Fixed, item: Argument, found: Translation, source: str) -> None:
    """Note that a fixed name has no effect, or report the only values that it accepts."""
    if fixed.values is None or item.value in fixed.values or item.text in map(str, fixed.values):
        found.notes.append(f"{source}{item} has no effect: {fixed.why}")
    else:
        found.problems.append(f"{source}{item}: must be {' or '.join(map(text_on_task, fixed.values))}: {fixed.why}")


def meant_by(item: Argument, alias: Alias) -> Argument:
    """The argument that an alias stands for, with its value translated."""
    if isinstance(item.value, list | dict) or item.value not in alias.values:
        return replace(item, key=alias.key)
    value = alias.values[item.value]
    return Argument(alias.key, text_on_task(value), value, item.exact)
