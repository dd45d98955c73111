"""The contents of a folder that is to become a dataset: its files by name, and entries that a dataset cannot store.

A dataset stores the names and contents of files, but no times, modes, owners or empty folders. Links are followed, inside the folder or
out of it, and their targets stored under the links' names.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

LONGEST_NAME, LONGEST_PATH = 255, 3000
"""Bytes that file systems allow, less some for the path of the folder that a dataset is fetched to."""
ARCHIVED = range(315_619_200, 4_354_732_800)
"""The times that a zip archive can store, in seconds since 1970: the years 1980 to 2107, less a day at each end for time zones."""


@dataclass
class Tree:
    """The result of `survey`: every entry, under the name that it has, or would have, in the dataset."""

    root: Path
    files: dict[str, Path] = field(default_factory=dict)
    """The path of each file."""
    states: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    """Size, modification time and inode of each file, to detect later changes."""
    links: list[str] = field(default_factory=list)
    """Links to folders, which are followed."""
    empty: list[str] = field(default_factory=list)
    """Empty folders, which a dataset cannot store."""
    hollow: dict[str, str] = field(default_factory=dict)
    """Entries without contents, such as broken links, and why they cannot be stored."""
    lost: dict[str, str] = field(default_factory=dict)
    """Entries with contents that cannot be stored, and why."""

    def changes(self) -> list[str]:
        """Files that were changed, added or removed since the survey."""
        now = survey(self.root).states
        return sorted(name for name in now.keys() | self.states.keys() if now.get(name) != self.states.get(name))


def survey(folder: Path) -> Tree:
    """Examine everything below a folder."""
    tree = Tree(folder)
    todo: list[tuple[Path, str, tuple[tuple[int, int], ...]]] = [(folder, "", ())]
    while todo:
        place, prefix, above = todo.pop()
        try:
            state = place.stat()
            entries = sorted(os.scandir(place), key=lambda entry: entry.name)
        except OSError as error:
            tree.lost[prefix.rstrip("/") or "."] = f"cannot be read: {error.strerror}"
            continue
        above = (*above, (state.st_dev, state.st_ino))
        if not entries and prefix:
            tree.empty.append(prefix.rstrip("/"))
        for entry in entries:
            name = f"{prefix}{entry.name}"
            if is_folder_to_enter(tree, name, entry, above):
                todo.append((Path(os.path.realpath(entry.path)), f"{name}/", above))
    return tree


def is_folder_to_enter(tree: Tree, name: str, entry: os.DirEntry[str], above: tuple[tuple[int, int], ...]) -> bool:
    """Add one entry to the tree; True for a folder whose contents are still to be examined. `above` are the folders that contain it."""
    leads = f"leads to {os.readlink(entry.path)}" if entry.is_symlink() else "cannot be read"
    try:
        state = entry.stat()
    except OSError as error:
        tree.hollow[name] = f"{leads}: {error.strerror}"
        return False
    if fault := fault_of_name(name):
        tree.lost[name] = fault
    elif stat.S_ISREG(state.st_mode) and os.access(entry.path, os.R_OK):
        tree.files[name] = Path(entry.path).absolute()
        tree.states[name] = state.st_size, state.st_mtime_ns, state.st_ino
    elif stat.S_ISREG(state.st_mode):
        tree.lost[name] = "cannot be read: Permission denied"
    elif not stat.S_ISDIR(state.st_mode):
        tree.hollow[name] = "is neither a file nor a folder"
    elif (state.st_dev, state.st_ino) in above:
        tree.hollow[name] = f"{leads}, a folder that contains it"
    else:
        if entry.is_symlink():
            tree.links.append(name)
        return True
    return False


def fault_of_name(name: str) -> str | None:
    """Why a dataset cannot store a file of that name, or None."""
    try:
        whole = name.encode()
    except UnicodeEncodeError:
        return "has a name that is not UTF-8"
    if len(whole) > LONGEST_PATH or len(os.path.basename(whole)) > LONGEST_NAME:
        return f"has a name longer than {LONGEST_NAME} bytes, or {LONGEST_PATH} with its folders"
    return None


@contextlib.contextmanager
def staged(tree: Tree) -> Iterator[Path]:
    """A folder that contains exactly a tree's files, for the SDK: it follows no links to folders, and fails at times outside `ARCHIVED`."""
    with tempfile.TemporaryDirectory() as folder:
        for name, path in tree.files.items():
            place = Path(folder, name)
            place.parent.mkdir(parents=True, exist_ok=True)
            if tree.states[name][1] // 10**9 in ARCHIVED:
                place.symlink_to(path)
            else:
                shutil.copyfile(path, place)
        yield Path(folder)


def told(things: Mapping[str, str]) -> str:
    """Entries that cannot be stored, one per line."""
    return "".join(f"\n    {name!r} {why}" for name, why in sorted(things.items()))


def named(names: list[str]) -> str:
    """All of the names."""
    return ", ".join(map(repr, sorted(names)))
