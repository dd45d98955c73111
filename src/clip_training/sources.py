"""Where the files of a data set are, and how they are read: whole, or a part of one."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from harness.tree import survey


class File(Protocol):
    """A file in a folder (a pathlib.Path is one), an object in a store, or a member of an archive. As text, its name."""

    @property
    def stem(self) -> str: ...

    @property
    def suffix(self) -> str: ...

    def read_bytes(self) -> bytes:
        """All of it. An OSError when it cannot be had."""


class Source(ABC):
    """A tree of files."""

    @abstractmethod
    def names(self) -> list[PurePosixPath]:
        """Paths below the root, sorted, without what is hidden."""

    @abstractmethod
    def file(self, name: PurePosixPath) -> File:
        """The file of that name, which need not be there."""

    @abstractmethod
    def below(self, part: str) -> Source:
        """The tree of a sub-folder."""

    @abstractmethod
    def open(self, name: PurePosixPath) -> BinaryIO:
        """The file for reading here and there."""

    @abstractmethod
    def state(self, name: PurePosixPath) -> str:
        """Differs when the file has changed."""

    def known(self, name: PurePosixPath) -> str:
        """What is known of a file's contents without reading it; empty where that is nothing."""
        return ""

    @abstractmethod
    def part(self, name: PurePosixPath, start: int, size: int) -> bytes:
        """Bytes of a file; fewer than `size` at its end. An OSError when they cannot be had."""


def is_hidden(name: PurePosixPath) -> bool:
    """Whether a file, or a folder that it is in, is hidden: .git, .ipynb_checkpoints, the ._x that macOS puts beside x."""
    return any(part.startswith(".") for part in name.parts)


@dataclass(frozen=True)
class Folder(Source):
    """A folder on this machine."""

    root: Path

    def __str__(self) -> str:
        return str(self.root)

    def names(self) -> list[PurePosixPath]:
        """Also of files that cannot be read, which is said when they are wanted; links to folders are followed."""
        tree = survey(self.root)
        return sorted(name for name in map(PurePosixPath, (*tree.files, *tree.lost)) if not is_hidden(name))

    def file(self, name: PurePosixPath) -> Path:
        return self.root / name

    def below(self, part: str) -> Folder:
        return Folder(self.root / part)

    def open(self, name: PurePosixPath) -> BinaryIO:
        return io.BufferedReader(io.FileIO(self.root / name), 4096)  # one header of an archive; more would read what is skipped

    def state(self, name: PurePosixPath) -> str:
        path = (self.root / name).resolve()
        return f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}"

    def part(self, name: PurePosixPath, start: int, size: int) -> bytes:
        with (self.root / name).open("rb", buffering=0) as handle:
            handle.seek(start)
            return handle.read(size)


@dataclass(frozen=True, slots=True)  # there may be millions
class Member:
    """A member of an archive, read without what stands before it."""

    source: Source
    archive: PurePosixPath
    key: str
    """The name of the sample: of the member up to the first dot."""
    suffix: str
    start: int
    size: int

    def __str__(self) -> str:
        return f"{self.source}/{self.archive}:{self.key}{self.suffix}"

    @property
    def stem(self) -> str:
        return self.key

    @property
    def known(self) -> str:
        """What is known of its contents without reading it."""
        archive = self.source.known(self.archive)
        return f"{archive} {self.start}" if archive else ""

    def read_bytes(self) -> bytes:
        content = self.source.part(self.archive, self.start, self.size)
        if len(content) != self.size:
            raise OSError(f"the archive ends after {len(content)} of {self.size} bytes")
        return content
