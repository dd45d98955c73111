"""The rows of a table of embeddings that are done, kept on disk until it is complete."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.files import replaced


@dataclass(frozen=True)
class Parts:
    """Files in a folder beside the table that they will be, so that a stopped run continues.

    Each part is a file whose name says which of the listed images or texts it is about: the first, and the first one after them.
    """

    folder: Path
    work: str
    """A digest of what is embedded by which model: parts of anything else are removed."""

    @classmethod
    def beside(cls, table: Path, work: str) -> Parts:
        """Those of a table to be; the folder is made, or emptied if it is about something else."""
        parts = cls(table.with_name(f".{table.name}.parts"), work)
        parts.folder.mkdir(parents=True, exist_ok=True)
        stated = parts.folder / "work.txt"
        if not stated.is_file() or stated.read_text() != work:
            parts.clear()
            with replaced(stated) as beside:
                beside.write_text(work)
        return parts

    def add(self, start: int, stop: int, rows: Sequence[int], vectors: NDArray[Any], skipped: Mapping[int, str]) -> None:
        """Keep the vectors (n, D) of `rows`, and the reasons of those left out, of all from `start` until `stop`."""
        with replaced(self.folder / f"{start:012d}-{stop:012d}.npz") as beside, beside.open("wb") as handle:
            reasons = json.dumps({str(row): reason for row, reason in skipped.items()})
            np.savez(handle, rows=np.array(rows, np.int64), vectors=vectors, skipped=np.array(reasons))

    def files(self) -> list[Path]:
        """In order, without a gap."""
        found: list[Path] = []
        for path in sorted(self.folder.glob("*-*.npz")):
            if span(path)[0] == (span(found[-1])[1] if found else 0):
                found.append(path)
        return found

    @property
    def done(self) -> int:
        """How many of the listed images or texts are done."""
        files = self.files()
        return span(files[-1])[1] if files else 0

    def read(self, path: Path) -> tuple[list[int], NDArray[Any], dict[int, str]]:
        with np.load(path, allow_pickle=False) as stored:
            reasons = json.loads(str(stored["skipped"]))
            return stored["rows"].tolist(), stored["vectors"], {int(row): reason for row, reason in reasons.items()}

    def totals(self) -> tuple[int, dict[int, str]]:
        """The number of rows of all parts, and the reasons of all that were left out."""
        count, skipped = 0, dict[int, str]()
        for path in self.files():
            rows, _, reasons = self.read(path)
            count, skipped = count + len(rows), {**skipped, **reasons}
        return count, skipped

    def clear(self) -> None:
        for path in self.folder.iterdir():
            path.unlink()

    def remove(self) -> None:
        self.clear()
        self.folder.rmdir()


def span(path: Path) -> tuple[int, int]:
    """The first listed item of a part, and the first one after it."""
    start, _, stop = path.stem.partition("-")
    return int(start), int(stop)
