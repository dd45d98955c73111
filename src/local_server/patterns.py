"""Regular expressions from clients, matched in linear time, so that no pattern can block the server."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import re2

from .errors import InvalidRequestError

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False


def check(pattern: str) -> None:
    """Raises InvalidRequestError for an invalid regular expression, or one that cannot be matched in linear time."""
    try:
        _compiled(pattern)
    except re2.error as error:
        reason = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else str(error)
        raise InvalidRequestError(
            f"Validation error: '{pattern[:100]}' is not a regular expression that can be matched in linear time "
            f"(RE2's syntax: no look-around, no back-references): {reason}",
            subcode=21,
        ) from error


def matches(pattern: str, value: Any) -> bool:
    """SQL function: whether the regular expression matches a part of the value."""
    return value is not None and _compiled(pattern).search(str(value)) is not None


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Any:
    return re2.compile(pattern, _OPTIONS)
