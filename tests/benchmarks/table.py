"""The form of every benchmark: rows of one metric each, as a Markdown table and as JSON."""

from __future__ import annotations

import importlib
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

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


def less_is_better(metric: str, ours: float, alternative: float | None, unit: str) -> Row:
    return Row(metric, ours, alternative, alternative / ours if alternative is not None and ours else None, unit)


def more_is_better(metric: str, ours: float, alternative: float | None, unit: str) -> Row:
    return Row(metric, ours, alternative, ours / alternative if alternative else None, unit)


def markdown(rows: list[Row]) -> str:
    """The rows as a Markdown table."""

    def show(value: float | None) -> str:
        return "" if value is None else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"

    lines = ["| metric | ours | alternative | ratio | unit |", "|---|---|---|---|---|"]
    lines += [f"| {row.metric} | {show(row.ours)} | {show(row.alternative)} | {show(row.ratio)} | {row.unit} |" for row in rows]
    return "\n".join(lines)


def publish(name: str, rows: list[Row]) -> None:
    """Print the table, and write the rows to build/bench/<name>.json."""
    print(markdown(rows))
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


def run_parts(name: str, parts: tuple[str, ...]) -> None:
    """Publish the rows of a benchmark of several modules `benchmarks.<name>.<part>`, or of the one that PART names."""
    chosen = os.environ.get("PART") or ""
    if chosen and chosen not in parts:
        sys.exit(f"error: PART={chosen}: must be one of {', '.join(parts)}")
    wanted = [part for part in parts if chosen in ("", part)]
    rows: list[Row] = []
    for part in wanted:
        rows += importlib.import_module(f"benchmarks.{name}.{part}").rows()
        if part != wanted[-1]:
            print(f"{markdown(rows)}\n", flush=True)  # what is measured by now, should a later part fail
    publish("-".join(filter(None, (name, chosen))), rows)
