"""What an image is built from: the files that its Dockerfile copies and git tracks, in their current state."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO

from ..findings import few
from ..git import git, run_git
from .labels import COMMIT


@dataclass(frozen=True)
class Context:
    """The build context of an image. Unlike the folder, it has no untracked files, and does not depend on the umask."""

    root: Path
    dockerfile: Path

    @cached_property
    def sources(self) -> list[str]:
        """The Dockerfile, and the paths that it copies from the clone."""
        text = self.dockerfile.read_text().replace("\\\n", " ")
        copied = re.findall(r"^COPY +(?!--from)(?:--\S+ +)*(\S.*?) +\S+ *$", text, re.MULTILINE)
        return [self.dockerfile.relative_to(self.root).as_posix(), *(source for given in copied for source in given.split())]

    @cached_property
    def files(self) -> list[str]:
        """The files that are sent to the engine, without hidden ones, as in .dockerignore."""
        listed = git(self.root, "ls-files", "-z", "--", *self.sources, strip=False) or ""
        return [name for name in listed.split("\0") if name and "/." not in f"/{name}" and (self.root / name).exists()]

    @cached_property
    def changes(self) -> dict[str, str]:
        """Files that differ from the commit, with git's two status letters; `??` is an untracked file."""
        lines = (
            git(self.root, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--", *self.sources, strip=False) or ""
        )
        return {line[3:]: line[:2] for line in lines.split("\0") if line and "/." not in f"/{line[3:]}"}

    def problem(self) -> str | None:
        """Why the image cannot be built."""
        dockerfile = self.sources[0]
        if dockerfile in self.files:
            return None
        told = run_git(self.root, "ls-files", "--", dockerfile).stderr.strip()
        return f"{dockerfile}: images are built from files that git tracks; {told or f'run: git add {Path(dockerfile).parent}'}"

    @property
    def untracked(self) -> list[str]:
        """Files that are left out of the image."""
        return [name for name, how in self.changes.items() if how == "??"]

    @property
    def uncommitted(self) -> list[str]:
        """Files that differ between the image and the commit."""
        return [name for name, how in self.changes.items() if how != "??"]

    @property
    def commit(self) -> str | None:
        """The commit whose code the image will contain; None if any file differs from it."""
        return None if self.uncommitted else git(self.root, "rev-parse", "--verify", "--quiet", "HEAD")

    def notes(self) -> list[str]:
        """Warnings about files that are not committed or not tracked."""
        notes = []
        if self.uncommitted:
            notes.append(f"the image is not labelled with a commit, because these files are uncommitted: {few(self.uncommitted)}")
        if self.untracked:
            notes.append(f"git does not track these files, so the image does not contain them: {few(self.untracked)}")
        return notes

    def write(self, file: IO[bytes]) -> None:
        """Write the files as a tar archive in which everybody can read them, and execute what the owner can execute."""
        with tarfile.open(fileobj=file, mode="w") as archive:
            for name in self.files:
                archive.add(self.root / name, name, recursive=False, filter=plain)


def commit_in(labels: Mapping[str, str]) -> str | None:
    """The commit whose code an image contains, from its labels; None for uncommitted code."""
    revision = labels.get(COMMIT, "")
    return revision if re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", revision) else None


def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """A member of an archive, without its owner and time stamp, so that the same files make the same archive."""
    member.mode = 0o755 if member.mode & 0o100 else 0o644
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = "root"
    return member
