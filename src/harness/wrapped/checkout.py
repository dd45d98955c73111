"""Another repository's code: cloned once per machine into the cache, at one commit, whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from filelock import FileLock

from ..cache import cache_folder
from ..errors import RepositoryError


def checkout(repository: str, commit: str) -> Path:
    """The folder of a repository's files at a commit.

    Raises:
        RepositoryError: it cannot be reached, has no such commit, or cannot be stored.
    """
    name = f"{hashlib.sha256(repository.encode()).hexdigest()[:12]}-{commit[:12]}"
    folder = cache_folder() / "repositories" / name
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f"{name}.lock")):
            if not is_whole(folder, commit):
                shutil.rmtree(folder, ignore_errors=True)
                fetch(repository, commit, folder)
    except OSError as error:
        raise RepositoryError(f"{repository} cannot be stored at {folder}: {error}; HARNESS_CACHE names another folder") from error
    return folder


def is_whole(folder: Path, commit: str) -> bool:
    """Whether a folder holds the commit, and its files are as they were committed."""
    if not folder.is_dir() or git(folder, "rev-parse", "HEAD").stdout.strip() != commit:
        return False
    return not git(folder, "status", "--porcelain", "-uno").stdout


def fetch(repository: str, commit: str, folder: Path) -> None:
    beside = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        beside.mkdir()
        git(beside, "init", "--quiet")
        if git(beside, "fetch", "--quiet", "--depth", "1", repository, commit).returncode:  # not every server gives single commits
            done = git(beside, "fetch", "--quiet", "--tags", repository, "+refs/heads/*:refs/remotes/origin/*")
            if done.returncode:
                raise RepositoryError(f"{repository} cannot be cloned: {last_line(done.stderr)}")
        done = git(beside, "checkout", "--quiet", "--detach", commit)
        if done.returncode:
            raise RepositoryError(f"{repository} has no commit {commit[:12]}: {last_line(done.stderr)}")
        if (beside / ".gitmodules").exists():
            done = git(beside, "submodule", "--quiet", "update", "--init", "--recursive", "--depth", "1")
            if done.returncode:
                raise RepositoryError(f"a submodule of {repository} cannot be cloned: {last_line(done.stderr)}")
        beside.replace(folder)
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(beside)


def git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run git, which asks nobody for a password."""
    silent = os.environ | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        return subprocess.run(["git", "-C", folder, *arguments], env=silent, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    except FileNotFoundError as error:
        raise RepositoryError("git is not installed: apt-get install git") from error


def last_line(text: str) -> str:
    return (text.strip().splitlines() or ["git gave no reason"])[-1]
