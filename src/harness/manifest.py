"""The manifest of a cached folder: each file's size, time and SHA-256, stored beside the folder, and what has changed since."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath

from .errors import DataError
from .files import sha256, write_json


@dataclass(frozen=True)
class Entry:
    """A file as it was fetched."""

    bytes: int
    mtime_ns: int
    sha256: str


@dataclass
class Changes:
    """How a folder differs from its manifest: names of files."""

    altered: list[str] = field(default_factory=list)
    """Missing, or with other contents."""
    touched: list[str] = field(default_factory=list)
    """With another modification time, but the same contents."""
    added: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    """By this user."""


Manifest = dict[str, Entry]


def path_of(folder: Path) -> Path:
    """The path of a folder's manifest: beside the folder, where no file of the dataset can collide with it."""
    return folder.with_name(f"{folder.name}.manifest.json")


def read(folder: Path) -> Manifest | None:
    """The manifest of a complete folder, or None."""
    try:
        stated = json.loads(path_of(folder).read_text())
        return {name: Entry(**entry) for name, entry in stated["files"].items()} if folder.is_dir() else None
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


def write(folder: Path, manifest: Manifest) -> None:
    """Write a folder's manifest, which marks the folder as complete."""
    write_json(path_of(folder), {"files": {name: asdict(entry) for name, entry in manifest.items()}})


def taken(folder: Path, names: Iterable[str] | None = None) -> Manifest:
    """The manifest of a folder as it is now, or of some of its files."""
    paths = {name: folder / name for name in (sorted(name for name, _ in files_below(folder)) if names is None else names)}
    return {name: Entry(path.stat().st_size, path.stat().st_mtime_ns, sha256(path)) for name, path in paths.items()}


def changes(folder: Path, manifest: Manifest, *, thorough: bool) -> Changes:
    """What has changed. Contents are compared where size or time differ; if `thorough`, for all files."""
    found, left = Changes(), dict(manifest)
    for name, state in files_below(folder):
        entry = left.pop(name, None)
        if entry is None:
            found.added.append(name)
        elif not os.access(folder / name, os.R_OK):
            found.unreadable.append(name)
        elif state.st_size != entry.bytes:
            found.altered.append(name)
        elif thorough or state.st_mtime_ns != entry.mtime_ns:
            if sha256(folder / name) != entry.sha256:
                found.altered.append(name)
            elif state.st_mtime_ns != entry.mtime_ns:
                found.touched.append(name)
    found.altered += left
    return found


def files_below(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Name and state of each file in a cached folder, which contains no links to folders."""
    parts = [""]
    while parts:
        part = parts.pop()
        with os.scandir(folder / part) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    parts.append(f"{part}{entry.name}/")
                else:
                    yield f"{part}{entry.name}", entry.stat(follow_symlinks=False)


def inside(name: str, source: str) -> PurePosixPath:
    """A file's name as a relative path.

    Raises:
        DataError: the path would lead out of its folder.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name:
        raise DataError(f"dataset_id={source}: the file {name!r} would lead out of its folder")
    return path


def listed(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    return ", ".join(map(repr, sorted(names)[:3])) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
