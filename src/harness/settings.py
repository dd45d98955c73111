"""Typed settings of a command: a dataclass whose fields say what they mean, filled from YAML and arguments."""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from .errors import ParameterError


def setting(
    default: Any,
    help: str,
    *,
    unit: str = "",
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    choices: Sequence[Any] = (),
) -> Any:
    """A dataclass field with what a person needs to know about it. `default=MISSING` makes it required."""
    limits = {name: limit for name, limit in (("ge", ge), ("gt", gt), ("le", le), ("lt", lt)) if limit is not None}
    metadata = {"help": help, "unit": unit, "limits": limits, "choices": tuple(choices)}
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

    @property
    def allowed(self) -> str:
        """What the value may be, in words."""
        signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
        if self.choices:
            return "one of " + ", ".join(map(str, self.choices))
        return f"{self.type} {' and '.join(f'{signs[name]} {limit:g}' for name, limit in self.limits.items())}".strip()

    def admits(self, value: Any) -> bool:
        """Whether `value`, already of the right type, is within the limits."""
        if value is None:
            return True
        items = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        if self.choices:
            return all(item in self.choices for item in items)
        compare = {"ge": float.__ge__, "gt": float.__gt__, "le": float.__le__, "lt": float.__lt__}
        numbers = [float(item) for item in items if isinstance(item, int | float)]
        return not any(math.isnan(number) for number in numbers) and all(
            compare[name](number, float(limit)) for number in numbers for name, limit in self.limits.items()
        )


def describe(schema: type) -> list[Setting]:
    """Every setting of a settings class, nested ones in dotted form."""
    return list(leaves_of(schema).values())


def leaves_of(schema: type, prefix: str = "") -> dict[str, Setting]:
    leaves: dict[str, Setting] = {}
    hints = typing.get_type_hints(schema)
    for field in dataclasses.fields(schema):
        key, hint = f"{prefix}{field.name}", hints[field.name]
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            leaves |= leaves_of(hint, f"{key}.")
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
    """A hint at the nearest right name, or nothing."""
    close = difflib.get_close_matches(word, list(words), n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else ""


def merge(schema: type, file: Path | None, arguments: Iterable[tuple[str, Any]], known: Iterable[str] = ()) -> Any:
    """An instance of `schema` from defaults < file < arguments (dotted keys and values).

    `known` are right names beyond the schema's, for hints.

    Raises:
        ParameterError: with every unknown key, wrong type, value out of range and missing value.
    """
    leaves, config = leaves_of(schema), OmegaConf.structured(schema)
    problems: list[str] = []
    where: dict[str, str] = {}
    stated = [] if file is None else [(key, value, f"{file.name}: ") for key, value in flatten(read_config(file), leaves)]
    for key, value, source in [*stated, *((key, value, "") for key, value in arguments)]:
        if key not in leaves:
            problems.append(f"{source}{key}: there is no such key{nearest(key, [*leaves, *known])}")
        elif not assign(config, key, value):
            problems.append(f"{source}{key}={value}: must be {leaves[key].allowed}")
        where[key] = source
    for key, leaf in leaves.items():
        if OmegaConf.is_missing(config, key):
            if key in where:  # given, but of the wrong type: already told
                continue
            problems.append(f"{key} is required: {leaf.help or leaf.type}")
        elif not leaf.admits(value := OmegaConf.select(config, key)):
            hint = nearest(str(value), map(str, leaf.choices))
            problems.append(f"{where.get(key, '')}{key}={value}: must be {leaf.allowed}{hint}")
    if problems:
        raise ParameterError(problems)
    return OmegaConf.to_object(config)


def assign(config: DictConfig, key: str, value: Any) -> bool:
    """Set one key, and say whether the value is of the key's type."""
    before = MISSING if OmegaConf.is_missing(config, key) else OmegaConf.select(config, key)
    try:
        OmegaConf.update(config, key, value, merge=False)
        OmegaConf.select(config, key)  # an interpolation is only read here
    except OmegaConfBaseException:
        OmegaConf.update(config, key, before, merge=False)
        return False
    return True


class ConfigLoader(yaml.SafeLoader):
    """YAML in which `1e-4` is a number, as people write learning rates (YAML 1.1 wants `1.0e-4`)."""


ConfigLoader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+[eE][-+]?\d+$"), list("-+0123456789"))


def read_config(file: Path) -> dict[str, Any]:
    """The settings that a YAML file states.

    Raises:
        ParameterError: when it is not a YAML mapping.
    """
    try:
        stated = yaml.load(file.read_text(), Loader=ConfigLoader) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ParameterError([f"{file}: cannot be read: {error}"]) from error
    if not isinstance(stated, dict):
        raise ParameterError([f"{file}: must be a mapping of settings"])
    return stated
