"""A script's command line: its options in its own form, from settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..grammar import token
from .script import REST, Option, Script


def words(script: Script, said: Mapping[str, Any], passed: Mapping[str, Any]) -> list[str]:
    """What follows the script's path on its command line.

    What nobody has said is left to the script: its default may follow from another option.

    Args:
        said: settings that somebody has given, by key.
        passed: what the harness knows (folders, the seed, a checkpoint) by its own keys; those that no option takes are left out.
    """
    values = {script.option(name).key: passed[key] for key, name in script.passes.items() if passed.get(key) is not None}
    values |= {key: value for key, value in said.items() if key != REST}
    found: list[str] = []
    for level in range(len(script.words) + 1):
        mine = [option for option in script.options if option.level == level]
        found += places([option for option in mine if option.form == "place"], values)
        found += [word for option in mine if option.key in values for word in words_of(option, values[option.key])]
        found += script.words[level : level + 1]
    return [*found, *map(str, said.get(REST) or [])]


def places(options: list[Option], values: Mapping[str, Any]) -> Iterator[str]:
    """Positional arguments. They come before the flags, of which one that takes many values would swallow them."""
    last = max((number for number, option in enumerate(options) if option.key in values), default=-1)
    for option in options[: last + 1]:  # one that is left out would let the next take its place
        value = values.get(option.key, option.default)
        yield from (text(option, item) for item in (value if option.many else [value]) or [] if item is not None)


def words_of(option: Option, value: Any) -> list[str]:
    """The words of one option that is no positional argument."""
    if value is None or option.form == "place":
        return []
    if option.form == "switch":
        return list(filter(None, [option.flag if value else option.negation]))
    if option.form == "count":
        return [option.flag] * value
    if option.form == "override":
        return [token(option.own_name, value)]
    if option.form == "words":
        return [option.flag, *(text(option, item) for item in value)]
    return [word for item in (value if option.many else [value]) for word in flagged(option, text(option, item))]


def flagged(option: Option, word: str) -> list[str]:
    """A flag with its value: in one word where the flag is a long one, so that the value may begin with a dash."""
    return [f"{option.flag}={word}"] if option.flag.startswith("--") else [option.flag, word]


def text(option: Option, value: Any) -> str:
    return option.false_word if value is False else str(value)
