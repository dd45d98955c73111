"""What an image is built from: the files that git tracks and its Dockerfile copies, as they lie in the clone now."""

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
    """The build context of one image. Unlike the folder it holds nothing that an editor left there, and is the same under every umask."""

    root: Path
    dockerfile: Path

    @cached_property
    def sources(self) -> list[str]:
        """The Dockerfile, and what it copies from the clone."""
        text = self.dockerfile.read_text().replace("\\\n", " ")
        copied = re.findall(r"^COPY +(?!--from)(?:--\S+ +)*(\S.*?) +\S+ *$", text, re.MULTILINE)
        return [self.dockerfile.relative_to(self.root).as_posix(), *(source for given in copied for source in given.split())]

    @cached_property
    def files(self) -> list[str]:
        """What is sent to the engine: without hidden files, as .dockerignore has it."""
        listed = git(self.root, "ls-files", "-z", "--", *self.sources, strip=False) or ""
        return [name for name in listed.split("\0") if name and "/." not in f"/{name}" and (self.root / name).exists()]

    @cached_property
    def changes(self) -> dict[str, str]:
        """Files that differ from the commit, and how, in git's two letters; `??` are those that it does not track."""
        lines = (
            git(self.root, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--", *self.sources, strip=False) or ""
        )
        return {line[3:]: line[:2] for line in lines.split("\0") if line and "/." not in f"/{line[3:]}"}

    def problem(self) -> str | None:
        """Why nothing can be built."""
        dockerfile = self.sources[0]
        if dockerfile in self.files:
            return None
        told = run_git(self.root, "ls-files", "--", dockerfile).stderr.strip()
        return f"{dockerfile}: only what git tracks reaches an image: {told or f'git add {Path(dockerfile).parent}'}"

    @property
    def untracked(self) -> list[str]:
        """Files that are left out of the image."""
        return [name for name, how in self.changes.items() if how == "??"]

    @property
    def uncommitted(self) -> list[str]:
        """Files by which the image differs from the commit."""
        return [name for name, how in self.changes.items() if how != "??"]

    @property
    def commit(self) -> str | None:
        """The commit whose code the image will hold; None where files differ from it."""
        return None if self.uncommitted else git(self.root, "rev-parse", "--verify", "--quiet", "HEAD")

    def notes(self) -> list[str]:
        """What a person should know of files that are not what they may seem."""
        notes = []
        if self.uncommitted:
            notes.append(f"not committed, so the image names no commit: {few(self.uncommitted)}")
        if self.untracked:
            notes.append(f"not tracked by git, so not in the image: {few(self.untracked)}")
        return notes

    def write(self, file: IO[bytes]) -> None:
        """Write the files as a tar archive: everybody may read each, and run what its owner may."""
        with tarfile.open(fileobj=file, mode="w") as archive:
            for name in self.files:
                archive.add(self.root / name, name, recursive=False, filter=plain)


def commit_in(labels: Mapping[str, str]) -> str | None:
    """The commit whose code an image holds, by its labels; None for one of what was not committed."""
    revision = labels.get(COMMIT, "")
    return revision if re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", revision) else None


def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """A member of an archive that says nothing of the clone it comes from."""
    member.mode = 0o755 if member.mode & 0o100 else 0o644
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = "root"
    return member
