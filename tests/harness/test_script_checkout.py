"""Another repository's code in the cache: once per machine, whole or not at all."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.command_line import git
from support.wrapped import commit_all

from harness.errors import RepositoryError
from harness.wrapped import checkout as checkouts
from harness.wrapped.checkout import checkout


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "repository"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    (root / "train.py").write_text("first")
    commit_all(root)
    return root


def test_each_commit_has_a_folder_of_its_own(repository: Path) -> None:
    first = git(repository, "rev-parse", "HEAD")
    (repository / "train.py").write_text("second")
    second = commit_all(repository)
    found = [checkout(repository.as_uri(), commit) for commit in (first, second)]
    assert [(folder / "train.py").read_text() for folder in found] == ["first", "second"]


def test_several_at_once_fetch_it_once(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit, fetched, fetch = git(repository, "rev-parse", "HEAD"), [], checkouts.fetch
    monkeypatch.setattr(checkouts, "fetch", lambda *given: (fetched.append(given), fetch(*given)))
    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(lambda _: checkout(repository.as_uri(), commit), range(4)))
    assert (len(folders), len(fetched)) == (1, 1)


def test_what_somebody_changed_in_it_is_fetched_again(repository: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    folder = checkout(repository.as_uri(), commit)
    (folder / "train.py").write_text("changed")
    (folder / "__pycache__").mkdir()  # what a run leaves does not count
    assert (checkout(repository.as_uri(), commit) / "train.py").read_text() == "first"


def test_submodules_come_with_it(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")  # git takes no submodule from a local folder of itself
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "protocol.file.allow")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "always")
    git(tmp_path, "init", "-q", "outer")
    git(tmp_path / "outer", "submodule", "add", "-q", repository.as_uri(), "inner")
    folder = checkout((tmp_path / "outer").as_uri(), commit_all(tmp_path / "outer"))
    assert (folder / "inner/train.py").read_text() == "first"


def test_what_cannot_be_had_leaves_nothing(repository: Path, tmp_path: Path) -> None:
    for url, told in ((repository.as_uri(), f"has no commit {'a' * 12}"), ((tmp_path / "gone").as_uri(), "cannot be cloned")):
        with pytest.raises(RepositoryError, match=told):
            checkout(url, "a" * 40)
    assert [path for path in (tmp_path / "cache/repositories").iterdir() if path.is_dir()] == []
