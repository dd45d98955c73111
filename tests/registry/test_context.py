"""The files that an image is built from, and the commit that it is labelled with."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from pathlib import Path

import pytest
from support.command_line import git

from registry.environment import ROOT, image_names
from registry.images.context import Context

DOCKERFILE = """\
ARG BASE_IMAGE=base:1
FROM ${BASE_IMAGE}
COPY docker/setup/debian.sh docker/harness/packages.txt \\
     /setup/
COPY --chown=0:0 docker/clip docker/clip
COPY src src
COPY --from=other /elsewhere /here
"""
FILES = {
    "docker/clip/Dockerfile": DOCKERFILE,
    "docker/clip/requirements.txt": "torch==2\n",
    "docker/clip/.hidden": "",
    "docker/other/Dockerfile": "FROM scratch\n",
    "docker/setup/debian.sh": "true\n",
    "docker/harness/packages.txt": "git\n",
    "src/train.py": "print(1)\n",
    "registry/cli.py": "",
}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet")
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "docker/setup/debian.sh").chmod(0o755)
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "all")
    return tmp_path


def context(root: Path) -> Context:
    return Context(root, root / "docker/clip/Dockerfile")


def archive(root: Path) -> bytes:
    file = io.BytesIO()
    context(root).write(file)
    return file.getvalue()


def members(root: Path) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(archive(root))) as opened:
        return {each.name: each for each in opened}


def test_it_contains_what_the_dockerfile_copies(clone: Path) -> None:
    expected = set(FILES) - {"docker/other/Dockerfile", "registry/cli.py", "docker/clip/.hidden"}
    assert members(clone).keys() == expected


def test_untracked_files_are_left_out_with_a_warning(clone: Path) -> None:
    before = archive(clone)
    (clone / "docker/clip/requirements.txt~").write_text("torch==1\n")
    assert archive(clone) == before
    assert context(clone).notes() == ["git does not track these files, so the image does not contain them: docker/clip/requirements.txt~"]


def test_files_are_readable_for_everybody_whatever_the_umask(clone: Path) -> None:
    before = archive(clone)
    for name in FILES:
        (clone / name).chmod((clone / name).stat().st_mode & 0o700)
    assert archive(clone) == before
    assert {each.mode for each in members(clone).values()} == {0o644, 0o755}
    assert members(clone)["docker/setup/debian.sh"].mode == 0o755


def test_the_image_of_a_clean_clone_names_its_commit(clone: Path) -> None:
    for name in ("registry/cli.py", "docker/other/Dockerfile"):
        (clone / name).write_text("# reaches no image of clip\n")
    assert context(clone).commit == git(clone, "rev-parse", "HEAD")
    assert context(clone).notes() == []


@pytest.mark.parametrize(
    ("name", "gone"), [("src/train.py", False), ("src/train.py", True), ("docker/setup/debian.sh", True), ("docker/clip/Dockerfile", False)]
)
def test_an_image_of_uncommitted_files_names_no_commit(clone: Path, name: str, gone: bool) -> None:
    (clone / name).unlink() if gone else (clone / name).write_text(FILES[name] + "# more\n")
    assert context(clone).commit is None
    assert context(clone).notes() == [f"the image is not labelled with a commit, because these files are uncommitted: {name}"]


def test_a_new_file_is_included_once_git_tracks_it(clone: Path) -> None:
    (clone / "src/new.py").write_text("")
    assert "src/new.py" not in members(clone)
    git(clone, "add", "src/new.py")
    assert "src/new.py" in members(clone)
    assert context(clone).commit is None


def test_an_untracked_image_folder_is_an_error(clone: Path) -> None:
    assert context(clone).problem() is None
    git(clone, "rm", "--quiet", "--cached", "-r", "docker/clip")
    assert context(clone).problem() == "docker/clip/Dockerfile: images are built from files that git tracks; run: git add docker/clip"
    shutil.rmtree(clone / ".git")
    assert "not a git repository" in str(context(clone).problem())


@pytest.mark.parametrize("image", image_names())
def test_everything_that_the_dockerfiles_copy_exists(image: str) -> None:
    here = Context(ROOT, ROOT / "docker" / image / "Dockerfile")
    for source in here.sources:
        assert any(name == source or name.startswith(f"{source}/") for name in here.files), source
    assert "src/harness/image.py" in here.files
    assert not any(os.path.basename(name).startswith(".") for name in here.files)
