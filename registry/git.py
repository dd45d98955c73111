"""git, as a command."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .errors import NotACloneError


def allow_local(settings: Path, include: str) -> None:
    """Write a file of git's settings: those of another one, and that local repositories are cloned, also another user's."""
    settings.write_text(f'[include]\n\tpath = "{include}"\n[safe]\n\tdirectory = *\n[protocol "file"]\n\tallow = always\n')


def git(root: Path, *arguments: str, strip: bool = True, given: str = "") -> str | None:
    """What git prints, or None when it fails. `given` is its standard input."""
    done = run_git(root, *arguments, given=given)
    if done.returncode:
        return None
    return done.stdout.strip() if strip else done.stdout


def repository_of(root: Path) -> Path:
    """What an agent clones in place of a clone on this machine: the clone itself, or the one that `git worktree add` made it in.

    A worktree holds no history: its .git is a file that says where that is, which means nothing in a container, and it may be removed
    long before somebody repeats a run of it.
    """
    held = git(root, "rev-parse", "--path-format=absolute", "--git-common-dir")
    place = Path(held) if held else root / ".git"
    return (place.parent if place.name == ".git" else place).resolve()


def run_git(root: Path, *arguments: str, given: str = "", within: float | None = None) -> subprocess.CompletedProcess[str]:
    """Run git, which asks nobody for a password.

    Raises:
        subprocess.TimeoutExpired: it took longer than `within` seconds.
    """
    silent = os.environ | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    command = ["git", "-C", str(root), *arguments]
    try:  # in a session of its own ssh finds no terminal to ask at
        return subprocess.run(command, input=given, env=silent, capture_output=True, text=True, timeout=within, start_new_session=True)
    except FileNotFoundError as error:
        raise NotACloneError("git is not installed: apt-get install git") from error


@contextlib.contextmanager
def tree_of(root: Path, commit: str | None, *paths: str) -> Iterator[Path]:
    """Files of a commit in a folder for a while; without a commit, or with one that the clone lacks, the clone as it is."""
    if commit is None or git(root, "cat-file", "-e", f"{commit}^{{commit}}") is None:
        yield root
        return
    with tempfile.TemporaryDirectory() as scratch:
        archive = Path(scratch, "files.tar")
        run_git(root, "archive", f"--output={archive}", commit, "--", *paths)
        with tarfile.open(archive) as files:
            files.extractall(Path(scratch, "files"), filter="data")
        yield Path(scratch, "files")
