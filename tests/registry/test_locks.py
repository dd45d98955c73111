"""Locks: they list every package of an environment, and change only on request."""

from __future__ import annotations

import importlib.metadata
import shutil
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from registry.environment import OWN, ROOT, Layer, build, image_names, layer_named, pins, site_packages
from registry.errors import BrokenEnvironmentError
from registry.locks import lock, on_our_machines

LAYERS = [*OWN, *image_names()]


def held(layer: Layer) -> set[tuple[str, str]]:
    """The packages in a layer's own folder with their versions, except pip, which installs them."""
    found = importlib.metadata.distributions(path=[str(site_packages(layer.folder))])
    return {(canonicalize_name(each.name), each.version) for each in found if each.name != "pip"}


@pytest.mark.parametrize("name", LAYERS)
def test_an_environment_contains_exactly_what_its_lock_lists(name: str) -> None:
    layer = build(layer_named(name))
    locked = [Requirement(line) for line in pins(layer.lock)]
    stated = {(canonicalize_name(pin.name), str(pin.specifier)[2:]) for pin in locked if pin.marker is None or pin.marker.evaluate()}
    assert stated
    assert {package for package, _ in held(layer) - stated} <= {"setuptools"}, "which comes with a virtual environment of Python 3.11"
    assert stated <= held(layer).union(*map(held, layer.below)), "pip leaves out what a layer below has in this version"


@pytest.mark.parametrize("name", LAYERS)
def test_a_lock_has_the_required_versions(name: str) -> None:
    layer = layer_named(name)
    with_those_below = [line for each in (layer, *layer.below) for line in pins(each.lock)]
    locked = {canonicalize_name(line.partition("==")[0]): line for line in reversed(with_those_below)}
    for line in pins(layer.requirements):
        assert locked[canonicalize_name(line.partition("==")[0])].endswith(f"=={line.partition('==')[2]}")


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("six==1.17.0", "six==1.17.0"),
        ("six==1.17.0 ; sys_platform == 'linux' and python_full_version < '3.15'", "six==1.17.0"),
        ("colorama==0.4.6 ; sys_platform == 'win32'", ""),
        ("typing-extensions==4.16.0 ; python_full_version < '3.13'", "typing-extensions==4.16.0 ; python_full_version < '3.13'"),
        ("hf-xet==1.8.0 ; platform_machine == 'x86_64'", "hf-xet==1.8.0 ; platform_machine == 'x86_64'"),
    ],
)
def test_a_lock_is_for_the_machines_that_images_run_on(line: str, kept: str) -> None:
    assert on_our_machines(line) == kept


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The folders of docker/ that every image needs, and an image of its own."""
    for name in ("harness", "torch"):
        shutil.copytree(ROOT / "docker" / name, tmp_path / "docker" / name)
    toolbox = tmp_path / "docker" / "toolbox"
    toolbox.mkdir()
    (toolbox / "Dockerfile").write_text("ARG BASE_IMAGE=nvcr.io/nvidia/pytorch:26.02-py3\n")
    (toolbox / "requirements.txt").write_text("# a toolbox\npython-dateutil==2.9.0\n")
    return tmp_path


def toolbox(clone: Path) -> Layer:
    return layer_named("toolbox", clone)


def test_indirect_dependencies_keep_their_versions_until_an_upgrade(clone: Path) -> None:
    layer = toolbox(clone)
    for below in ("harness", "torch"):
        (clone / "docker" / below / "requirements.lock").write_text("")
    layer.lock.write_text("six==1.16.0\n")
    assert lock(layer)
    assert pins(layer.lock) == ["python-dateutil==2.9.0", "six==1.16.0"]
    assert not lock(layer)
    assert lock(layer, upgrade=True)
    assert pins(layer.lock)[0] == "python-dateutil==2.9.0"
    assert pins(layer.lock)[1] > "six==1.16.0"


def test_packages_of_lower_layers_are_not_locked_again(clone: Path) -> None:
    layer = toolbox(clone)
    lock(layer)
    assert pins(layer.lock) == ["python-dateutil==2.9.0"], "six is the harness's"


def test_an_image_keeps_the_torch_of_its_base(clone: Path) -> None:
    (clone / "docker/toolbox/requirements.txt").write_text("torch==2.13.0\n")
    with pytest.raises(BrokenEnvironmentError, match=r"toolbox: its packages require torch==2\.13\.0, which differs from"):
        lock(toolbox(clone))
    assert not toolbox(clone).lock.exists()


def test_contradictory_requirements_are_an_error(clone: Path) -> None:
    (clone / "docker/toolbox/requirements.txt").write_text("six==1.17.0\nsix==1.16.0\n")
    with pytest.raises(BrokenEnvironmentError, match=r"(?s)toolbox.*cannot be locked.*six"):
        lock(toolbox(clone))


@pytest.mark.parametrize("changed", ["toolbox", "harness"])
def test_a_lock_older_than_its_requirements_is_not_installed(clone: Path, changed: str) -> None:
    lock(toolbox(clone))
    assert list(toolbox(clone).outdated()) == []
    with (clone / "docker" / changed / "requirements.txt").open("a") as file:
        file.write("# a comment changes nothing\n")
    assert list(toolbox(clone).outdated()) == []
    with (clone / "docker" / changed / "requirements.txt").open("a") as file:
        file.write("six==1.17.0\n")
    with pytest.raises(BrokenEnvironmentError, match=f"environment {changed}: .*is out of date: .*run: make lock"):
        build(toolbox(clone))


def test_a_missing_lock_is_an_error(clone: Path) -> None:
    with pytest.raises(BrokenEnvironmentError, match=r"environment toolbox: .*requirements\.lock is missing; run: make lock"):
        build(toolbox(clone))


def test_another_version_of_an_indirect_dependency_is_another_environment(clone: Path) -> None:
    lock(toolbox(clone))
    before = toolbox(clone).key
    harness = clone / "docker/harness/requirements.lock"
    harness.write_text(harness.read_text().replace("six==1.17.0", "six==1.16.0"))
    assert toolbox(clone).key != before
