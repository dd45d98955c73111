"""The project as a whole: it installs, its README is true, its lists do not drift from its folders."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from registry.cli import cli
from registry.environment import OWN, ROOT, image_names, layer_named

README = (ROOT / "README.md").read_text()


def test_every_package_is_installed() -> None:
    stated = configparser.ConfigParser()
    stated.read(ROOT / "setup.cfg")
    packages = set(stated["options"]["packages"].split())
    folders = {path.parent.relative_to(ROOT / "src").as_posix().replace("/", ".") for path in (ROOT / "src").rglob("__init__.py")}
    assert packages == {"registry", *folders}


@pytest.mark.slow
def test_pip_install_from_another_folder(tmp_path: Path) -> None:
    """Slow: pip fetches the build tool. The command and every file of the packages, of whatever kind, must arrive."""
    copy = tmp_path / "copy"  # pip leaves a build folder in the source
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    target = tmp_path / "installed"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", target, copy], cwd=tmp_path, check=True, capture_output=True
    )
    assert (target / "bin" / "registry").exists()
    shipped = {
        name.removeprefix("src/") for name in listed.split("\0") if name.startswith(("src/", "registry/")) and (ROOT / name).is_file()
    }
    assert {Path(name).suffix for name in shipped} >= {".py", ".yaml", ".json", ".txt", ".html", ".js", ".css", ".svg", ".stl", ".urdf"}
    assert shipped - {path.relative_to(target).as_posix() for path in target.rglob("*")} == set()


def commands(group: click.Group, prefix: str = "registry") -> list[tuple[str, click.Command]]:
    found = []
    for name, command in group.commands.items():
        full = f"{prefix} {name}"
        found += commands(command, full) if isinstance(command, click.Group) else [(full, command)]
    return found


def table_of_commands() -> set[str]:
    """The commands in the README's table, where one row has several of a group: `registry dataset create\\|list`."""
    spans = re.findall(r"`registry ((?:\\\||[^`])*)`", "\n".join(line for line in README.splitlines() if line.startswith("| `registry ")))
    words = [span.replace("\\|", "|").split() for span in spans]
    return {f"registry {first}" for first, *_ in words} | {
        f"registry {first} {last}" for first, *rest in words for last in (rest[0].split("|") if rest else [])
    }


@pytest.mark.parametrize(("name", "command"), commands(cli))
def test_every_command_is_documented_and_helps(name: str, command: click.Command) -> None:
    assert name in table_of_commands()
    assert command.help
    assert all(option.help for option in command.params if isinstance(option, click.Option))


def test_every_workload_is_in_the_readme() -> None:
    for path in (ROOT / "clearml_tasks").glob("*/workload.yaml"):
        assert f"[{path.parent.name}](clearml_tasks/{path.parent.name})" in README


def test_the_links_of_the_documents_lead_somewhere() -> None:
    for document in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))):
        for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / document).read_text()):
            assert target.startswith("https://") or (ROOT / document).parent.joinpath(target).exists(), f"{document}: {target}"


def test_promises_are_shown_by_tests_that_exist() -> None:
    rows = [line for line in (ROOT / "docs/guarantees.md").read_text().splitlines() if line.startswith("| ") and "shown by" not in line]
    for row in rows:
        shown = re.findall(r"(tests/[\w/]+\.py)::(\w+)", row)
        assert shown, row
        for file, name in shown:
            assert re.search(rf"^ *(def|class) {name}\b", (ROOT / file).read_text(), re.MULTILINE), f"{file}::{name}"
    assert len(rows) > 20


def test_make_targets_of_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"\bmake ([a-z-]+)", README)):
        assert re.search(rf"^\.?{target}[/:]", makefile, re.MULTILINE), target


@pytest.mark.parametrize("name", [*OWN, *image_names()])
def test_every_requirement_is_pinned_and_pins_agree(name: str) -> None:
    layer = layer_named(name)
    pins: dict[str, str] = {}
    for file in [layer.requirements, *(below.requirements for below in layer.below)]:
        for line in file.read_text().splitlines():
            if line.strip() and not line.startswith("#"):
                package, sign, version = line.partition("==")
                assert sign, f"{file}: {line}"
                assert pins.setdefault(package.lower(), version) == version, f"{package} is pinned twice, to different versions"
