"""A page of docs/benchmarks: what a benchmark has measured, with the commit, the day and the machine."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from registry.environment import ROOT

FOLDER = ROOT / "docs" / "benchmarks"


def write_page(name: str, text: str, columns: list[str], lines: list[list[str]]) -> Path:
    """Write docs/benchmarks/<name>.md: `text`, and a table under it. Nothing in it is kept from the page before."""
    rows = [columns, ["---"] * len(columns), *lines]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    FOLDER.mkdir(exist_ok=True)
    page = FOLDER / f"{name}.md"
    page.write_text(f"# {name}\n\nWritten by `make bench/{name}`, not by hand: {circumstances()}.\n\n{text.strip()}\n\n{table}\n")
    return page


def circumstances() -> str:
    commit = git("rev-parse", "--short=12", "HEAD")
    changed = " with changes that were not committed" if git("status", "--porcelain", "--untracked-files=no") else ""
    load = os.getloadavg()[2]
    return f"commit {commit}{changed}, {datetime.now(UTC):%Y-%m-%d}, {machine()}, {load:.1f} processes on them in the last 15 minutes"


def machine() -> str:
    """Processor, cores that may be used, and memory."""
    model = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{len(os.sched_getaffinity(0))} cores of {model[1] if model else platform.machine()}, {memory:.0f} GiB of memory"


def git(*arguments: str) -> str:
    return subprocess.run(["git", "-C", ROOT, *arguments], check=True, capture_output=True, text=True).stdout.strip()
