"""Which image's environment a folder of tests/workloads runs in, and where the tests' tools are. For the Makefile."""

from __future__ import annotations

import sys
from pathlib import Path

import pygments
import pytest

from harness.workload import load

ROOT = Path(__file__).resolve().parents[2]


def image_of(tested: str) -> str:
    """The image of a workload; what no workload bears the name of (`harness_torch`) runs in the image `clip`."""
    folder = ROOT / "clearml_tasks" / tested
    return load(folder).image if folder.exists() else "clip"


def tools() -> str:
    """What the path needs for the tests' own libraries, which are in two layers."""
    return ":".join(dict.fromkeys(str(Path(module.__file__).parents[1]) for module in (pytest, pygments)))


if __name__ == "__main__":
    print(tools() if sys.argv[1] == "--tools" else image_of(sys.argv[1]))
