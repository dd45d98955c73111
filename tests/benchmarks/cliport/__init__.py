"""CLIPort's work against the same work done the original's way (`original`), in CPU seconds; and whether an agent learns."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from benchmarks.programs import environment, python

PYTHON = python("cliport")


def found_by(module: str, *arguments: object) -> dict[str, Any]:
    """What a module of this package says in its last line, JSON, run in a process of its own."""
    program = [PYTHON, "-m", f"benchmarks.cliport.{module}", *arguments]
    done = subprocess.run([str(part) for part in program], env=environment(), check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
