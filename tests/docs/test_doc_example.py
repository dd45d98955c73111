"""The workload that docs/adding-a-workload.md writes out is a workload: discovered, run by the page's own line, and checked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.documents import command_lines, files_in

from registry.environment import ROOT
from registry.workload import discover

PAGE = ROOT / "docs/adding-a-workload.md"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    for name, text in files_in(PAGE).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "src/harness").symlink_to(ROOT / "src/harness")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/a.txt").write_text("XIV")
    (tmp_path / "texts/b.txt").write_text("V" + 200 * "." + "V")
    return tmp_path


def test_it_runs_by_the_line_of_the_page(clone: Path) -> None:
    (line,) = [line for line in command_lines(PAGE) if line.words[0] == "python"]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(clone), "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, *line.words[1:]], cwd=clone, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (result,) = clone.glob("outputs/**/counts.json")
    assert json.loads(result.read_text()) == {"I": 1, "V": 2, "X": 1}, "smoke reads 100 characters of a file"


def test_it_is_discovered(clone: Path) -> None:
    declaration = discover(clone)["roman"]
    assert list(declaration.commands) == ["count"]
    assert (declaration.image, declaration.metrics.main) == ("tabletop", ("numerals/total",))
