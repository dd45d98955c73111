"""The typed settings of a script: a dataclass made of its options, checked like any other."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from omegaconf import MISSING

from ..settings import setting
from .script import REST, TYPES, Option

Tree = dict[str, Any]
HELP = "further words for the script's command line, as they are"


@functools.cache
def schema(options: tuple[Option, ...]) -> type:
    """A settings class with a field for each option; dotted keys are nested."""
    tree: Tree = {}
    for option in options:
        *above, last = option.key.split(".")
        place = tree
        for part in above:
            place = place.setdefault(part, {})
        place[last] = option
    return made("Options", tree, [(REST, list[str], setting([], HELP))])


def made(name: str, tree: Tree, more: list[tuple[str, Any, Any]]) -> type:
    members: list[tuple[str, Any, Any]] = []
    for part, entry in tree.items():
        if isinstance(entry, Option):
            members.append((part, hint_of(entry), field_of(entry)))
        else:
            inner = made(part, entry, [])
            members.append((part, inner, dataclasses.field(default_factory=inner)))
    return dataclasses.make_dataclass(name, [*members, *more])


def hint_of(option: Option) -> Any:
    single = TYPES[option.type]
    hint: Any = list[single] if option.many else single  # type: ignore[valid-type]
    return hint | None if option.default is None and not option.required else hint


def field_of(option: Option) -> Any:
    default = list(option.default) if isinstance(option.default, tuple) else option.default
    meaning = option.help or f"the script's {option.flag or option.own_name}"
    return setting(MISSING if option.required else default, meaning, choices=option.choices)
