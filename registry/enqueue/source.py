"""The code of a run: a repository that an agent can clone, and a commit in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import NotACloneError
from ..findings import few
from ..git import git, repository_of, run_git
from ..remote import Remote, ask, remote_of

if TYPE_CHECKING:
    from ..backends import Server


@dataclass(frozen=True)
class Source:
    """The repository that an agent clones: with the embedded server, the local clone; with any other, its remote."""

    repository: str
    commit: str
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def read(root: Path, branch: str | None, commit: str | None = None, *, embedded: bool) -> Source:
    """The source of a run from the clone at `root`: at `commit`, at `branch`, or else at the commit that is checked out."""
    try:
        return read_clone(root, branch, commit, embedded=embedded)
    except NotACloneError as error:
        return Source("", "", problems=(str(error),))


def read_for(server: Server | None, root: Path, branch: str | None, commit: str | None = None) -> Source:
    """The source of a run for a server. Without a server: the remote if it has the commit, or else the local clone."""
    if server:
        return read(root, branch, commit, embedded=server.embedded)
    remote = read(root, branch, commit, embedded=False)
    return read(root, branch, commit, embedded=True) if remote.problems else remote


def read_clone(root: Path, branch: str | None, given: str | None, *, embedded: bool) -> Source:
    top = git(root, "rev-parse", "--show-toplevel")
    if top is None:
        why = run_git(root, "rev-parse", "--show-toplevel").stderr.strip().splitlines()[:1]
        raise NotACloneError(f"{root} is not usable as a git clone, which agents need: {' '.join(why)}")
    if Path(top).resolve() != root.resolve():
        raise NotACloneError(f"{root} is a folder within the repository {top}; agents need it to be a repository of its own")
    remote = None
    if not embedded and (name := remote_of(root)):
        remote = ask(root, name)
    if given and git(root, "cat-file", "-e", f"{given}^{{commit}}") is None:
        return Source(
            "",
            given,
            problems=(f"commit {given[:10]} is not in this clone; run git fetch, or add --head to run the commit that is checked out",),
        )
    commit = given or commit_of(root, branch, remote)
    problems = problems_of(root, commit, branch, remote, embedded)
    warnings = warnings_of(remote, commit) if remote and not problems else []
    if files := uncommitted(root) if commit == git(root, "rev-parse", "HEAD") else []:
        if embedded:
            warnings.append(f"uncommitted changes are not part of the run: {few(files)}")
        else:
            problems.append(f"uncommitted changes, which agents cannot run: {few(files)}; commit and push them")
    return Source(remote.url if remote else file_url(root) if embedded else "", commit or "", tuple(problems), tuple(warnings))


def problems_of(root: Path, commit: str | None, branch: str | None, remote: Remote | None, embedded: bool) -> list[str]:
    if commit is None:
        return [missing(root, branch, remote)] if branch else ["the clone has no commit yet; run: git commit"]
    if not embedded:
        return problems_of_remote(remote, commit, branch)
    if git(root, "for-each-ref", "--count=1", f"--contains={commit}", "refs/heads", "refs/tags"):
        return []
    return [f"commit {commit[:10]} is on no branch, so agents cannot clone it; run: git switch -c NAME"]


def problems_of_remote(remote: Remote | None, commit: str, branch: str | None) -> list[str]:
    if remote is None:
        return ["the clone has no remote that agents could fetch from; run: git remote add origin URL && git push -u origin HEAD"]
    if remote.is_path:
        where = f"remote {remote.name} is the local path {remote.url}, which agents on other machines cannot reach"
        return [f"{where}; run: git remote set-url {remote.name} URL"]
    if branch or remote.has(commit):
        return []
    return [f"commit {commit[:10]} is not pushed to {remote.name}, so agents cannot fetch it; run: git push"]


def missing(root: Path, branch: str, remote: Remote | None) -> str:
    """The message for a branch that agents cannot fetch."""
    here = commit_of(root, branch, None)
    if remote and here:
        return f"{branch!r} is not pushed to {remote.name}, so agents cannot fetch it; run: git push {remote.name} {branch}"
    local = (git(root, "for-each-ref", "--format=%(refname:short)", "refs/heads") or "").split()
    known = remote.branches if remote else local
    from harness.settings import nearest  # slow to import, and rarely needed

    return f"there is no branch {branch!r}{nearest(branch, known)}; available: {', '.join(known) or 'none'}"


def warnings_of(remote: Remote, commit: str | None) -> list[str]:
    if not remote.silence or commit is None:
        return []
    return [f"remote {remote.name} could not be asked for commit {commit[:10]}, which it had at the last fetch: {remote.silence}"]


def commit_of(root: Path, branch: str | None, remote: Remote | None) -> str | None:
    """The commit of a branch: in the remote, if agents fetch from it, or else in the clone."""
    if branch is None:
        return git(root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if remote:
        return remote.commit_of(branch)
    found = (git(root, "rev-parse", "--verify", "--quiet", f"{place}/{branch}^{{commit}}") for place in ("refs/heads", "refs/tags"))
    return next((commit for commit in found if commit), None)


def file_url(root: Path) -> str:
    """The URL of a local clone: given a plain path, clearml-task would look for its remote."""
    return repository_of(root).as_uri()


def uncommitted(root: Path) -> list[str]:
    """Files that differ from the commit, including new ones."""
    lines = (git(root, "status", "--porcelain", "--untracked-files=all", strip=False) or "").splitlines()
    return [line[3:] for line in lines]
