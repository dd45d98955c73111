"""Regular expressions of clients, matched in linear time: one pattern cannot hold up the server."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import re2

from .errors import InvalidRequestError

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False


def check(pattern: str) -> None:
    """Raises InvalidRequestError for what is no regular expression, or one that cannot be matched in linear time."""
    try:
        _compiled(pattern)
    except re2.error as error:
        reason = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else str(error)
        raise InvalidRequestError(
            f"Validation error: '{pattern[:100]}' is no regular expression that is matched in linear time "
            f"(RE2's syntax: no look-around, no back-references): {reason}",
            subcode=21,
        ) from error


def matches(pattern: str, value: Any) -> bool:
    """SQL function: does the regular expression occur in the value?"""
    return value is not None and _compiled(pattern).search(str(value)) is not None


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Any:
    return re2.compile(pattern, _OPTIONS)
