"""A standalone program with typed settings: `python -m package.command key=value`, in Hydra's grammar."""

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
    """An instance of `schema` with the values of a YAML file, overridden by those of the tokens.

    Args:
        schema: a settings class.
        tokens: each `key=value`.
        problems: found earlier, to be reported together with those found here.
        file: a YAML file, or None.

    Raises:
        ParameterError: listing every unreadable token, unknown key (with the closest known one) and invalid value.
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
    """Run a command line; if it is wrong, print one error and exit with code 2.

    Args:
        schema: the command's settings class.
        run: called with the result of `understood`.
        usage: the text of `--help` above the list of settings.
        understood: turns `schema` and the arguments into settings.
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
