"""The form of every benchmark: rows of one metric each, as a Markdown table, as JSON and as a page of docs/benchmarks."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.page import write_page

FOLDER = Path(__file__).resolve().parents[2] / "build" / "bench"


@dataclass(frozen=True)
class Row:
    """One measurement, ours and the alternative's taken in turn in one run.

    A ratio above 1 means that ours is better. Alternative and ratio are None where there is nothing to compare with, or to divide by.
    """

    metric: str
    ours: float
    alternative: float | None
    ratio: float | None
    unit: str
    notes: tuple[str, ...] = ()
    """What a reader must know of this row, a phrase each; those that rows share are shown once."""


def less_is_better(metric: str, ours: float, alternative: float | None, unit: str, *notes: str) -> Row:
    return Row(metric, ours, alternative, alternative / ours if alternative is not None and ours else None, unit, notes)


def more_is_better(metric: str, ours: float, alternative: float | None, unit: str, *notes: str) -> Row:
    return Row(metric, ours, alternative, ours / alternative if alternative else None, unit, notes)


def markdown(rows: list[Row]) -> str:
    """The rows as a Markdown table; their notes are numbered and stand below it."""

    def show(value: float | None) -> str:
        return "" if value is None else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"

    notes = list(dict.fromkeys(note for row in rows for note in row.notes))
    columns = ["metric", "ours", "alternative", "ratio", "unit", *(["notes"] if notes else [])]
    lines = []
    for row in rows:
        numbers = ", ".join(str(1 + notes.index(note)) for note in row.notes)
        cells = [row.metric, show(row.ours), show(row.alternative), show(row.ratio), row.unit]
        lines.append([*cells, *([numbers] if notes else [])])
    below = "".join(f"\n{number}. {note}" for number, note in enumerate(notes, 1))
    return markdown_table(columns, lines) + (f"\n\nNotes:\n{below}" if notes else "")


def markdown_table(columns: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (columns, ["---"] * len(columns), *lines))


def record(name: str, rows: list[Row]) -> None:
    """Print the table, and write the rows to build/bench/<name>.json."""
    print(f"{markdown(rows)}\n", flush=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


def publish(name: str, text: str, rows: list[Row]) -> None:
    """Record the rows, and write docs/benchmarks/<name>.md: `text` says what was measured, and how."""
    record(name, rows)
    write_page(name, text, {"": markdown(rows)})


def run_parts(name: str, text: str, parts: tuple[str, ...], *, trial: bool = False) -> None:
    """Publish the rows of a benchmark of several modules `benchmarks.<name>.<part>`, or of the one that PART names.

    Each part is a section of the page, written when it has ended; the others stay as they were. A trial
    run is not written there: its figures say nothing.
    """
    chosen = os.environ.get("PART") or ""
    if chosen and chosen not in parts:
        sys.exit(f"error: PART={chosen}: must be one of {', '.join(parts)}")
    for part in parts:
        if chosen in ("", part):
            module = importlib.import_module(f"benchmarks.{name}.{part}")
            rows = module.rows()
            record(f"{name}-{part}", rows)
            if not trial:
                write_page(name, text, {part: f"{module.TEXT.strip()}\n\n{markdown(rows)}"}, parts)
