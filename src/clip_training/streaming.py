"""Files in an S3 store, fetched on demand, whole or in part, and kept in a cache of limited size."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import os
import uuid
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from filelock import FileLock

from harness.cache import cache_folder
from harness.errors import DataError, StoreError
from harness.s3 import Location
from harness.storage import locate

from .file_trees import FileTree, is_hidden

AHEAD = 1 << 20
"""Bytes fetched at a time while indexing an archive."""
MISSING = ("NoSuchKey", "404")


class Stream(FileTree):
    """All objects below an address.

    Args:
        uri: s3://bucket/prefix, resolved by `harness.storage`.
        limit: the cache's size in bytes; 0 caches nothing.

    Raises:
        StoreError: when the store does not answer or refuses access.
        DataError: when nothing is stored there.
    """

    def __init__(self, uri: str, limit: int) -> None:
        root = locate(uri)
        entries = root.objects()
        if not entries:
            raise DataError(f"data.stream={uri}: nothing is stored below it")
        self.entries = {PurePosixPath(name): (int(entry["Size"]), str(entry["ETag"])) for name, entry in sorted(entries.items())}
        self.root = dataclasses.replace(root)  # a copy without open connections, which loader processes would share after a fork
        self.opened: tuple[int, Location] | None = None
        self.cache = Cache(cache_folder() / "streams", limit)

    def __str__(self) -> str:
        return self.root.uri.rstrip("/")

    def names(self) -> list[PurePosixPath]:
        return sorted(name for name in self.entries if not is_hidden(name))

    def file(self, name: PurePosixPath) -> Object:
        return Object(self, name)

    def has(self, name: PurePosixPath) -> bool:
        return name in self.entries

    def below(self, part: str) -> Part:
        return Part(self, PurePosixPath(part))

    def open(self, name: PurePosixPath) -> BinaryIO:
        return io.BufferedReader(Ranges(self, name, self.entries[name][0]), AHEAD)

    def state(self, name: PurePosixPath) -> str:
        return f"{self.root.bucket} {self.address(name)} {self.entries[name]} {self.root.access.endpoint}"

    def known(self, name: PurePosixPath) -> str:
        return " ".join(map(str, self.entries.get(name, ("missing",))))

    def address(self, name: PurePosixPath) -> str:
        return f"{self}/{name}"

    def part(self, name: PurePosixPath, start: int, size: int) -> bytes:
        if name not in self.entries:
            raise FileNotFoundError(f"{self.address(name)}: there is no such object")
        size = max(0, min(size, self.entries[name][0] - start))
        key = f"{self.state(name)} {start} {size}"
        if (kept := self.cache.get(key, size)) is not None:
            return kept
        content = self.fetch(name, start, size)
        self.cache.put(key, content)
        return content

    def fetch(self, name: PurePosixPath, start: int, size: int) -> bytes:
        """Read from the store. Fails when the object has changed since it was listed: a training set must not change on the way."""
        try:
            return self.place.below(str(name)).read(start, size, self.entries[name][1])
        except StoreError as error:
            if getattr(error.__cause__, "response", {}).get("Error", {}).get("Code") in MISSING:
                raise FileNotFoundError(str(error)) from error
            raise

    @property
    def place(self) -> Location:
        """The root with connections of this process: a forked loader process must not use those of its parent."""
        if self.opened is None or self.opened[0] != os.getpid():
            self.opened = os.getpid(), dataclasses.replace(self.root)
        return self.opened[1]


@dataclass(frozen=True)
class Part(FileTree):
    """The part of a stream below a sub-folder."""

    whole: Stream
    prefix: PurePosixPath

    def __str__(self) -> str:
        return f"{self.whole}/{self.prefix}"

    def names(self) -> list[PurePosixPath]:
        return [name.relative_to(self.prefix) for name in self.whole.names() if name.is_relative_to(self.prefix)]

    def file(self, name: PurePosixPath) -> Object:
        return self.whole.file(self.prefix / name)

    def has(self, name: PurePosixPath) -> bool:
        return self.whole.has(self.prefix / name)

    def below(self, part: str) -> Part:
        return Part(self.whole, self.prefix / part)

    def open(self, name: PurePosixPath) -> BinaryIO:
        return self.whole.open(self.prefix / name)

    def state(self, name: PurePosixPath) -> str:
        return self.whole.state(self.prefix / name)

    def known(self, name: PurePosixPath) -> str:
        return self.whole.known(self.prefix / name)

    def part(self, name: PurePosixPath, start: int, size: int) -> bytes:
        return self.whole.part(self.prefix / name, start, size)


@dataclass(frozen=True, slots=True)
class Object:
    """One object of a stream."""

    stream: Stream
    name: PurePosixPath

    def __str__(self) -> str:
        return self.stream.address(self.name)

    @property
    def known(self) -> str:
        """As `FileTree.known`."""
        return self.stream.known(self.name)

    @property
    def stem(self) -> str:
        return self.name.stem

    @property
    def suffix(self) -> str:
        return self.name.suffix

    def read_bytes(self) -> bytes:
        return self.stream.part(self.name, 0, self.stream.entries.get(self.name, (0, ""))[0])


class Ranges(io.RawIOBase):
    """An object as a file with random access, which bypasses the cache."""

    def __init__(self, stream: Stream, name: PurePosixPath, size: int) -> None:
        super().__init__()
        self.stream, self.name, self.size, self.position = stream, name, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.size}[whence]
        return self.position

    def tell(self) -> int:
        return self.position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        size = max(0, min(len(buffer), self.size - self.position))
        buffer[:size] = self.stream.fetch(self.name, self.position, size) if size else b""
        self.position += size
        return size


class Cache:
    """Files on this machine, shared by all processes, of at most `limit` bytes together; the least recently used are deleted first."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit

    def path(self, key: str) -> Path:
        digest = hashlib.sha256(key.encode()).hexdigest()[:40]
        return self.folder / digest[:2] / digest[2:]

    def get(self, key: str, size: int) -> bytes | None:
        """The content kept under a key, if it exists and has `size` bytes."""
        path = self.path(key)
        try:
            content = path.read_bytes()
        except OSError:
            return None
        with contextlib.suppress(OSError):  # another user's file: only its owner may set the time of use
            os.utime(path)
        return content if len(content) == size else None

    def put(self, key: str, content: bytes) -> None:
        """Keep a content. On a full disk, or in another user's folder, nothing is kept, which only costs time."""
        if len(content) > self.limit:
            return
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / ".lock"):  # a new one each time: a forked loader process cannot use its parent's
                self.write(self.path(key), content)

    def write(self, path: Path, content: bytes) -> None:
        """Make room for a file and write it; it appears whole or not at all."""
        used = self.used() + len(content)
        if used > self.limit:
            used = self.evict(self.limit * 9 // 10 - len(content)) + len(content)  # a tenth more, so as not to list all files each time
        beside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
        try:
            path.parent.mkdir(exist_ok=True)
            beside.write_bytes(content)
            beside.replace(path)
            (self.folder / ".used").write_text(str(used))
        finally:
            beside.unlink(missing_ok=True)

    def used(self) -> int:
        """Bytes in the cache, counted again if the count was lost."""
        try:
            return int((self.folder / ".used").read_text())
        except (OSError, ValueError):
            return sum(size for _, size, _ in self.files())

    def files(self) -> list[tuple[float, int, Path]]:
        """Time of last use, size in bytes and path of each file, the least recently used first."""
        found = ((path.stat(), path) for path in self.folder.glob("??/*"))
        return sorted((state.st_mtime, state.st_size, path) for state, path in found)

    def evict(self, limit: int) -> int:
        """Delete files until the rest takes at most `limit` bytes, and return how many bytes the rest takes."""
        files = self.files()
        used = sum(size for _, size, _ in files)
        for _, size, path in files:
            if used <= limit:
                break
            path.unlink(missing_ok=True)
            used -= size
        return used
