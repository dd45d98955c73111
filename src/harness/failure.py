"""What a rank that failed leaves for the parent to say."""

from __future__ import annotations

from pathlib import Path


def write_failure(folder: Path, number: int, error: BaseException) -> None:
    (folder / f"failure-{number}.txt").write_text(f"rank {number}: {type(error).__name__}: {error}")


def read_failure(folder: Path) -> str | None:
    """What the rank that failed first said, or None."""
    failures = sorted(folder.glob("failure-*.txt"), key=lambda path: path.stat().st_mtime_ns)
    return failures[0].read_text() if failures else None
