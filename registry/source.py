"""The code of a run: a repository that an agent can clone, and a commit in it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

SHOWN = 8  # uncommitted files named in a message


@dataclass(frozen=True)
class Source:
    """What an agent clones. An embedded server's agent clones the local clone itself, any other one its remote."""

    repository: str
    commit: str
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def read(root: Path, branch: str | None, *, embedded: bool) -> Source:
    """The source of a run from the clone at `root`, at `branch` or else at what is checked out."""
    try:
        return read_clone(root, branch, embedded=embedded)
    except NotACloneError as error:
        return Source("", "", problems=(str(error),))


def read_for_nobody(root: Path, branch: str | None) -> Source:
    """The source where it is not known which server will get the run: the remote if it has the commit, else the clone itself."""
    remote = read(root, branch, embedded=False)
    return read(root, branch, embedded=True) if remote.problems else remote


def read_clone(root: Path, branch: str | None, *, embedded: bool) -> Source:
    top = git(root, "rev-parse", "--show-toplevel")
    if top is None:
        why = run_git(root, "rev-parse", "--show-toplevel").stderr.strip().splitlines()[:1]
        raise NotACloneError(f"{root} cannot be used as a git clone, and an agent needs a commit of one: {' '.join(why)}")
    if Path(top).resolve() != root.resolve():
        raise NotACloneError(f"{root} is a folder of the repository {top}; an agent needs a repository of its own")
    remote = None if embedded else remote_of(root)
    commit = commit_of(root, branch, remote)
    problems = list(problems_of(root, commit, branch, remote, embedded))
    warnings = []
    if files := uncommitted(root) if commit == git(root, "rev-parse", "HEAD") else []:
        named = ", ".join(files[:SHOWN]) + (f" and {len(files) - SHOWN} more" if len(files) > SHOWN else "")
        if embedded:
            warnings.append(f"not committed, so not part of the run: {named}")
        else:
            problems.append(f"not committed, so no agent can run it: {named}; commit and push")
    return Source(file_url(root) if embedded else url_of(root, remote), commit or "", tuple(problems), tuple(warnings))


class NotACloneError(Exception):
    """The folder is not a repository that could be cloned."""


def problems_of(root: Path, commit: str | None, branch: str | None, remote: str | None, embedded: bool) -> list[str]:
    if commit is None:
        branches = (git(root, "for-each-ref", "--format=%(refname:short)", "refs/heads") or "none").split()
        return [f"there is no branch {branch!r}; there are: {', '.join(branches)}" if branch else "nothing is committed yet: git commit"]
    if embedded:
        if git(root, "for-each-ref", "--count=1", f"--contains={commit}", "refs/heads", "refs/tags"):
            return []
        return [f"commit {commit[:10]} is on no branch, so it cannot be cloned: git switch -c NAME"]
    if remote is None:
        return ["the clone has no remote, so no agent can fetch it: git remote add origin URL && git push -u origin HEAD"]
    if git(root, "for-each-ref", "--count=1", f"--contains={commit}", f"refs/remotes/{remote}", "refs/tags"):
        return []
    return [f"commit {commit[:10]} is not pushed to {remote}, so no agent can fetch it: git push"]


def commit_of(root: Path, branch: str | None, remote: str | None) -> str | None:
    """The commit of a branch: the remote's where agents fetch from it, else the local one."""
    if branch is None:
        return git(root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    places = [f"refs/remotes/{remote}/{branch}", f"refs/tags/{branch}"] if remote else [f"refs/heads/{branch}", f"refs/tags/{branch}"]
    found = (git(root, "rev-parse", "--verify", "--quiet", f"{place}^{{commit}}") for place in places)
    return next((commit for commit in found if commit), None)


def remote_of(root: Path) -> str | None:
    """The remote of the branch that is checked out, else origin, else the only one."""
    remotes = (git(root, "remote") or "").split()
    branch = git(root, "symbolic-ref", "--quiet", "--short", "HEAD")
    upstream = git(root, "config", f"branch.{branch}.remote") if branch else None
    for name in (upstream, "origin"):
        if name in remotes:
            return name
    return remotes[0] if len(remotes) == 1 else None


def url_of(root: Path, remote: str | None) -> str:
    return without_password(git(root, "remote", "get-url", remote) or "") if remote else ""


def without_password(url: str) -> str:
    """A remote's address without the name and password that it may hold: a task is read by many."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"}:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def file_url(root: Path) -> str:
    """A local clone as a URL: given a plain path, clearml-task would look for a remote in it."""
    return root.resolve().as_uri()


def uncommitted(root: Path) -> list[str]:
    """Files that differ from the commit, new ones included."""
    lines = (git(root, "status", "--porcelain", "--untracked-files=all", strip=False) or "").splitlines()
    return [line[3:] for line in lines]


def git(root: Path, *arguments: str, strip: bool = True) -> str | None:
    """What git prints, or None when it fails."""
    done = run_git(root, *arguments)
    if done.returncode:
        return None
    return done.stdout.strip() if strip else done.stdout


def run_git(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise NotACloneError("git is not installed: apt-get install git") from error
