"""What the commands print: results to stdout, everything else to stderr."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

notes = Console(stderr=True, highlight=False)


def say(message: str) -> None:
    """A line about what is going on."""
    click.echo(message, err=True)


@contextlib.contextmanager
def stdout_kept() -> Iterator[None]:
    """Let everything printed go to stderr, loggers that hold stdout included: stdout is for the result."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def warn(messages: Iterable[str]) -> None:
    for message in messages:
        click.echo(f"warning: {message}", err=True)


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, default=str))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table that is never cut where it goes to a file or a pipe."""
    table = Table(*(Column(Text(name)) for name in columns), box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*map(Text, row))  # text as it is: names may hold what rich takes for markup
    Console(width=None if sys.stdout.isatty() else 10_000, highlight=False, soft_wrap=False).print(table)
