"""The git remote that agents fetch from. It is asked what it has: tracking refs may be outdated, and tags may be local only."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from .git import git, run_git

ANSWERS_WITHIN = 15.0
"""Seconds to wait for the remote's answer."""
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|[^/]+:")
"""Matches an address that is valid on any machine, `https://` or `git@host:`; anything else is a local path."""


@dataclass(frozen=True)
class Remote:
    """A remote and its branches and tags."""

    root: Path
    name: str
    refs: Mapping[str, str]
    """The commit of each ref, by its full name: `refs/heads/main`."""
    silence: str = ""
    """Why the remote did not answer; `refs` is then its state at the last fetch."""

    @property
    def url(self) -> str:
        return without_password(git(self.root, "remote", "get-url", self.name) or "")

    @property
    def is_path(self) -> bool:
        return not ADDRESS.match(self.url)

    @property
    def branches(self) -> list[str]:
        return [ref.removeprefix("refs/heads/") for ref in self.refs if ref.startswith("refs/heads/")]

    def commit_of(self, branch: str) -> str | None:
        """The commit of a branch or a tag."""
        return self.refs.get(f"refs/heads/{branch}") or self.refs.get(f"refs/tags/{branch}")

    def has(self, commit: str) -> bool:
        """Whether a branch or a tag contains a commit. Branches that have moved since the last fetch are fetched to find out."""
        if self.contains(self.refs.values(), commit):
            return True
        held = (
            git(self.root, "for-each-ref", f"--contains={commit}", "--format=%(refname:strip=3)", f"refs/remotes/{self.name}") or ""
        ).split()
        later = [ref for ref in (f"refs/heads/{branch}" for branch in held) if ref in self.refs]
        if not later or self.silence:
            return False
        try:  # fetches only these commits; nothing else in this clone changes
            fetch = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--refmap=", self.name, *later)
            run_git(self.root, *fetch, within=ANSWERS_WITHIN)
        except subprocess.TimeoutExpired:
            return True  # the last fetch says so
        return self.contains((self.refs[ref] for ref in later), commit)

    def contains(self, tips: Iterable[str], commit: str) -> bool:
        """Whether `commit` is one of these commits, or an ancestor of one, as far as the clone has them."""
        listed = git(self.root, "cat-file", "--batch-check=%(objectname)", given="\n".join(tips)) or ""
        known = [line for line in listed.splitlines() if not line.endswith("missing")]
        return (
            bool(known)
            and git(self.root, "rev-list", "--max-count=1", "--stdin", given="\n".join([commit, *(f"^{tip}" for tip in known)])) == ""
        )


def ask(root: Path, name: str) -> Remote:
    """A remote with its branches and tags, as it reports them."""
    try:
        done = run_git(root, "ls-remote", "--heads", "--tags", name, within=ANSWERS_WITHIN)
        why = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
    except subprocess.TimeoutExpired:
        done, why = None, f"no answer within {ANSWERS_WITHIN:.0f} s"
    if done is None or done.returncode:
        return Remote(root, name, refs_of_last_fetch(root, name), silence=why)
    refs: dict[str, str] = {}
    for line in done.stdout.splitlines():
        commit, _, ref = line.partition("\t")
        refs[ref.removesuffix("^{}")] = commit  # an annotated tag's commit follows the tag itself
    return Remote(root, name, refs)


def refs_of_last_fetch(root: Path, name: str) -> dict[str, str]:
    lines = git(root, "for-each-ref", "--format=%(objectname) %(refname:strip=3)", f"refs/remotes/{name}") or ""
    return {f"refs/heads/{branch}": commit for commit, _, branch in (line.partition(" ") for line in lines.splitlines())}


def remote_of(root: Path) -> str | None:
    """The remote of the branch that is checked out, or else origin, or else the only remote."""
    remotes = (git(root, "remote") or "").split()
    branch = git(root, "symbolic-ref", "--quiet", "--short", "HEAD")
    upstream = git(root, "config", f"branch.{branch}.remote") if branch else None
    for name in (upstream, "origin"):
        if name in remotes:
            return name
    return remotes[0] if len(remotes) == 1 else None


def without_password(url: str) -> str:
    """A remote's address without a user name and password: many people can read a task."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"}:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
