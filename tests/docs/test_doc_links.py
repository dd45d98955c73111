"""Links, anchors and paths in README.md, CONTRIBUTING.md, CHANGELOG.md and docs/ lead somewhere. Addresses outside are not fetched."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.documents import DOCUMENTS, anchors, files_in, links, spans

from registry.environment import ROOT

TOPS = {path.name for path in ROOT.iterdir()} - {"build", "outputs", "data"}
"""A path that begins with one of these is one of this repository."""
ALL = [*DOCUMENTS, ROOT / "CHANGELOG.md"]


def name_of(document: Path) -> str:
    return document.relative_to(ROOT).as_posix()


def broken(document: Path) -> Iterator[str]:
    for target in links(document):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        place = document.parent / path if path else document
        if not place.exists():
            yield f"{target}: there is no such file"
        elif anchor and anchor not in anchors(place):
            yield f"{target}: there is no such heading; there are {', '.join(sorted(anchors(place)))}"
        elif document.is_relative_to(ROOT / "docs") and not place.resolve().is_relative_to(ROOT / "docs"):
            yield f"{target}: leads out of docs/, and so out of the site; name the path between backticks"


@pytest.mark.parametrize("document", ALL, ids=name_of)
def test_links_lead_somewhere(document: Path) -> None:
    assert list(broken(document)) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A heading\n\n[a](page.md#a-heading) [b](page.md#none) [c](nowhere.md) [d](#a-heading) [e](https://example.org)\n")
    assert [told.partition(":")[0] for told in broken(page)] == ["page.md#none", "nowhere.md"]


def paths_in(document: Path) -> Iterator[str]:
    for span in spans(document):
        for word in re.split(r"[\s=,:]+", span):
            if "/" in word and word.split("/")[0] in TOPS and "$" not in word:
                yield word


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_paths_between_backticks_exist(document: Path) -> None:
    """`<name>` and the like stand for anything; {a,b} for each."""
    made = "\n".join(files_in(document))
    for path in paths_in(document):
        pattern = re.sub(r"<[\w ]+>", "*", path.rstrip("/."))
        assert pattern in made or any(ROOT.glob(pattern)) or pattern.startswith((".venv", "docs/benchmarks/*")), f"{path} does not exist"


def test_promises_are_shown_by_tests_that_exist() -> None:
    rows = [line for line in (ROOT / "docs/guarantees.md").read_text().splitlines() if line.startswith("| ") and "shown by" not in line]
    for row in rows:
        shown = re.findall(r"(tests/[\w/]+\.py)::(\w+)", row)
        assert shown, row
        for file, name in shown:
            assert re.search(rf"^ *(def|class) {name}\b", (ROOT / file).read_text(), re.MULTILINE), f"{file}::{name}"
    assert len(rows) > 20
