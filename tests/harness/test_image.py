"""A run in the image of another environment is refused, and the message names both."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from harness.errors import ImageError
from harness.image import BAKED, BASE, check_image, environment


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    root = tmp_path / "clone"
    for name, text in (("clip/requirements.txt", "torch==2"), ("harness/requirements.lock", "clearml==2"), ("setup/debian.sh", "true")):
        (root / "docker" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "docker" / name).write_text(text)
    (root / "docker/clip/Dockerfile").write_text("ARG BASE_IMAGE=base:1\nFROM ${BASE_IMAGE}\n")
    return root


@pytest.fixture
def baked(clone: Path, tmp_path: Path) -> Path:
    """What the image has of the clone that it was built from."""
    return Path(shutil.copytree(clone, tmp_path / "workspace"))


INSIDE = {BAKED: "clip", BASE: "base:1"}


def test_a_run_in_the_image_of_its_commit_goes_on(clone: Path, baked: Path) -> None:
    check_image(clone, "clip", baked, INSIDE)


def test_outside_an_image_there_is_nothing_to_refuse(clone: Path, tmp_path: Path) -> None:
    check_image(clone, "clip", tmp_path / "nothing", {})


def test_a_change_of_the_code_is_no_change_of_the_environment(clone: Path, baked: Path) -> None:
    (clone / "src").mkdir()
    (clone / "src/train.py").write_text("new code")
    check_image(clone, "clip", baked, INSIDE)


def test_what_git_does_not_track_is_no_part_of_the_environment(clone: Path, baked: Path) -> None:
    """What an editor leaves beside a file, nor who may read it. In an image there is no git, and no such file."""
    subprocess.run(["git", "init", "--quiet", str(clone)], check=True)
    subprocess.run(["git", "-C", str(clone), "add", "."], check=True)
    (clone / "docker/clip/requirements.txt~").write_text("torch==1")
    (clone / "docker/clip/requirements.txt").chmod(0o600)
    check_image(clone, "clip", baked, INSIDE)
    subprocess.run(["git", "-C", str(clone), "add", "."], check=True)
    with pytest.raises(ImageError):
        check_image(clone, "clip", baked, INSIDE)


@pytest.mark.parametrize("changed", ["clip/Dockerfile", "clip/requirements.txt", "harness/requirements.lock", "setup/debian.sh"])
def test_another_environment_is_refused_naming_both(clone: Path, baked: Path, changed: str) -> None:
    with (clone / "docker" / changed).open("a") as file:
        file.write("\nmore")
    with pytest.raises(ImageError) as refused:
        check_image(clone, "clip", baked, INSIDE)
    for root in (clone, baked):
        assert f"clip:{environment(root, 'clip', 'base:1')}" in str(refused.value)
    assert "registry image build clip" in str(refused.value)


def test_the_image_of_another_workload_is_refused(clone: Path, baked: Path) -> None:
    shutil.copytree(clone / "docker/clip", clone / "docker/tabletop")
    with pytest.raises(ImageError, match=r"needs the environment tabletop:env-\w+, but its image is clip:env-"):
        check_image(clone, "tabletop", baked, INSIDE)


def test_an_image_on_another_base_serves_as_well(clone: Path, baked: Path) -> None:
    """The base is the site's affair: what counts is what stands on it."""
    check_image(clone, "clip", baked, INSIDE | {BASE: "mirror.example.org/base:1"})
