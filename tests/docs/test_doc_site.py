"""`make docs`: every page of docs/ is in the site, no link of it is broken, and a reader's browser asks no other host for anything."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.job import Job
from registry.environment import ROOT, build, layer_named

LOADED = re.compile(r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?(https?:)?//|<link\b[^>]*\bhref=["']?(https?:)?//""")
"""What a browser fetches by itself; a link that a reader may follow is none."""


def built(root: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """The site of the docs in `root`, by the command of the Makefile."""
    (command,) = re.findall(r"^\t\.venvs/docs/bin/(mkdocs .*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    program, *options = command.split()
    mkdocs = build(layer_named("docs")).python.with_name(program)
    return subprocess.run([mkdocs, *options, "--site-dir", folder], cwd=root, capture_output=True, text=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = built(ROOT, folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_a_broken_link_or_anchor_is_an_error(tmp_path: Path) -> None:
    for name in ("docs", "src/harness"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    (tmp_path / "docs/wrapping.md").write_text("# Wrapping\n\n[a](nowhere.md) [b](s3.md#nowhere)\n")
    done = built(tmp_path, tmp_path / "site")
    assert done.returncode != 0
    assert "'nowhere.md'" in done.stderr
    assert "'#nowhere'" in done.stderr


def test_every_page_is_there(site: Path) -> None:
    pages = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    assert {page for page in pages if not (site / page).exists()} == set()


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert not LOADED.search(page.read_text()), page.name
    for sheet in site.rglob("*.css"):
        assert not re.search(r"@import|url\(['\"]?(https?:)?//", sheet.read_text()), sheet.name


def test_the_reference_holds_the_docstrings(site: Path) -> None:
    text = html.unescape((site / "reference.html").read_text())
    assert str(Job.__doc__) in text
    for name in ("harness.job.Job.seed", "harness.report.Report.scalar", "harness.checkpoint.Checkpoints.save", "harness.settings.setting"):
        assert f'id="{name}"' in text
