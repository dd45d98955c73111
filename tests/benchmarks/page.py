"""A page of docs/benchmarks: what a benchmark has measured, with the commit, the day and the machine."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from registry.environment import ROOT

FOLDER = ROOT / "docs" / "benchmarks"


def write_page(name: str, text: str, measured: Mapping[str, str], parts: Sequence[str] = ("",), under: str = "") -> Path:
    """Write docs/benchmarks/<name>.md.

    Args:
        name: the benchmark's.
        text: what it measures, and how.
        measured: Markdown of each part that has been measured now; a benchmark of one part calls it "".
        parts: all parts in their order. Those not measured now stay on the page as they were.
        under: the circumstances of what was measured; by default commit, day and machine of this moment.
    """
    page = FOLDER / f"{name}.md"
    sections = sections_of(page.read_text()) if page.exists() else {}
    stamp = under or circumstances()
    sections |= {part: f"*{stamp}*\n\n{body.strip()}" for part, body in measured.items()}
    head = f"# {name}\n\n{text.strip()}\n\n`make bench/{name}` writes this page: do not edit it."
    told = [f"## {part}\n\n{sections[part]}" if part else sections[part] for part in parts if part in sections]
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("\n\n".join([head, *told]) + "\n")
    return page


def sections_of(page: str) -> dict[str, str]:
    """The parts of a page by their names, as they stand there."""
    return {title: body.strip() for title, body in re.findall(r"^## (.+)\n((?:(?!^## ).*\n?)*)", page, re.MULTILINE)}


def circumstances() -> str:
    commit = git("rev-parse", "--short=12", "HEAD")
    changed = " with changes that were not committed" if git("status", "--porcelain", "-uno", "--", ".", ":!docs/benchmarks") else ""
    load = os.getloadavg()[2]
    return f"Commit {commit}{changed}, {datetime.now(UTC):%Y-%m-%d}; {machine()}; load average of 15 minutes: {load:.1f}"


def machine() -> str:
    """Processor, cores that may be used, and memory."""
    model = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{len(os.sched_getaffinity(0))} cores of {model[1] if model else platform.machine()}, {memory:.0f} GiB of memory"


def git(*arguments: str) -> str:
    return subprocess.run(["git", "-C", ROOT, *arguments], check=True, capture_output=True, text=True).stdout.strip()
