"""The command lines' arguments: `key=value` in Hydra's grammar, into typed settings."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from harness.errors import HarnessError, ParameterError
from harness.params import read
from harness.report import TerminalReport
from harness.settings import describe, merge

from .places import root


def settings_of(schema: type, tokens: Sequence[str]) -> Any:
    """An instance of `schema` with the values of the tokens.

    Raises:
        ParameterError: with every token that cannot be read, unknown key and wrong value, each with the nearest right name.
    """
    overrides, problems = read(tokens)
    problems += [f"{item.input_line!r}: one run takes one value" for item in overrides if item.is_sweep_override()]
    texts = {leaf.key for leaf in describe(schema) if "str" in leaf.type}
    values = [(item.key_or_group, text_of(item, texts)) for item in overrides if not item.is_sweep_override()]
    settings = None
    try:
        settings = merge(schema, None, values)
    except ParameterError as error:
        problems += error.problems
    if problems:
        raise ParameterError(problems)
    return settings


def text_of(item: Any, texts: set[str]) -> Any:
    """An override's value; for a key of text as it was typed, so that 05000 stays 05000."""
    value = item.value()
    if item.key_or_group not in texts or isinstance(value, str | list | dict):
        return value
    return str(item.input_line).partition("=")[2].strip()


def terminal() -> TerminalReport:
    """Where a command line's results go: to standard output, and pictures below outputs/."""
    return TerminalReport(root() / "outputs" / "cliport")


def main(schema: type, run: Callable[[Any], None], usage: str) -> None:
    """Run a command line, and end with one error and exit code 2 where it is wrong."""
    tokens = sys.argv[1:]
    if {"-h", "--help"} & set(tokens):
        print(usage)
        for leaf in describe(schema):
            print(f"  {leaf.key}={leaf.default!s:<12} {leaf.help}{f' [{leaf.unit}]' if leaf.unit else ''}")
        return
    try:
        run(settings_of(schema, tokens))
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
