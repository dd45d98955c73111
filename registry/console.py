"""Output of the commands: results go to stdout, everything else to stderr."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

notes = Console(stderr=True, highlight=False)


def say(message: str) -> None:
    """Print a progress message."""
    click.echo(message, err=True)


@contextlib.contextmanager
def stdout_kept() -> Iterator[None]:
    """Redirect all output to stderr, including that of loggers which hold stdout: stdout is for the result."""
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


def readable(size: int) -> str:
    """A size in bytes, in words."""
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, default=str))


def terminal_width() -> int | None:
    """The width of the terminal in columns; None if stdout is a file or a pipe."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, whole: Collection[str] = (), cut: Collection[str] | None = None
) -> None:
    """Print a table that fits the terminal; in a file or a pipe, nothing is wrapped or cut.

    Args:
        columns: the column names.
        rows: one text per column.
        whole: the columns that are narrowed last.
        cut: the columns that are cut if a row is too wide for the terminal, so that each row stays on one line; by default, wide columns
            are wrapped instead.
    """
    kept = set(columns) - set(cut) if cut is not None else set(whole)
    table = Table(*(Column(Text(name), no_wrap=name in kept) for name in columns), box=None, header_style="bold", pad_edge=False)
    for row in rows:  # as plain text: names may contain what rich would take for markup
        table.add_row(*(Text(text, no_wrap=cut is not None, overflow="fold" if cut is None else "ellipsis") for text in row))
    Console(width=terminal_width() or 10_000, highlight=False, soft_wrap=False).print(table)
