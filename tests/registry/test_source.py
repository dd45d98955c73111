"""What code a run takes: a commit that an agent can get, and a word about everything that it would not get."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from support.command_line import git

from registry import source


@pytest.fixture
def pushed(clone: Path, tmp_path: Path) -> Path:
    """The clone, with a remote that has its commit."""
    subprocess.run(["git", "init", "-q", "--bare", tmp_path / "remote.git"], check=True)
    git(clone, "remote", "add", "origin", str(tmp_path / "remote.git"))
    git(clone, "push", "-q", "-u", "origin", "main")
    return clone


def commit(root: Path, name: str) -> str:
    (root / name).write_text("new")
    git(root, "add", name)
    git(root, "commit", "-qm", name)
    return git(root, "rev-parse", "HEAD")


def test_an_embedded_server_takes_the_clone_itself_at_its_commit(clone: Path) -> None:
    found = source.read(clone, None, embedded=True)
    assert found == source.Source(clone.as_uri(), git(clone, "rev-parse", "HEAD"))
    assert "%20" in found.repository


def test_uncommitted_files_are_named(pushed: Path) -> None:
    (pushed / "a note").write_text("new")
    (pushed / "configs/toy/smoke.yaml").write_text("steps: 9")
    (embedded,) = source.read(pushed, None, embedded=True).warnings
    (remote,) = source.read(pushed, None, embedded=False).problems
    for message in (embedded, remote):
        assert "configs/toy/smoke.yaml" in message
        assert "a note" in message


def test_another_branch_is_taken_without_what_is_not_committed_here(clone: Path) -> None:
    git(clone, "switch", "-qc", "idea")
    wanted = commit(clone, "idea.txt")
    git(clone, "switch", "-q", "main")
    (clone / "half done").write_text("new")
    found = source.read(clone, "idea", embedded=True)
    assert (found.commit, found.problems, found.warnings) == (wanted, (), ())


def test_an_unknown_branch_is_refused_with_those_there_are(clone: Path) -> None:
    assert source.read(clone, "mian", embedded=True).problems == ("there is no branch 'mian'; there are: main",)


def test_a_commit_on_no_branch_cannot_be_cloned(clone: Path) -> None:
    git(clone, "switch", "-q", "--detach")
    commit(clone, "loose.txt")
    (problem,) = source.read(clone, None, embedded=True).problems
    assert "on no branch" in problem


def test_a_server_elsewhere_takes_the_remote(pushed: Path, tmp_path: Path) -> None:
    found = source.read(pushed, None, embedded=False)
    assert (found.repository, found.problems) == (str(tmp_path / "remote.git"), ())


def test_a_commit_that_is_not_pushed_is_refused(pushed: Path) -> None:
    latest = commit(pushed, "new.txt")
    (problem,) = source.read(pushed, None, embedded=False).problems
    assert latest[:10] in problem
    assert "git push" in problem
    assert source.read(pushed, None, embedded=True).problems == ()


def test_a_branch_is_the_remote_one_where_agents_fetch_from_it(pushed: Path) -> None:
    at_remote = git(pushed, "rev-parse", "HEAD")
    commit(pushed, "new.txt")
    assert source.read(pushed, "main", embedded=False).commit == at_remote


def test_no_remote_and_no_repository(clone: Path, tmp_path: Path) -> None:
    assert "no remote" in source.read(clone, None, embedded=False).problems[0]
    (tmp_path / "bare folder").mkdir()
    assert "not a git repository" in source.read(tmp_path / "bare folder", None, embedded=True).problems[0]


def test_without_a_server_the_remote_is_named_if_it_has_the_commit(pushed: Path, tmp_path: Path) -> None:
    assert source.read_for_nobody(pushed, None).repository == str(tmp_path / "remote.git")
    commit(pushed, "new.txt")
    assert source.read_for_nobody(pushed, None).repository == pushed.as_uri()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:secret@example.org/team/code.git", "https://example.org/team/code.git"),
        ("https://example.org:8443/code.git", "https://example.org:8443/code.git"),
        ("git@example.org:team/code.git", "git@example.org:team/code.git"),
        ("ssh://git@example.org/code.git", "ssh://git@example.org/code.git"),
    ],
)
def test_passwords_in_a_remote_never_reach_a_task(url: str, shown: str) -> None:
    assert source.without_password(url) == shown
