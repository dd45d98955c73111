"""What a folder of the cache holds: each file's size, time and SHA-256, written down beside the folder, and what has changed since."""

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
    """One file as it was when it was fetched."""

    bytes: int
    mtime_ns: int
    sha256: str


@dataclass
class Changes:
    """How a folder differs from its manifest, by names."""

    altered: list[str] = field(default_factory=list)
    """Gone, or with other contents."""
    touched: list[str] = field(default_factory=list)
    """With another time, but the same contents."""
    added: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    """By this user."""


Manifest = dict[str, Entry]


def path_of(folder: Path) -> Path:
    """Where a folder's manifest is: beside it, where no file of a dataset can be."""
    return folder.with_name(f"{folder.name}.manifest.json")


def read(folder: Path) -> Manifest | None:
    """The manifest of a folder that is complete, else None."""
    try:
        stated = json.loads(path_of(folder).read_text())
        return {name: Entry(**entry) for name, entry in stated["files"].items()} if folder.is_dir() else None
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


def write(folder: Path, manifest: Manifest) -> None:
    """Say that a folder is complete."""
    write_json(path_of(folder), {"files": {name: asdict(entry) for name, entry in manifest.items()}})


def taken(folder: Path, names: Iterable[str] | None = None) -> Manifest:
    """The manifest of a folder as it is, or of some of its files."""
    paths = {name: folder / name for name in (sorted(name for name, _ in files_below(folder)) if names is None else names)}
    return {name: Entry(path.stat().st_size, path.stat().st_mtime_ns, sha256(path)) for name, path in paths.items()}


def changes(folder: Path, manifest: Manifest, *, thorough: bool) -> Changes:
    """What is different now. Contents are read where size or time differ, or of all files if `thorough`."""
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
    """Name and state of each file in a folder of the cache, which holds no links to folders."""
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
    """A file's name as a relative path that stays below its folder.

    Raises:
        DataError: it would not.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name:
        raise DataError(f"dataset_id={source}: the file {name!r} would leave its folder")
    return path


def listed(names: Sequence[str]) -> str:
    """The first few of many names, and how many there are."""
    return ", ".join(map(repr, sorted(names)[:3])) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
