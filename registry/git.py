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
    """Write a git configuration that includes another one and allows cloning local repositories, even those of other users."""
    settings.write_text(f'[include]\n\tpath = "{include}"\n[safe]\n\tdirectory = *\n[protocol "file"]\n\tallow = always\n')


def git(root: Path, *arguments: str, strip: bool = True, given: str = "") -> str | None:
    """The output of git, or None if it fails. `given` is its standard input."""
    done = run_git(root, *arguments, given=given)
    if done.returncode:
        return None
    return done.stdout.strip() if strip else done.stdout


def repository_of(root: Path) -> Path:
    """The repository that an agent clones for a clone on this machine: the clone itself, or, for a worktree, its main repository.

    A worktree contains no history: its .git is a file with the path of the main repository, which is not valid in a container, and
    the worktree may be removed long before somebody repeats a run of it.
    """
    held = git(root, "rev-parse", "--path-format=absolute", "--git-common-dir")
    place = Path(held) if held else root / ".git"
    return (place.parent if place.name == ".git" else place).resolve()


def run_git(root: Path, *arguments: str, given: str = "", within: float | None = None) -> subprocess.CompletedProcess[str]:
    """Run git without any prompt for a password.

    Raises:
        subprocess.TimeoutExpired: it took longer than `within` seconds.
    """
    silent = os.environ | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    command = ["git", "-C", str(root), *arguments]
    try:  # in a session of its own, ssh has no terminal to prompt on
        return subprocess.run(command, input=given, env=silent, capture_output=True, text=True, timeout=within, start_new_session=True)
    except FileNotFoundError as error:
        raise NotACloneError("git is not installed: apt-get install git") from error


@contextlib.contextmanager
def tree_of(root: Path, commit: str | None, *paths: str) -> Iterator[Path]:
    """A temporary folder with files of a commit; without a commit, or if the clone lacks it, the clone itself."""
    if commit is None or git(root, "cat-file", "-e", f"{commit}^{{commit}}") is None:
        yield root
        return
    with tempfile.TemporaryDirectory() as scratch:
        archive = Path(scratch, "files.tar")
        run_git(root, "archive", f"--output={archive}", commit, "--", *paths)
        with tarfile.open(archive) as files:
            files.extractall(Path(scratch, "files"), filter="data")
        yield Path(scratch, "files")
