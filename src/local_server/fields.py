"""The types of a request's fields: JSON values against Python's annotations."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from typing import Any, Union

from .errors import InvalidRequestError

ITEM = {**dict.fromkeys(("key", "metric", "mode", "model", "name", "section", "task", "type", "variant"), str), "variants": list[str]}
"""What is a text in every list of objects that a request holds: by these they are told apart."""
_LARGEST = 2**63


def check(name: str, fields: Mapping[str, Any], types: Mapping[str, Any]) -> None:
    """Raises InvalidRequestError for the first field that is not of its type; fields without one are not looked at."""
    for field, value in fields.items():
        if field in types and not conforms(value, types[field]):
            kind = getattr(types[field], "__name__", "") if not typing.get_args(types[field]) else str(types[field])
            raise InvalidRequestError(f"Validation error: field '{field}' of {name} must be of type {kind}")


def conforms(value: Any, hint: Any) -> bool:
    """Is a JSON value of an annotated type? Knows str, int, float, bool, lists, dicts, unions and Any."""
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
