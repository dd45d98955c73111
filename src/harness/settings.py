"""Typed settings of a command: a dataclass with documented fields, filled from YAML and arguments."""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from .conditions import in_full
from .errors import ParameterError
from .yaml_file import read_yaml


def setting(
    default: Any,
    meaning: str,
    *,
    unit: str = "",
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    choices: Sequence[Any] = (),
    form: str = "",
    check: Callable[[Any], str | None] | None = None,
    when: str = "",
) -> Any:
    """A dataclass field with its documentation and limits. `default=MISSING` makes it required.

    `form` is a regular expression: what matches it is allowed besides the choices. `check` returns the problem of a value, or None, where
    limits and choices do not suffice. It must not need torch. `when` names the other setting without which this one has no effect, see
    `conditions`.
    """
    limits = {name: limit for name, limit in (("ge", ge), ("gt", gt), ("le", le), ("lt", lt)) if limit is not None}
    metadata = {"help": meaning, "unit": unit, "limits": limits, "choices": tuple(choices), "form": form, "check": check, "when": when}
    if isinstance(default, list | dict):
        return dataclasses.field(default_factory=lambda: type(default)(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Setting:
    """One leaf of a settings class, in dotted form."""

    key: str
    type: str
    default: Any
    unit: str = ""
    help: str = ""
    limits: Mapping[str, float] = dataclasses.field(default_factory=dict)
    choices: tuple[Any, ...] = ()
    form: str = ""
    check: Callable[[Any], str | None] | None = None
    when: str = ""
    """The condition, in full, under which it has an effect; see `conditions`."""

    @property
    def meaning(self) -> str:
        """What a person reads of it: its help, and when it has an effect."""
        return f"{self.help} (only with {self.when})" if self.when else self.help

    @property
    def holds_text(self) -> bool:
        return self.type in {"str", "str | None", "Optional[str]"}

    @property
    def is_optional(self) -> bool:
        return self.type.endswith("| None") or self.type.startswith("Optional[")

    @property
    def allowed(self) -> str:
        """The allowed values, in words."""
        signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
        if self.choices:
            return "one of " + ", ".join(map(str, self.choices))
        return f"{self.type} {' and '.join(f'{signs[name]} {limit:g}' for name, limit in self.limits.items())}".strip()

    def has_form(self, item: Any) -> bool:
        return bool(self.form) and isinstance(item, str) and re.fullmatch(self.form, item) is not None

    def admits(self, value: Any) -> bool:
        """Whether `value`, already of the right type, is within the limits."""
        if value is None:
            return True
        items = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        if self.choices:
            return all(item in self.choices or self.has_form(item) for item in items)
        compare = {"ge": float.__ge__, "gt": float.__gt__, "le": float.__le__, "lt": float.__lt__}
        numbers = [float(item) for item in items if isinstance(item, int | float)]
        return not any(math.isnan(number) for number in numbers) and all(
            compare[name](number, float(limit)) for number in numbers for name, limit in self.limits.items()
        )


def describe(schema: type) -> list[Setting]:
    """Every setting of a settings class, nested ones in dotted form."""
    return list(leaves_of(schema).values())


def leaves_of(schema: type) -> dict[str, Setting]:
    """The same by key."""
    leaves = nested(schema)
    return {key: dataclasses.replace(leaf, when=in_full(leaf.when, key, leaves)) for key, leaf in leaves.items()}


def nested(schema: type, prefix: str = "") -> dict[str, Setting]:
    leaves: dict[str, Setting] = {}
    hints = typing.get_type_hints(schema)
    for field in dataclasses.fields(schema):
        key, hint = f"{prefix}{field.name}", hints[field.name]
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            leaves |= nested(hint, f"{key}.")
        else:
            default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
            leaves[key] = Setting(key, type_name(hint), default, **field.metadata)
    return leaves


def type_name(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint).replace("typing.", "")


def flat(settings: Any) -> dict[str, Any]:
    """Every setting of an instance in dotted form."""
    return dict(flatten(dataclasses.asdict(settings), leaves_of(type(settings))))


def flatten(values: Mapping[Any, Any], leaves: Mapping[str, Setting], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values; a mapping that is itself a setting stays whole."""
    for name, value in values.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and key not in leaves:
            yield from flatten(value, leaves, f"{key}.")
        else:
            yield key, value


def nearest(word: str, words: Iterable[str]) -> str:
    """A hint at the closest known name, ignoring case; empty if none is close."""
    by_letters = {known.lower(): known for known in words}
    close = difflib.get_close_matches(word.lower(), by_letters, n=1, cutoff=0.5)
    return f" (did you mean {by_letters[close[0]]}?)" if close else ""


def merge(
    schema: type,
    file: Path | None,
    arguments: Iterable[tuple[str, Any]],
    known: Iterable[str] = (),
    stated: Sequence[tuple[str, Any]] | None = None,
) -> Any:
    """An instance of `schema` from defaults < file < arguments (dotted keys and values).

    Args:
        known: valid names besides the schema's, for hints.
        stated: the contents of the file, if it has already been read.

    Raises:
        ParameterError: listing every unknown key, wrong type, value out of range and missing value.
    """
    leaves, config = leaves_of(schema), OmegaConf.structured(schema)
    if stated is None:
        stated = [] if file is None else stated_in(file, leaves)
    problems: list[str] = []
    where: dict[str, str] = {}
    for key, value, source in [*((*item, f"{file.name}: " if file else "") for item in stated), *((*item, "") for item in arguments)]:
        if key not in leaves:
            problems.append(f"{source}{key}: there is no such key{nearest(key, [*leaves, *known])}")
        elif problem := problem_of_text(value):
            problems.append(f"{source}{key}={value}: {problem}")
        elif not assign(config, key, None if value == "" and leaves[key].is_optional else value):
            problems.append(f"{source}{key}={value}: must be {leaves[key].allowed}")
        where[key] = source
    problems += problems_of_values(config, leaves, where)
    if problems:
        raise ParameterError(problems)
    return OmegaConf.to_object(config)


def problems_of_values(config: DictConfig, leaves: Mapping[str, Setting], where: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with merged values: one is missing, not allowed, or fails its check. `where` says for those given who gave them."""
    for key, leaf in leaves.items():
        if OmegaConf.is_missing(config, key):
            if key not in where:  # one that was given has a problem of its own, which is reported already
                yield f"{key} is required: {leaf.help or leaf.type}"
        elif not leaf.admits(value := OmegaConf.select(config, key)):
            hint = nearest(str(value), map(str, leaf.choices))
            yield f"{where.get(key, '')}{key}={value}: must be {leaf.allowed}{hint}"
        elif leaf.check is not None and (problem := leaf.check(value)):
            yield f"{where.get(key, '')}{key}={value}: {problem}"


def stated_in(file: Path, leaves: Mapping[str, Setting]) -> list[tuple[str, Any]]:
    """Dotted keys and values of a YAML file.

    Raises:
        ParameterError: it cannot be read, or gives a setting twice, as `optim.lr` and as `lr` below `optim`.
    """
    stated = list(flatten(read_config(file), leaves))
    keys = [key for key, _ in stated]
    if twice := [key for key in dict.fromkeys(keys) if keys.count(key) > 1]:
        raise ParameterError([f"{file}: {key} is given {keys.count(key)} times" for key in twice])
    return stated


def problem_of_text(value: Any) -> str | None:
    """The problem of a string, also inside a list or mapping, that OmegaConf would not take literally; or None."""
    if isinstance(value, Mapping):
        return next(filter(None, map(problem_of_text, [*value, *value.values()])), None)
    if isinstance(value, list):
        return next(filter(None, map(problem_of_text, value)), None)
    if isinstance(value, str) and "${" in value:
        return "${...} is not interpolated, because a secret would be recorded in clear text; write the value itself"
    return "this is OmegaConf's mark for a missing value" if value == MISSING else None


def assign(config: DictConfig, key: str, value: Any) -> bool:
    """Set one key, and return whether the value has the key's type."""
    before = MISSING if OmegaConf.is_missing(config, key) else OmegaConf.select(config, key)
    try:
        OmegaConf.update(config, key, value, merge=False)
    except OmegaConfBaseException:
        OmegaConf.update(config, key, before, merge=False)
        return False
    return True


def read_config(file: Path) -> dict[str, Any]:
    """The settings in a YAML file.

    Raises:
        ParameterError: it is not a YAML mapping.
    """
    try:
        stated = read_yaml(file) or {}
    except ValueError as error:
        raise ParameterError([f"{file}: {error}"]) from error
    if not isinstance(stated, dict):
        raise ParameterError([f"{file}: must be a mapping of settings"])
    return stated
