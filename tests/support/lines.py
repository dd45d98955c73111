"""Command lines of workloads, run as programs of their own, with no server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from harness.flags import tokens_of
from harness.keys import keys_of
from harness.params import Arguments, resolve
from harness.workload import load

ROOT = Path(__file__).resolve().parents[2]


def run_line(module: str, *arguments: str, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """`python -m module arguments` in a folder; `more` are variables of its environment."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CLEARML_", "HARNESS_"))}
    path = os.pathsep.join(map(os.path.abspath, sys.path))
    environment |= {"PYTHONPATH": path, "PYTHONWARNINGS": "ignore", "HOME": str(folder), "CUDA_VISIBLE_DEVICES": "", **more}
    return subprocess.run([sys.executable, "-m", module, *arguments], capture_output=True, text=True, env=environment, cwd=folder)


def tells_before(module: str, *libraries: str) -> bool:
    """Whether a wrong line of a module is told before any of some slow libraries is imported."""
    code = f"""
import runpy, sys
sys.argv = ["{module}", "no.such.key=1"]
try:
    runpy.run_module("{module}", run_name="__main__")
except SystemExit as stop:
    sys.exit(stop.code != 2 or bool({set(libraries)!r} & set(sys.modules)))
sys.exit(1)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)), "HOME": "/nonexistent"}
    return subprocess.run([sys.executable, "-W", "ignore", "-c", code], env=environment, capture_output=True).returncode == 0


def understood(workload: str, command: str, *arguments: str, home: Path = Path("/nowhere")) -> Arguments:
    """What a command line of a workload means, with its declared places below `home`."""
    declaration = load(ROOT / "clearml_tasks" / workload)
    return resolve(declaration, tokens_of([f"command={command}", *arguments], keys_of(declaration)), home=home)


def meant(found: Arguments) -> dict[str, Any]:
    """Everything that a run was asked for, by key."""
    return {**found.flat_settings(), **found.reserved, "command": found.command.name, "folder": found.folder and str(found.folder)}
