"""The source of a run: a commit that agents can fetch, and messages about everything that they could not."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest
from support.command_line import git

from registry import remote
from registry.enqueue import source


@pytest.fixture
def pushed(clone: Path, tmp_path: Path) -> Path:
    """The clone, with a remote that has its commit."""
    subprocess.run(["git", "init", "-q", "--bare", tmp_path / "remote.git"], check=True)
    git(clone, "remote", "add", "origin", url(tmp_path))
    git(clone, "push", "-q", "-u", "origin", "main")
    return clone


def url(tmp_path: Path) -> str:
    return (tmp_path / "remote.git").as_uri()


def commit(root: Path, name: str) -> str:
    (root / name).write_text("new")
    git(root, "add", name)
    git(root, "commit", "-qm", name)
    return git(root, "rev-parse", "HEAD")


def test_the_embedded_server_uses_the_local_clone_at_its_commit(clone: Path) -> None:
    found = source.read(clone, None, embedded=True)
    assert found == source.Source(clone.as_uri(), git(clone, "rev-parse", "HEAD"))
    assert "%20" in found.repository


@pytest.fixture(params=["in a clone", "of a bare repository"])
def worktree(request: pytest.FixtureRequest, clone: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A worktree on a branch of its own, and the repository with its history."""
    holder = clone
    if request.param == "of a bare repository":
        holder = tmp_path / "bare"
        git(tmp_path, "clone", "-q", "--bare", str(clone), str(holder))
    git(holder, "worktree", "add", "-q", "-b", "idea", str(tmp_path / "worktree"))
    return tmp_path / "worktree", holder


def test_for_a_worktree_its_main_repository_is_used(worktree: tuple[Path, Path], tmp_path: Path) -> None:
    """The worktree may be gone before an agent clones."""
    tree, holder = worktree
    latest = commit(tree, "idea.txt")
    (tree / "half-done").write_text("new")
    found = source.read(tree, None, embedded=True)
    assert (found.repository, found.commit, found.problems) == (holder.as_uri(), latest, ())
    assert found.warnings == ("uncommitted changes are not part of the run: half-done",)
    git(holder, "worktree", "remove", "--force", str(tree))
    git(tmp_path, "clone", "-q", found.repository, "cloned")
    git(tmp_path / "cloned", "checkout", "-q", found.commit)
    assert (tmp_path / "cloned/idea.txt").exists()


def test_uncommitted_files_are_named(pushed: Path) -> None:
    (pushed / "a note").write_text("new")
    (pushed / "configs/toy/smoke.yaml").write_text("steps: 9")
    (embedded,) = source.read(pushed, None, embedded=True).warnings
    (remote,) = source.read(pushed, None, embedded=False).problems
    for message in (embedded, remote):
        assert "configs/toy/smoke.yaml" in message
        assert "a note" in message


def test_another_branch_ignores_uncommitted_files(clone: Path) -> None:
    git(clone, "switch", "-qc", "idea")
    wanted = commit(clone, "idea.txt")
    git(clone, "switch", "-q", "main")
    (clone / "half done").write_text("new")
    found = source.read(clone, "idea", embedded=True)
    assert (found.commit, found.problems, found.warnings) == (wanted, (), ())


def test_the_error_for_an_unknown_branch_lists_the_branches(clone: Path) -> None:
    assert source.read(clone, "mian", embedded=True).problems == ("there is no branch 'mian' (did you mean main?); available: main",)


def test_a_commit_on_no_branch_cannot_be_cloned(clone: Path) -> None:
    git(clone, "switch", "-q", "--detach")
    commit(clone, "loose.txt")
    loose = git(clone, "rev-parse", "HEAD")[:10]
    told = f"commit {loose} is on no branch, so agents cannot clone it; run: git switch -c NAME"
    assert source.read(clone, None, embedded=True).problems == (told,)


def test_another_server_uses_the_remote(pushed: Path, tmp_path: Path) -> None:
    found = source.read(pushed, None, embedded=False)
    assert (found.repository, found.problems) == (url(tmp_path), ())


def test_a_commit_that_is_not_pushed_is_refused(pushed: Path) -> None:
    latest = commit(pushed, "new.txt")
    told = f"commit {latest[:10]} is not pushed to origin, so agents cannot fetch it; run: git push"
    assert source.read(pushed, None, embedded=False).problems == (told,)
    assert source.read(pushed, None, embedded=True).problems == ()


def test_a_branch_is_read_from_the_remote_if_agents_fetch_from_it(pushed: Path) -> None:
    at_remote = git(pushed, "rev-parse", "HEAD")
    commit(pushed, "new.txt")
    assert source.read(pushed, "main", embedded=False).commit == at_remote


class TestRemote:
    """Its current state counts, not what this clone knows of it."""

    def problems(self, clone: Path, branch: str | None = None) -> tuple[str, ...]:
        return source.read(clone, branch, embedded=False).problems

    def test_a_local_tag_does_not_make_a_commit_pushed(self, pushed: Path) -> None:
        latest = commit(pushed, "new.txt")[:10]
        git(pushed, "tag", "v1")
        assert self.problems(pushed) == (f"commit {latest} is not pushed to origin, so agents cannot fetch it; run: git push",)
        assert self.problems(pushed, "v1") == ("'v1' is not pushed to origin, so agents cannot fetch it; run: git push origin v1",)
        git(pushed, "push", "-q", "origin", "v1")
        assert (self.problems(pushed), self.problems(pushed, "v1")) == ((), ())

    def test_an_annotated_tag_stands_for_its_commit(self, pushed: Path) -> None:
        latest = commit(pushed, "new.txt")
        git(pushed, "tag", "-a", "-m", "first", "v1")
        git(pushed, "push", "-q", "origin", "v1")
        assert source.read(pushed, "v1", embedded=False).commit == latest

    def test_a_stale_tracking_ref_does_not_make_a_commit_pushed(self, pushed: Path, tmp_path: Path) -> None:
        old = git(pushed, "rev-parse", "HEAD")
        latest = commit(pushed, "new.txt")
        git(pushed, "push", "-q")
        git(tmp_path / "remote.git", "update-ref", "refs/heads/main", old)  # as another one's forced push leaves it
        assert git(pushed, "rev-parse", "origin/main") == latest
        assert self.problems(pushed) == (f"commit {latest[:10]} is not pushed to origin, so agents cannot fetch it; run: git push",)

    def test_a_branch_that_has_moved_still_contains_the_commit(self, pushed: Path, tmp_path: Path) -> None:
        git(tmp_path, "clone", "-q", "-b", "main", url(tmp_path), "other")
        commit(tmp_path / "other", "theirs.txt")
        git(tmp_path / "other", "push", "-q", "origin", "HEAD:main")
        before = git(pushed, "for-each-ref")
        assert self.problems(pushed) == ()
        assert git(pushed, "for-each-ref") == before
        theirs = git(tmp_path / "other", "rev-parse", "HEAD")
        found = source.read(pushed, "main", embedded=False)
        assert (found.commit, found.problems) == (theirs, ())

    def test_a_local_branch_is_not_pushed(self, pushed: Path) -> None:
        git(pushed, "branch", "feat")
        assert self.problems(pushed, "feat") == ("'feat' is not pushed to origin, so agents cannot fetch it; run: git push origin feat",)
        assert self.problems(pushed, "faet") == ("there is no branch 'faet'; available: main",)

    @pytest.mark.parametrize("listens", [True, False])
    def test_a_remote_that_does_not_answer_is_a_warning(self, pushed: Path, monkeypatch: pytest.MonkeyPatch, listens: bool) -> None:
        monkeypatch.setattr("registry.remote.ANSWERS_WITHIN", 1.0)
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            if listens:
                held.listen()
            git(pushed, "remote", "set-url", "origin", f"git://127.0.0.1:{held.getsockname()[1]}/code.git")
            found = source.read(pushed, None, embedded=False)
            here = git(pushed, "rev-parse", "HEAD")[:10]
            (warning,) = found.warnings
            why = "no answer within 1 s" if listens else "fatal: unable to connect to 127.0.0.1"
            assert warning.startswith(f"remote origin could not be asked for commit {here}, which it had at the last fetch: {why}")
            assert found.problems == ()
            commit(pushed, "new.txt")
            git(pushed, "tag", "v1")
            assert "is not pushed to origin" in self.problems(pushed)[0]

    @pytest.mark.parametrize("path", ["../remote.git", "{}/remote.git"])
    def test_a_local_path_is_not_a_remote_for_other_machines(self, pushed: Path, tmp_path: Path, path: str) -> None:
        git(pushed, "remote", "set-url", "origin", path.format(tmp_path))
        (problem,) = self.problems(pushed)
        where = f"remote origin is the local path {path.format(tmp_path)}, which agents on other machines cannot reach"
        assert problem == f"{where}; run: git remote set-url origin URL"
        assert source.read(pushed, None, embedded=True) == source.Source(pushed.as_uri(), git(pushed, "rev-parse", "HEAD"))
        assert source.read_for(None, pushed, None).repository == pushed.as_uri()


def test_no_remote_and_no_repository(clone: Path, tmp_path: Path) -> None:
    assert "no remote" in source.read(clone, None, embedded=False).problems[0]
    (tmp_path / "bare folder").mkdir()
    assert "not a git repository" in source.read(tmp_path / "bare folder", None, embedded=True).problems[0]


def test_without_a_server_the_remote_is_named_if_it_has_the_commit(pushed: Path, tmp_path: Path) -> None:
    assert source.read_for(None, pushed, None).repository == url(tmp_path)
    commit(pushed, "new.txt")
    assert source.read_for(None, pushed, None).repository == pushed.as_uri()


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
    assert remote.without_password(url) == shown
