"""CLIP training against open_clip's own training program, in CPU seconds and peak memory; and whether it learns (`learning`)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PYTHON = ROOT / ".venvs" / "clip" / "bin" / "python"
"""Of the image `clip`."""


def environment() -> dict[str, str]:
    """What a program of the image needs to find the packages here; it has no GPU."""
    return os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests'}", "OMP_WAIT_POLICY": "PASSIVE", "CUDA_VISIBLE_DEVICES": ""}


@dataclass(frozen=True)
class Usage:
    """What a program took, its own children included."""

    cpu_s: float
    peak_gib: float
    """Resident memory of the largest process."""


def used(program: Sequence[str | Path], log: Path, environment: Mapping[str, str]) -> Usage:
    """Run a program to its end.

    Raises:
        RuntimeError: with the end of what it said, when it fails.
    """
    with log.open("wb") as said:
        process = subprocess.Popen([*map(str, program)], stdout=said, stderr=subprocess.STDOUT, env=dict(environment))
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(map(str, program))} ended with {process.returncode}:\n{log.read_text()[-4000:]}")
    return Usage(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20)
