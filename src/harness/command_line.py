"""A command as a program of its own: `python -m package.command key=value`, in Hydra's grammar, into typed settings."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from .errors import HarnessError, ParameterError
from .grammar import read
from .settings import describe, merge


def settings_of(schema: type, tokens: Sequence[str], problems: Iterable[str] = (), file: Path | None = None) -> Any:
    """An instance of `schema` with the values of a YAML file and, above them, of the tokens.

    Args:
        schema: a settings class.
        tokens: `key=value` each.
        problems: found before, told together with those found here.
        file: YAML, or None.

    Raises:
        ParameterError: with every token that cannot be read, unknown key and wrong value, each with the nearest right name.
    """
    arguments, unreadable = read(tokens)
    told = [*problems, *unreadable]
    texts = {leaf.key for leaf in describe(schema) if leaf.holds_text}
    values = [(key, argument.meant(key in texts)) for key, argument in arguments.items()]
    settings = None
    try:
        settings = merge(schema, file, values)
    except ParameterError as error:
        told += error.problems
    if told:
        raise ParameterError(told)
    return settings


def main(schema: type, run: Callable[[Any], object], usage: str, understood: Callable[[type, Sequence[str]], Any] = settings_of) -> None:
    """Run a command line, and end with one error and exit code 2 where it is wrong.

    Args:
        schema: the command's settings class.
        run: is given what `understood` made of the arguments.
        usage: what `--help` says above the settings.
        understood: `schema` and arguments to settings.
    """
    tokens = sys.argv[1:]
    if {"-h", "--help"} & set(tokens):
        print(usage)
        for leaf in describe(schema):
            print(f"  {leaf.key}={leaf.default!s:<12} {leaf.help}{f' [{leaf.unit}]' if leaf.unit else ''}")
        return
    try:
        run(understood(schema, tokens))
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
