"""What was read: told as a line of JSON, and the end of the script."""

from __future__ import annotations

import json
import sys
from typing import Any

MARK = "options read: "
"""What the line begins with that holds the result: the script may have printed others."""
Options = list[dict[str, Any]]
Found = dict[str, Any]


class ReadingDone(BaseException):
    """The parser has been seen. No Exception, since scripts catch those."""


class UnreadableError(BaseException):
    """The parser has been seen, and cannot be declared. No Exception for the same reason."""


def tell(style: str, commands: list[Found]) -> None:
    """Print what was read, and end the script.

    Args:
        style: whose parser it is.
        commands: for each subcommand its words, help and options; one without words where there are none.
    """
    assert sys.__stdout__ is not None
    sys.__stdout__.write(f"\n{MARK}{json.dumps({'style': style, 'commands': commands})}\n")
    sys.__stdout__.flush()
    raise ReadingDone
