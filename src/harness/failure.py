"""The error of a failed rank, written to a file for the parent to report."""

from __future__ import annotations

from pathlib import Path

PATTERN = "failure-{}.txt"


def write_failure(folder: Path, number: int, error: BaseException) -> None:
    (folder / PATTERN.format(number)).write_text(f"rank {number}: {type(error).__name__}: {error}")


def read_failure(folder: Path) -> str | None:
    """The error of the rank that failed first, or None."""
    failures = sorted(folder.glob(PATTERN.format("*")), key=lambda path: path.stat().st_mtime_ns)
    return failures[0].read_text() if failures else None


def forget_failures(folder: Path) -> None:
    """Remove those of an earlier run."""
    for failure in folder.glob(PATTERN.format("*")):
        failure.unlink()
