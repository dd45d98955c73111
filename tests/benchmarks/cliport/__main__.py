"""`make bench/cliport`; PART=training_step (or another module's name) makes the rows of that part alone."""

from __future__ import annotations

import importlib
import os
import sys

from benchmarks.table import publish

PARTS = ("training_step", "demonstration", "learning")


def main() -> None:
    chosen = os.environ.get("PART") or ""
    if chosen and chosen not in PARTS:
        sys.exit(f"error: PART={chosen}: must be one of {', '.join(PARTS)}")
    rows = [row for part in PARTS if chosen in ("", part) for row in importlib.import_module(f"benchmarks.cliport.{part}").rows()]
    publish("-".join(filter(None, ("cliport", chosen))), rows)


if __name__ == "__main__":
    main()
