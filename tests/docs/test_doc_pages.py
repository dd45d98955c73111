"""The pages say of the program what the program says of itself, and leave nothing out."""

from __future__ import annotations

import dataclasses
import importlib
import re
from pathlib import Path
from typing import Any

import click
import pytest
from benchmarks import page
from support.documents import spans, tables

from harness.checkpoint import Checkpoints
from harness.job import Job
from harness.keys import RESERVED, settings_class
from harness.report import Report
from harness.settings import describe
from harness.workload import load, problems_of
from registry.cli import cli
from registry.environment import ROOT

README = ROOT / "README.md"
WORKLOADS = sorted(path.parent.name for path in ROOT.glob("clearml_tasks/*/workload.yaml"))
SECTIONS = ["Install", "First run", "Data", "Commands", "Results", "Limits"]
"""Of a workload's page; that on its original has a heading of its own."""
BENCHMARKS = sorted(
    path.stem if path.suffix else path.name
    for path in (ROOT / "tests/benchmarks").iterdir()
    if "publish(" in (text := "".join(file.read_text() for file in ([path] if path.suffix == ".py" else path.glob("*.py"))))
    or "run_parts(" in text
    or "write_page(" in text
    if path.stem not in {"page", "table"}
)


def page_of(workload: str) -> Path:
    return ROOT / "docs/workloads" / f"{workload}.md"


def commands(group: click.Group, prefix: str = "registry") -> list[tuple[str, click.Command]]:
    found = []
    for name, command in group.commands.items():
        full = f"{prefix} {name}"
        found += commands(command, full) if isinstance(command, click.Group) else [(full, command)]
    return found


def table_of_commands() -> set[str]:
    """The commands in the registry's table, where one row has several of a group: `registry dataset create\\|list`."""
    (table,) = [table for table in tables(ROOT / "docs/registry.md") if table[0][0] == "command"]
    words = [re.findall(r"`registry ([^`]*)`", row[0])[0].split() for row in table[1:]]
    return {f"registry {first}" for first, *_ in words} | {
        f"registry {first} {last}" for first, *rest in words for last in (rest[0].split("|") if rest else [])
    }


@pytest.mark.parametrize(("name", "command"), commands(cli))
def test_every_command_is_documented_and_helps(name: str, command: click.Command) -> None:
    assert name in table_of_commands()
    assert command.help
    assert all(option.help for option in command.params if isinstance(option, click.Option))


def test_the_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= 150


def test_every_key_of_the_harness_is_documented() -> None:
    (table,) = [table for table in tables(ROOT / "docs/arguments.md") if table[0] == ["key", "meaning"]]
    named = {name for row in table[1:] for name in re.findall(r"`(\w+)`", row[0])}
    assert named == set(RESERVED)


@pytest.mark.parametrize("workload", WORKLOADS)
class TestWorkload:
    def test_the_readme_has_its_line_with_every_command(self, workload: str) -> None:
        (row,) = [row for table in tables(README) for row in table if row[0] == f"[{workload}](docs/workloads/{workload}.md)"]
        assert re.findall(r"`(\w+)`", row[2]) == list(load(ROOT / "clearml_tasks" / workload).commands)

    def test_its_page_has_every_section(self, workload: str) -> None:
        headings = re.findall(r"^## (.+)$", page_of(workload).read_text(), re.MULTILINE)
        assert [heading for heading in headings if heading in SECTIONS] == SECTIONS
        assert headings[-1].startswith("What differs from")

    def test_its_page_has_every_command(self, workload: str) -> None:
        headings = re.findall(r"^### (\w+)$", page_of(workload).read_text(), re.MULTILINE)
        assert sorted(headings) == sorted(load(ROOT / "clearml_tasks" / workload).commands)

    def test_its_tables_of_settings_are_true(self, workload: str) -> None:
        """Each setting is one of the command under whose heading it stands, with that default; above all commands, of any."""
        declared = load(ROOT / "clearml_tasks" / workload).commands
        first, *sections = re.split(r"^### (\w+)$", page_of(workload).read_text(), flags=re.MULTILINE)
        for name, text in [("", first), *zip(sections[::2], sections[1::2], strict=True)]:
            for key, default in re.findall(r"^\| `([\w.]+)` \| (?:`([^`]*)`)? ?\| ", text, re.MULTILINE):
                known = [defaults(command.config, command) for command in declared.values() if name in ("", command.name)]
                found = [each[key] for each in known if key in each]
                assert found, f"{name}: there is no setting {key}"
                assert default in found, f"{name}: {key} is {found[0]} by default"


def defaults(config: str, command: Any) -> dict[str, str]:
    importlib.import_module(config.partition(":")[0])
    return {leaf.key: "" if leaf.default is None else str(leaf.default) for leaf in describe(settings_class(command))}


def test_what_a_job_has_is_documented() -> None:
    (table,) = [table for table in tables(ROOT / "docs/adding-a-workload.md") if table[0][0] == "of `job`"]
    first = {name for row in table[1:] for name in re.findall(r"`(\w+)`", row[0])}
    fields = {field.name for field in dataclasses.fields(Job)} | {name for name in vars(Job) if name in {"dataset", "publish"}}
    assert first == fields
    told = {name for row in table[1:] for name in re.findall(r"`(\w+)`", row[1])}
    reports = {name for name, value in vars(Report).items() if callable(value) and not name.startswith("_")} - {"point", "note_gaps"}
    assert told >= reports | {"save", "latest"}
    assert {"save", "latest"} <= set(vars(Checkpoints))


def test_the_parts_of_a_declaration_are_documented() -> None:
    (table,) = [table for table in tables(ROOT / "docs/adding-a-workload.md") if table[0][0] == "key"]
    named = {name for row in table[1:] for name in re.findall(r"`(\w+)`", row[0])}
    told = next(problem for problem in problems_of({"no such key": 1}) if "no such key" in problem)
    allowed = told.partition("allowed: ")[2].split(", ")
    assert len(allowed) > 8
    assert named >= set(allowed)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_has_its_page(name: str) -> None:
    text = (page.FOLDER / f"{name}.md").read_text()
    assert text.startswith(f"# {name}\n")
    assert f"`make bench/{name}` writes this page" in text
    assert f"[{name}]({name}.md)" in (page.FOLDER / "index.md").read_text()


def test_benchmarks_were_found() -> None:
    assert BENCHMARKS == ["clip", "cliport", "harness", "images", "registry", "server"]


def test_a_benchmark_replaces_the_part_that_it_has_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "FOLDER", tmp_path)
    parts = ("speed", "memory")
    page.write_page("toy", "About it.", {"memory": "much", "speed": "slow"}, parts, under="then")
    written = page.write_page("toy", "About it, anew.", {"speed": "fast"}, parts, under="now").read_text()
    assert written.startswith("# toy\n\nAbout it, anew.\n")
    assert re.findall(r"^## .+$", written, re.MULTILINE) == ["## speed", "## memory"]
    assert page.sections_of(written) == {"speed": "*now*\n\nfast", "memory": "*then*\n\nmuch"}


def test_a_page_says_commit_day_and_machine() -> None:
    assert re.fullmatch(r"Commit [0-9a-f]{12}.*, \d{4}-\d\d-\d\d; \d+ cores of .+", page.circumstances())


def test_spans_are_read() -> None:
    assert "key=value" in spans(README)
