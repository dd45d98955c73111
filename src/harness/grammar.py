"""The two sources of an argument: `key=value` on a command line, and a value on a task.

A command line is parsed in Hydra's override grammar: quotes, lists, sweeps. A task holds the value itself: a string exactly as it
is, whatever characters it contains; lists and mappings as JSON, as ClearML's SDK writes them; an empty string for None.
`Argument.text` is the form of a value on a task, and `token` the form to type so that the grammar reads the same value.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from .errors import ParameterError

PLAIN = re.compile(r"[^\s,'\"(){}\[\]$\\]+")
"""Values without special characters of the grammar: those that it still cannot parse, `a=b` or `größe`, are taken literally."""
SAFE = re.compile(r"[A-Za-z0-9_./+-]*(:[A-Za-z0-9_./+-]*)*")
"""Strings that need no quotes where a string is expected."""
FLAGS = {"-m", "--multirun"}


@dataclass(frozen=True)
class Argument:
    """One argument of one run."""

    key: str
    text: str
    """The value in its form on a task."""
    value: Any
    """Its value for a setting that is not a string: a number, a boolean, a list, a mapping, None."""
    exact: bool = False
    """Whether it comes from a task, where a string is always literal."""

    def __str__(self) -> str:
        return f"{self.key}={self.text}"

    def meant(self, wants_text: bool) -> Any:
        """The value for a setting that expects a string, or something else."""
        if wants_text and (self.exact or not isinstance(self.value, list | dict | None)):
            return self.text
        return self.value


def on_task(key: str, text: str) -> Argument:
    """The argument that is on a task under `key`."""
    return Argument(key, text, value_of(text), exact=True)


def text_on_task(value: Any) -> str:
    """A value in its form on a task, which is that of ClearML's SDK."""
    if isinstance(value, list | dict):
        return json.dumps(value)
    return "" if value is None else str(value)


def value_of(text: str) -> Any:
    """The value of a text where something other than a string is expected; if it is nothing else, the text itself."""
    if text.strip()[:1] in {"[", "{"}:
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            pass  # a list as people type it, without quotes
    override = parsed(f"value={text}")
    return text if override is None or override.is_sweep_override() else override.value()


def token(key: str, value: Any) -> str:
    """`key=value`, in a form that the grammar parses as exactly this value."""
    return f"{key}={value if isinstance(value, str) and SAFE.fullmatch(value) and value.lower() != 'null' else literal(value)}"


def literal(value: Any) -> str:
    """A value in the grammar, also inside a list or a mapping."""
    if isinstance(value, list):
        return f"[{','.join(map(literal, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{name}:{literal(item)}' for name, item in value.items())}}}"
    if not isinstance(value, str):
        return "null" if value is None else str(value)
    escaped = re.sub(r"(\\*)('|$)", lambda match: match[1] * 2 + ("\\'" if match[2] else ""), value)
    return f"'{escaped}'"


def parsed(text: str) -> Override | None:
    try:
        return OverridesParser.create().parse_override(text)
    except (HydraException, RecursionError):
        return None


def overrides_of(tokens: Iterable[str]) -> tuple[list[Override], list[str]]:
    """The tokens parsed in Hydra's grammar, and the problems of those that cannot be parsed."""
    overrides: list[Override] = []
    problems: list[str] = []
    for given in tokens:
        key, sign, value = given.partition("=")
        override = parsed(given)
        if override is None and sign and PLAIN.fullmatch(value):
            override = parsed(token(key, value))
        if override is None or not override.key_or_group:
            problems.append(f"{given!r} cannot be read: {rightly(given)}")
        elif override.is_add() or override.is_force_add() or override.is_delete() or override.package:
            problems.append(f"{given!r}: write key=value without + or ~ or @")
        else:
            overrides.append(override)
    keys = [override.key_or_group for override in overrides]
    problems += [f"{key} is given {keys.count(key)} times" for key in dict.fromkeys(keys) if keys.count(key) > 1]
    return overrides, problems


def rightly(given: str) -> str:
    """A suggestion for a token that cannot be parsed."""
    if given in FLAGS:
        return "sweeps need no flag; write key=a,b"
    name, sign, value = given.partition("=")
    if not sign and "=" in unicodedata.normalize("NFKC", given):
        name, sign, value = unicodedata.normalize("NFKC", given).partition("=")
    key = unicodedata.normalize("NFKC", name).lstrip("-").strip()
    if not sign or not key:
        return f"write {key or 'key'}=VALUE"
    for form in (f"{key}={value.strip(' ,')}", token(key, value)):
        if form != given and parsed(form) is not None:
            return f"write {form}"
    return "write key=value, and quote special characters: key='a, b'"


def read(tokens: Iterable[str]) -> tuple[dict[str, Argument], list[str]]:
    """The arguments of one run by key, and all problems of the tokens."""
    overrides, problems = overrides_of(tokens)
    sweeps = [item for item in overrides if item.is_sweep_override()]
    problems += [
        f"{item.input_line!r}: a sweep starts several runs, and this is a single run; give one value, in quotes if it contains commas"
        for item in sweeps
    ]
    return {item.key_or_group: argument_of(item) for item in overrides if item not in sweeps}, problems


def argument_of(override: Override) -> Argument:
    value = override.value()
    text = str(override.input_line).partition("=")[2].strip()  # as typed: an ID made of digits must stay a string
    return Argument(override.key_or_group, text_on_task(value) if isinstance(value, str | list | dict | None) else text, value)


def expand(tokens: Sequence[str]) -> list[list[str]]:
    """Expand sweeps (`lr=1e-3,1e-4`) into the token lists of single runs, the last key varying fastest.

    Raises:
        ParameterError: listing every token that cannot be parsed.
    """
    overrides, problems = overrides_of(tokens)
    problems += [
        f"{item.input_line!r}: an interval cannot be expanded into runs; write a=1,2,3" for item in overrides if item.is_interval_sweep()
    ]
    if problems:
        raise ParameterError(problems)
    runs: list[list[str]] = [[]]
    for override in overrides:
        given, key = str(override.input_line), override.key_or_group
        values = [f"{key}={text}" for text in override.sweep_string_iterator()] if override.is_sweep_override() else [given]
        runs = [[*run, value] for run in runs for value in values]
    return runs


def on_tasks(texts: Mapping[str, str]) -> dict[str, Argument]:
    """The arguments on a task."""
    return {key: on_task(key, text) for key, text in texts.items()}
