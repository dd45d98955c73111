"""A dataset's files, in a folder or wherever `FileTree` is implemented for, and how they are read: whole or in part."""

from __future__ import annotations

import io
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from harness.tree import survey


class File(Protocol):
    """A file in a folder (a pathlib.Path is one), an object in a store, or a member of an archive. `str` gives its name."""

    @property
    def stem(self) -> str: ...

    @property
    def suffix(self) -> str: ...

    def read_bytes(self) -> bytes:
        """The whole content. Raises an OSError when it cannot be read."""


class FileTree(ABC):
    """A tree of files. `str` gives its root."""

    @abstractmethod
    def names(self) -> list[PurePosixPath]:
        """Paths below the root, sorted, without hidden files."""

    @abstractmethod
    def file(self, name: PurePosixPath) -> File:
        """The file with that name, which need not exist."""

    @abstractmethod
    def has(self, name: PurePosixPath) -> bool:
        """Whether there is a file with that name, hidden or not."""

    def within(self, name: PurePosixPath) -> PurePosixPath:
        """An absolute name relative to the root, if it is below it; other names as they are."""
        return name

    @abstractmethod
    def below(self, part: str) -> FileTree:
        """The tree below a sub-folder."""

    @abstractmethod
    def open(self, name: PurePosixPath) -> BinaryIO:
        """The file, opened for random access."""

    @abstractmethod
    def state(self, name: PurePosixPath) -> str:
        """A text that changes when the file does."""

    def known(self, name: PurePosixPath) -> str:
        """What is known about a file's content without reading it, such as a checksum; empty if nothing is."""
        return ""

    @abstractmethod
    def part(self, name: PurePosixPath, start: int, size: int) -> bytes:
        """`size` bytes of a file, or fewer at its end. Raises an OSError when they cannot be read."""


LEFT_BY_SYSTEMS = frozenset({"__MACOSX", "Thumbs.db", "ehthumbs.db", "desktop.ini"})
"""Files and folders that macOS and Windows leave in other people's folders."""


def is_hidden(name: PurePosixPath) -> bool:
    """Whether a file or one of its folders is hidden or left by a system: .git, .ipynb_checkpoints, the ._x that macOS puts next to x."""
    return any(part.startswith(".") or part in LEFT_BY_SYSTEMS for part in name.parts)


@lru_cache(maxsize=10_000)
def resolved(folder: str) -> str:
    """A folder's path without links; cached because many files share a folder."""
    return os.path.realpath(folder)


@dataclass(frozen=True)
class Folder(FileTree):
    """A folder on this machine."""

    root: Path

    def __str__(self) -> str:
        return str(self.root)

    def names(self) -> list[PurePosixPath]:
        """Includes files that cannot be read, which is reported when they are needed. Links to folders are followed."""
        return list(self.listed)

    @cached_property
    def listed(self) -> list[PurePosixPath]:
        """Listed once: a large folder takes minutes on some file systems, and a dataset does not change while it is used."""
        found = survey(self.root)
        return sorted(name for name in map(PurePosixPath, (*found.files, *found.lost)) if not is_hidden(name))

    def file(self, name: PurePosixPath) -> Path:
        return self.root / name

    def has(self, name: PurePosixPath) -> bool:
        return (self.root / name).is_file()

    def within(self, name: PurePosixPath) -> PurePosixPath:
        if not name.is_absolute():
            return name
        real = PurePosixPath(resolved(str(name.parent)), name.name)
        root = resolved(str(self.root))
        return real.relative_to(root) if real.is_relative_to(root) else real

    def below(self, part: str) -> Folder:
        return Folder(self.root / part)

    def open(self, name: PurePosixPath) -> BinaryIO:
        return io.BufferedReader(io.FileIO(self.root / name), 4096)  # holds a tar header; a larger buffer would read data that is skipped

    def state(self, name: PurePosixPath) -> str:
        path = (self.root / name).resolve()
        return f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}"

    def part(self, name: PurePosixPath, start: int, size: int) -> bytes:
        with (self.root / name).open("rb", buffering=0) as handle:
            handle.seek(start)
            return handle.read(size)


@dataclass(frozen=True, slots=True)  # there may be millions
class Member:
    """A member of an archive, read without the members before it."""

    tree: FileTree
    archive: PurePosixPath
    key: str
    """The sample's name: the member's up to its first dot."""
    suffix: str
    start: int
    size: int

    def __str__(self) -> str:
        return f"{self.tree}/{self.archive}:{self.key}{self.suffix}"

    @property
    def stem(self) -> str:
        return self.key

    @property
    def known(self) -> str:
        """As `FileTree.known`."""
        archive = self.tree.known(self.archive)
        return f"{archive} {self.start}" if archive else ""

    def read_bytes(self) -> bytes:
        content = self.tree.part(self.archive, self.start, self.size)
        if len(content) != self.size:
            raise OSError(f"the archive ends after {len(content)} of {self.size} bytes")
        return content
