"""The wheel: what others install beside their own packages. Built and installed as pip does it, without a network."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from registry.environment import ROOT, build, layer_named, make_venv, pins, site_packages

SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg")
PACKAGES = SETUP["options"]["packages"].split()
LOCKED = ("docker/harness/requirements.txt", "requirements.txt")
TOP = {name for name in PACKAGES if "." not in name}


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built of the files that git knows, by the setuptools of the harness's environment."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in tracked():
        place = folder / "source" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes((ROOT / name).read_bytes())
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-index", "--no-deps", "--no-build-isolation", "-w", folder, folder / "source"]
    subprocess.run(pip, cwd=folder, check=True, capture_output=True, text=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel, on the layers that have what it needs."""
    folder, layer = tmp_path_factory.mktemp("environment") / "venv", layer_named("registry")
    make_venv(folder, [site_packages(each.folder) for each in (layer, *layer.below)], with_pip=False)
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin/python", "install", "-q", "--no-index", "--no-deps", wheel]
    subprocess.run(pip, cwd=folder, check=True, capture_output=True, text=True)
    return folder


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A research repository with a package called `registry`, as many have."""
    folder = tmp_path_factory.mktemp("research")
    (folder / "registry").mkdir()
    (folder / "registry/__init__.py").write_text("MODELS = {}\n")
    (folder / "train.py").write_text("from registry import MODELS\nprint(len(MODELS))\n")
    return folder


def run(*command: object, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "REGISTRY_ROOT"}} | variables
    return subprocess.run(list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True)


def test_it_holds_every_file_of_the_packages_and_nothing_else(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == {name.removeprefix("src/") for name in tracked() if name.startswith(("src/", "registry/"))}
    assert {f"{name}/py.typed" for name in TOP} <= names
    assert {Path(name).suffix for name in names} >= {".py", ".yaml", ".json", ".txt", ".html", ".js", ".css", ".svg", ".stl", ".urdf"}


def test_it_brings_no_other_names(wheel: Path) -> None:
    metadata = zipfile.ZipFile(wheel).read(next(name for name in zipfile.ZipFile(wheel).namelist() if name.endswith("top_level.txt")))
    assert set(metadata.decode().split()) == {*TOP, "clearml_workloads"}
    assert not TOP & {"training", "utils", "models", "data", "datasets", "config", "configs", "tests", "scripts", "tools"}


IMPORTED = "import importlib\nfor name in {names}:\n    assert {clone!r} not in importlib.import_module(name).__file__, name"


def test_its_packages_are_imported_without_the_clone(installed: Path, tmp_path: Path) -> None:
    done = run(installed / "bin/python", "-c", IMPORTED.format(names=sorted(TOP), clone=str(ROOT)), cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_so_are_those_that_need_the_packages_of_an_image(installed: Path, tmp_path: Path) -> None:
    """Slow: the environment of the image is built where it is not yet."""
    python = build(layer_named("cliport")).python
    lines = IMPORTED.format(names=sorted(PACKAGES), clone=str(ROOT))
    done = run(python, "-P", "-c", lines, cwd=tmp_path, PYTHONPATH=str(site_packages(installed)))
    assert done.returncode == 0, done.stderr


class TestTheCommand:
    def test_help(self, installed: Path, tmp_path: Path) -> None:
        done = run(installed / "bin/registry", "--help", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "enqueue" in done.stdout

    def test_it_is_about_a_clone_that_is_named(self, installed: Path, tmp_path: Path) -> None:
        done = run(installed / "bin/registry", "--root", ROOT, "list", "--json", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert '"tabletop"' in done.stdout

    def test_without_one_it_says_how_to_name_it(self, installed: Path, tmp_path: Path) -> None:
        done = run(installed / "bin/registry", "list", cwd=tmp_path)
        assert done.returncode == 1
        assert "--root or REGISTRY_ROOT" in done.stderr
        assert done.stderr.count("\n") == 1

    def test_a_repository_with_a_registry_of_its_own_does_not_get_in_its_way_nor_it_in_theirs(
        self, installed: Path, repository: Path
    ) -> None:
        done = run(installed / "bin/registry", "--root", ROOT, "list", cwd=repository, PYTHONPATH=str(repository))
        assert done.returncode == 0, done.stderr
        assert "tabletop" in done.stdout
        assert run(installed / "bin/python", "train.py", cwd=repository).stdout == "0\n"


def test_the_same_holds_for_the_command_of_a_clone(repository: Path) -> None:
    line = "from clearml_workloads import main; main()"
    done = run(
        sys.executable, "-c", line, "--root", ROOT, "list", cwd=repository, PYTHONPATH=os.pathsep.join([str(repository), str(ROOT / "src")])
    )
    assert done.returncode == 0, done.stderr
    assert "tabletop" in done.stdout


def test_a_workload_that_is_run_by_its_module_says_that_it_needs_a_clone(installed: Path, tmp_path: Path) -> None:
    done = run(installed / "bin/python", "-m", "cliport.demos", "n=1", cwd=tmp_path)
    assert done.returncode == 2
    assert "error: the workload cliport is declared in a clone" in done.stderr
    assert "python CLONE/clearml_tasks/cliport/clearml_train.py command=demos" in done.stderr


def ranges() -> Iterator[tuple[str, Requirement]]:
    for line in SETUP["options"]["install_requires"].split("\n"):
        if line.strip():
            found = Requirement(line)
            yield canonicalize_name(found.name), found


def test_it_states_a_range_around_each_version_that_is_tested() -> None:
    """The versions are those of the requirements.txt, which the locks and images are made from."""
    tested = dict(line.split("==") for file in LOCKED for line in pins(ROOT / file))
    stated = dict(ranges())
    assert stated.keys() == {canonicalize_name(name) for name in tested}
    for name, version in tested.items():
        specifier = stated[canonicalize_name(name)].specifier
        assert version in specifier, f"{name}=={version} is tested; setup.cfg says {specifier}"
        assert {each.operator for each in specifier} == {">=", "<"}, f"{name}: {specifier} is no range"


def test_the_version_is_the_changelog_s_last() -> None:
    headings = [line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("## ")]
    assert headings[0] == "## [Unreleased]"
    assert headings[1].startswith(f"## [{SETUP['metadata']['version']}] - ")
