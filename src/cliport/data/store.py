"""The folder with the demonstrations of one task and mode.

<data>/<task>-<mode>/manifest.json                       the list of episodes, with the SHA-256 of each file
<data>/<task>-<mode>/episodes/{index:06d}-{seed}.npz     one episode each, see `codec`

An episode exists when the manifest lists it, and the manifest is replaced as a whole after the episode's file is on disk.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from harness.errors import DataError
from harness.files import replaced, sha256, write_json

from ..scoring import RULES
from .codec import HEIGHT_UNIT
from .folders import made

FORMAT = "cliport-demonstrations/1"
ORIGIN = "cliport.demos"
MANIFEST = "manifest.json"
EPISODES = "episodes"


@dataclass(frozen=True)
class StoredEpisode:
    """One stored episode."""

    index: int
    seed: int
    actions: int
    reward: float
    bytes: int
    sha256: str

    @property
    def file(self) -> str:
        return f"{EPISODES}/{self.index:06d}-{self.seed}.npz"


@dataclass(frozen=True)
class Manifest:
    """The contents of a folder of demonstrations."""

    task: str
    mode: str
    entries: tuple[StoredEpisode, ...] = ()
    origin: str = ORIGIN
    """The simulator that made the scenes."""
    geometry: str = "exact"
    """Geometry of the height maps' cells: see `cliport.sim.fusion`."""
    rules: int = RULES
    """Version of the rules of the scenes, if `cliport.demos` made them: see `cliport.scoring`."""
    objects: str = ""
    """What the named objects of its scenes are, if `cliport.demos` made them: "scans" or "stand-ins"; empty without such objects."""

    @property
    def outdated(self) -> str | None:
        """Why the scenes cannot be played again, and what to do; None if they can."""
        if self.origin != ORIGIN or self.rules == RULES:
            return None
        return (
            f"has demonstrations made under rules {self.rules}, but scenes are now played by rules {RULES}, in which a seed is another "
            "scene: make them anew in another data_dir, or move the folder away. Agents can still be trained on them"
        )

    def write(self, folder: Path) -> None:
        stated = {
            "format": FORMAT,
            "task": self.task,
            "mode": self.mode,
            "origin": self.origin,
            "geometry": self.geometry,
            "rules": self.rules,
            "objects": self.objects,
            "count": len(self.entries),
            "height_unit_m": HEIGHT_UNIT,
            "episodes": [{"file": entry.file, **dataclasses.asdict(entry)} for entry in self.entries],
        }
        write_json(folder / MANIFEST, stated)

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read `folder`/manifest.json.

        Raises:
            DataError: when it is missing, in another format, or incomplete.
        """
        path = folder / MANIFEST
        try:
            stated = json.loads(path.read_text())
            if stated["format"] != FORMAT:
                raise DataError(f"{path} has format {stated['format']!r}, but this code reads {FORMAT!r}")
            names = [field.name for field in dataclasses.fields(StoredEpisode)]
            entries = tuple(StoredEpisode(**{name: item[name] for name in names}) for item in stated["episodes"])
            later = stated.get("geometry", "exact"), stated.get("rules", 1), stated.get("objects", "")
            return cls(stated["task"], stated["mode"], entries, stated["origin"], *later)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} is not a manifest of demonstrations: {type(error).__name__}: {error}") from error


def damage_of(folder: Path, entry: StoredEpisode) -> str | None:
    """What is wrong with an episode's file; None if nothing is."""
    path = folder / entry.file
    if not path.is_file():
        return "is missing"
    if (size := path.stat().st_size) != entry.bytes:
        return f"has {size} bytes, but the manifest says {entry.bytes}"
    return None if sha256(path) == entry.sha256 else "differs from its SHA-256 in the manifest"


class Store:
    """A folder to which one process at a time adds demonstrations; see `opened`."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest

    def __len__(self) -> int:
        return len(self.manifest.entries)

    @property
    def last_seed(self) -> int | None:
        return max((entry.seed for entry in self.manifest.entries), default=None)

    def add(self, seed: int, actions: int, reward: float, content: bytes, index: int | None = None) -> StoredEpisode:
        """Store an encoded episode; it is safely on disk when this returns.

        Args:
            index: its number; the next free one by default.

        Raises:
            DataError: when it cannot be written. Earlier episodes are kept.
        """
        if index is None:
            index = max((entry.index for entry in self.manifest.entries), default=-1) + 1
        try:
            unlisted = StoredEpisode(index, seed, actions, reward, len(content), "")
            path = self.folder / unlisted.file
            path.parent.mkdir(parents=True, exist_ok=True)
            with replaced(path) as beside:
                beside.write_bytes(content)
            entry = dataclasses.replace(unlisted, sha256=sha256(path))
            self.record([*self.manifest.entries, entry])
        except OSError as error:
            raise DataError(
                f"episode {index:06d}-{seed} could not be written below {self.folder}: {error}; earlier ones are kept"
            ) from error
        return entry

    def drop_damaged(self) -> list[tuple[StoredEpisode, str]]:
        """Remove damaged episodes from the manifest, and return them with what is wrong with each."""
        damaged = [(entry, damage) for entry in self.manifest.entries if (damage := damage_of(self.folder, entry))]
        if damaged:
            dropped = {entry for entry, _ in damaged}
            self.record([entry for entry in self.manifest.entries if entry not in dropped])
        return damaged

    def record(self, entries: list[StoredEpisode]) -> None:
        self.manifest = dataclasses.replace(self.manifest, entries=tuple(sorted(entries, key=lambda entry: entry.index)))
        self.manifest.write(self.folder)


@contextmanager
def opened(folder: Path, task: str, mode: str, **stated: Any) -> Iterator[Store]:
    """The store in `folder`, created if necessary, for this process alone.

    Partial files of an interrupted process are removed. A folder that was created and stays empty is removed again.

    Raises:
        DataError: when another process writes there, or the folder belongs to another task, mode, geometry, version of the rules
            or kind of named objects.
    """
    with made(folder), locked(folder):
        for leftover in [*folder.glob(".*.partial"), *folder.glob(f"{EPISODES}/.*.partial")]:
            leftover.unlink()
        manifest = Manifest.read(folder) if (folder / MANIFEST).exists() else Manifest(task, mode, **stated)
        if (manifest.task, manifest.mode) != (task, mode):
            raise DataError(f"{folder} contains {manifest.task} of mode {manifest.mode}, not {task} of mode {mode}")
        geometry = stated.get("geometry", "exact")
        if manifest.geometry != geometry:
            raise DataError(f"{folder} contains height maps of {manifest.geometry} geometry; none of {geometry} geometry can be added")
        if manifest.outdated:
            raise DataError(f"{folder} {manifest.outdated}")
        if manifest.objects != (objects := stated.get("objects", "")):
            there = manifest.objects or "objects of unknown kind"
            raise DataError(f"{folder} contains scenes with {there}; none with {objects} can be added: give another data_dir")
        yield Store(folder, manifest)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the exclusive right to write in `folder`.

    Raises:
        DataError: when another process has it.
    """
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise DataError(f"{folder}: another process is adding demonstrations there; wait for it, or use another data_dir") from None
    try:
        yield
    finally:
        (folder / ".lock").unlink(missing_ok=True)  # while held: a waiting process notices and locks a new file
        lock.release()
