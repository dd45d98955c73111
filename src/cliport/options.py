"""The command lines' arguments, and where their results go."""

from __future__ import annotations

from harness.command_line import main, settings_of
from harness.report import TerminalReport

from .places import root

__all__ = ["main", "settings_of", "terminal"]


def terminal() -> TerminalReport:
    """Where a command line's results go: to standard output, and pictures below outputs/."""
    return TerminalReport(root() / "outputs" / "cliport")
