"""CLIPort's work against the same work done the original's way (`original`), in CPU seconds; and whether an agent learns."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PYTHON = ROOT / ".venvs" / "cliport" / "bin" / "python"
"""Of the image `cliport`."""


def environment() -> dict[str, str]:
    """What a program of the image needs to find the packages here."""
    return os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests'}", "OMP_WAIT_POLICY": "PASSIVE"}
