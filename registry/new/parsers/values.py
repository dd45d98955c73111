"""Types and defaults as settings can have them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

PLAIN = (str, int, float, bool)


def in_a_line(text: Any) -> str:
    return " ".join(str(text or "").split())


def type_of(kind: Any, default: Any) -> tuple[str, str]:
    """The setting's type, and the word for a false value."""
    name = getattr(kind, "__name__", "")
    if kind is bool:
        return "bool", ""
    if kind in {int, float, str}:
        return name, "False"
    if "bool" in name.lower() or (kind is not None and isinstance(default, bool)):
        return "bool", "False"
    return "float" if kind is not None and isinstance(default, float) else "str", "False"


def truth(value: Any) -> Any:
    return value if isinstance(value, bool) else None if value is not None and value is not argparse.SUPPRESS else False


def default_of(value: Any, kind: str, many: bool) -> Any:
    """A default as a setting can have it, or None: the script's own stands then."""
    if many:
        items = [cast(item, kind) for item in value] if isinstance(value, list | tuple) else None
        return None if items is None or None in items else items
    return cast(value, kind) if isinstance(value, PLAIN) or hasattr(value, "__fspath__") else None


def cast(value: Any, kind: str) -> Any:
    types: dict[str, Callable[[Any], Any]] = {"int": int, "float": float, "str": str, "bool": bool}
    try:
        found = types[kind](value)
    except (TypeError, ValueError):
        return None
    return None if "${" in str(found) or found == "???" else found
