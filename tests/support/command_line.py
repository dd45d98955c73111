"""Command lines in tests: what one left, git in a scratch repository, and clearml-task's own parser."""

from __future__ import annotations

import argparse
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Outcome:
    """What a command left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


Registry = Callable[..., Outcome]


def in_this_process(capfd: pytest.CaptureFixture[str]) -> Registry:
    """`registry ...` without a process of its own."""
    from registry import cli

    def run(*arguments: str) -> Outcome:
        capfd.readouterr()
        try:
            cli.main(list(arguments))
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capfd.readouterr()
        return Outcome(code, out, err)

    return run


def git(root: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    return subprocess.run(["git", "-C", root, *identity, *arguments], check=True, capture_output=True, text=True).stdout.strip()


def parse_clearml_task(line: str) -> argparse.Namespace:
    """Read a command line the way a shell and then clearml-task do; fails where they would."""
    from clearml.cli.task.__main__ import setup_parser

    parser = argparse.ArgumentParser()
    setup_parser(parser)
    command, *arguments = shlex.split(line)
    assert command == "clearml-task"
    return parser.parse_args(arguments)
