"""Where a script comes from that becomes a workload: this clone, another repository at a commit, or a folder that is a clone of one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from harness.errors import RepositoryError
from harness.wrapped.checkout import checkout

from ..errors import UsageError
from ..git import git, run_git

URL = re.compile(r"(?P<url>(?:[\w+.-]+://|[\w.-]+@[\w.-]+:).+)@(?P<commit>[\w./-]+?)(?::(?P<path>[^:@]+\.py))?")
USUAL = ("train.py", "main.py", "tools/train.py", "src/train.py", "scripts/train.py")
"""Where training scripts are, if nobody says so."""
FORMS = "PATH of a script or a folder, or URL@COMMIT[:path/script.py]"


@dataclass(frozen=True)
class Origin:
    """A script and the repository that it is of."""

    home: Path
    """The folder of its repository, or, of a script of this clone, its own."""
    path: str
    """The script, relative to its repository, or to this clone."""
    repository: str = ""
    commit: str = ""
    notes: tuple[str, ...] = ()

    @property
    def file(self) -> Path:
        return self.home / (self.path if self.repository else Path(self.path).name)


def origin_of(source: str, root: Path) -> Origin:
    """The script that `--from` names.

    Raises:
        UsageError: with what is wrong, or cannot be reached.
    """
    if found := URL.fullmatch(source):
        return of_repository(found["url"], found["commit"], found["path"])
    if "://" in source:
        raise UsageError(f"--from {source}: name the commit as well: {source}@COMMIT[:path/script.py]")
    path = Path(source).resolve()
    if not path.exists():
        raise UsageError(f"--from {source}: there is no such file or folder; it must be {FORMS}")
    script = path if path.is_file() else path / script_in(path, source)
    if script.suffix != ".py":
        raise UsageError(f"--from {source}: must be a .py file")
    if script.is_relative_to(root.resolve()):
        return Origin(script.parent, script.relative_to(root.resolve()).as_posix())
    return of_clone(script, source)


def of_repository(url: str, named: str, path: str | None, notes: tuple[str, ...] = ()) -> Origin:
    """A script of another repository, which is brought into this machine's cache."""
    source = f"--from {url}@{named}"
    if re.search("://[^/@]*:[^/@]*@", url):
        raise UsageError("--from: the URL holds a password; leave it out, and let git's credential helper know it")
    try:
        commit = commit_of(url, named)
        home = checkout(url, commit)
    except RepositoryError as error:
        raise UsageError(f"{source}: {error}") from error
    path = path or script_in(home, source)
    if not (home / path).is_file():
        raise UsageError(f"{source}: there is no {path} at this commit")
    return Origin(home, path, url, commit, notes)


def commit_of(url: str, named: str) -> str:
    """The whole hash that a hash, a branch or a tag means.

    Raises:
        RepositoryError: there is none, or the repository does not answer.
    """
    if re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", named):
        return named
    done = run_git(Path(), "ls-remote", url)
    if done.returncode:
        raise RepositoryError(f"it cannot be reached: {(done.stderr.strip().splitlines() or ['no reason was given'])[-1]}")
    heads = [line.split("\t") for line in done.stdout.splitlines()]
    for name in (f"refs/tags/{named}^{{}}", f"refs/tags/{named}", f"refs/heads/{named}"):
        if found := [commit for commit, ref in heads if ref == name]:
            return found[0]
    short = {commit for commit, _ in heads if len(named) >= 7 and commit.startswith(named)}
    if len(short) == 1:
        return short.pop()
    raise RepositoryError(f"{named} is neither a branch nor a tag there; name a commit by its whole hash")


def of_clone(script: Path, source: str) -> Origin:
    """A script in a clone of another repository on this machine, at the commit that is checked out."""
    top, commit = git(script.parent, "rev-parse", "--show-toplevel"), git(script.parent, "rev-parse", "HEAD")
    if top is None or commit is None:
        raise UsageError(f"--from {source}: it is in no git repository; commit it to one, or copy it into this clone")
    path = script.relative_to(Path(top).resolve()).as_posix()
    if git(Path(top), "status", "--porcelain", "--", path):
        raise UsageError(f"--from {source}: {path} has changes that are not committed: git commit")
    url = git(Path(top), "remote", "get-url", "origin")
    note = () if url else (f"{top} has no remote, so only agents of this machine can run it",)
    return of_repository(url or Path(top).resolve().as_uri(), commit, path, note)


def script_in(folder: Path, source: str) -> str:
    """The training script of a folder: the one with a usual name, else the only one."""
    there = sorted(path.name for path in folder.glob("*.py"))
    found = next((name for name in USUAL if (folder / name).is_file()), there[0] if len(there) == 1 else "")
    if not found:
        raise UsageError(f"{source}: which script? {', '.join(there) or 'no .py file is at its top'}; name one: {FORMS}")
    return found
