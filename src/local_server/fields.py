"""Type checks of a request's fields: JSON values against Python annotations."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from typing import Any, Union

from .errors import InvalidRequestError

ITEM = {**dict.fromkeys(("key", "metric", "mode", "model", "name", "section", "task", "type", "variant"), str), "variants": list[str]}
"""Fields that must be strings in every list of objects in a request, since they identify the objects."""
_LARGEST = 2**63


def check(name: str, fields: Mapping[str, Any], types: Mapping[str, Any]) -> None:
    """Raises InvalidRequestError for the first field of a wrong type; fields without a known type are not checked."""
    for field, value in fields.items():
        if field in types and not conforms(value, types[field]):
            kind = getattr(types[field], "__name__", "") if not typing.get_args(types[field]) else str(types[field])
            raise InvalidRequestError(f"Validation error: field '{field}' of {name} must be of type {kind}")


def conforms(value: Any, hint: Any) -> bool:
    """Whether a JSON value has an annotated type. Supports str, int, float, bool, lists, dicts, unions and Any."""
    if hint is Any:
        return True
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return any(conforms(value, option) for option in inner)
    if origin in (list, dict):
        return isinstance(value, origin) and all(conforms(item, inner[-1]) for item in (value.values() if origin is dict else value))
    if hint in (int, float):  # bool is an int to Python, not to JSON
        kind = int | float if hint is float else int
        return isinstance(value, kind) and not isinstance(value, bool) and abs(value) < _LARGEST
    return isinstance(value, hint)
