"""Programs of the images, run as users run them, and what they took."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def python(image: str) -> Path:
    """The interpreter of an image's environment."""
    return ROOT / ".venvs" / image / "bin" / "python"


def environment(**more: str) -> dict[str, str]:
    """What a program of an image needs to find the packages here."""
    return os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests'}", "OMP_WAIT_POLICY": "PASSIVE"} | more


@dataclass(frozen=True)
class Usage:
    """What a program took, its own children included."""

    cpu_s: float
    peak_gib: float
    """Resident memory of the largest process."""


def used(program: Sequence[str | Path], log: Path, environment: Mapping[str, str]) -> Usage:
    """Run a program to its end; what it says goes to `log`, whose folder need not be there.

    Raises:
        RuntimeError: with the end of what it said, when it fails.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as said:
        process = subprocess.Popen([*map(str, program)], stdout=said, stderr=subprocess.STDOUT, env=dict(environment))
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)  # or Popen would wait for it again
    if process.returncode:
        raise RuntimeError(f"{' '.join(map(str, program))} ended with {process.returncode}:\n{log.read_text()[-4000:]}")
    return Usage(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20)


def run_workload(workload: str, log: Path, environment: Mapping[str, str], **settings: object) -> Usage:
    """Run a workload's entry point here; `__` in a setting's name stands for the dot."""
    tokens = [f"{key.replace('__', '.')}={value}" for key, value in settings.items()]
    return used([python(workload), ROOT / "clearml_tasks" / workload / "clearml_train.py", *tokens], log, environment)
