"""Random access to demonstrations: those of one task, or of several tasks together."""

from __future__ import annotations

import bisect
import itertools
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from harness.errors import DataError
from harness.torch.digest import digest_of

from ..errors import EpisodeError
from ..layout import demonstrations
from ..tasks import emphasis, groups
from .cache import DEFAULT_BYTES, EpisodeCache
from .codec import decode
from .episode import Episode
from .episode_source import EpisodeSource, check_count
from .pickles import PickledDemonstrations
from .store import MANIFEST, ORIGIN, Manifest, StoredEpisode, damage_of

log = logging.getLogger(__name__)


class Demonstrations(EpisodeSource):
    """The demonstrations in one folder, see `store`. Damaged episodes are named in a warning and skipped.

    Args:
        folder: `<data>/<task>-<mode>`.
        n: number of demonstrations, from the first; None for all.
        images: False skips the views, which is much faster.
        cache: bytes of episodes kept in memory.
        enough: False accepts fewer than `n`, but at least one.

    Raises:
        DataError: when there are none, or fewer than `n` complete ones.
    """

    def __init__(self, folder: Path, n: int | None = None, images: bool = True, cache: int = DEFAULT_BYTES, enough: bool = True) -> None:
        self.folder = folder
        self.images = images
        self.manifest = Manifest.read(folder)
        self.task, self.mode, self.geometry = self.manifest.task, self.manifest.mode, self.manifest.geometry
        self.entries = list(itertools.islice(self.complete(), n))
        self.lengths = [entry.actions for entry in self.entries]
        self.cache = EpisodeCache(cache)
        check_count(folder, self.task, self.mode, len(self.entries), n if enough else None)

    def complete(self) -> Iterator[StoredEpisode]:
        for entry in self.manifest.entries:
            damage = damage_of(self.folder, entry)
            if damage is None:
                yield entry
            else:
                log.warning("episode %s is skipped: it %s", self.folder / entry.file, damage)

    @property
    def contents(self) -> str:
        return digest_of(entry.sha256.encode() for entry in self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> Episode:
        return self.cache.get(range(len(self))[index], self.read)

    def read(self, index: int) -> Episode:
        path = self.folder / self.entries[index].file
        try:
            return decode(path.read_bytes(), self.images)
        except (OSError, EpisodeError) as error:
            raise EpisodeError(f"episode {path}: {error}") from error

    def draw(self, rng: np.random.Generator) -> int:
        return int(rng.integers(len(self)))


def check_rules(source: EpisodeSource) -> None:
    """Refuse scenes that cannot be played again because they were made under other rules.

    Raises:
        DataError: naming every folder of such scenes, and what to do.
    """
    outdated = [part for part in parts_of(source) if part.manifest.outdated]
    if outdated:
        raise DataError(f"{', '.join(str(part.folder) for part in outdated)} {outdated[0].manifest.outdated}")


def check_objects(source: EpisodeSource, objects: Callable[[str], str]) -> None:
    """Refuse scenes that were made with other named objects than `objects` says for a task: "scans", "stand-ins" or "" for none.

    Raises:
        DataError: naming every folder of such scenes.
    """
    parts = [part for part in parts_of(source) if part.manifest.origin == ORIGIN]
    other = [f"{part.folder} has {part.manifest.objects}" for part in parts if part.manifest.objects != objects(part.task)]
    if other:
        raise DataError(f"{', '.join(other)}: scenes with scans need assets=FOLDER, those with stand-ins none")


def parts_of(source: EpisodeSource) -> list[Demonstrations]:
    """The folders of demonstrations in a source."""
    parts = source.parts.values() if isinstance(source, Mixture) else [source]
    return [part for part in parts if isinstance(part, Demonstrations)]


class Mixture(EpisodeSource):
    """The demonstrations of several tasks as one source, task by task.

    Args:
        parts: the source of each task.
        emphasis: a task that supplies half of all samples; without one, all tasks are equally likely.

    Raises:
        DataError: when their height maps have different geometries.
    """

    def __init__(self, parts: Mapping[str, EpisodeSource], emphasis: str | None = None) -> None:
        self.parts = dict(parts)
        by_geometry = {part.geometry: task for task, part in self.parts.items()}
        if len(by_geometry) > 1:
            raise DataError(
                f"the height maps of a group must have one geometry: {by_geometry['exact']} has exact, {by_geometry['original']} original"
            )
        self.geometry = next(iter(by_geometry))
        self.starts = [0, *itertools.accumulate(len(part) for part in self.parts.values())]
        self.lengths = [length for part in self.parts.values() for length in part.lengths]
        self.weights = np.full(len(parts), 1 / len(parts))
        if emphasis is not None and len(parts) > 1:
            chosen = np.array([task == emphasis for task in self.parts])
            self.weights = np.where(chosen, 0.5, 0.5 / (len(parts) - 1))

    @property
    def contents(self) -> str:
        return digest_of(f"{task} {part.contents}".encode() for task, part in self.parts.items())

    def __len__(self) -> int:
        return self.starts[-1]

    def __getitem__(self, index: int) -> Episode:
        index = range(len(self))[index]
        part = bisect.bisect_right(self.starts, index) - 1
        return list(self.parts.values())[part][index - self.starts[part]]

    def draw(self, rng: np.random.Generator) -> int:
        part = int(rng.choice(len(self.parts), p=self.weights))
        return self.starts[part] + list(self.parts.values())[part].draw(rng)

    def in_turn(self) -> list[int]:
        """The numbers of all episodes with the tasks taking turns, so that the first few cover all tasks."""
        columns = [range(start, end) for start, end in itertools.pairwise(self.starts)]
        return [index for row in itertools.zip_longest(*columns) for index in row if index is not None]


def open_folder(folder: Path, n: int | None = None, images: bool = True, cache: int = DEFAULT_BYTES, enough: bool = True) -> EpisodeSource:
    """The demonstrations of one task and mode, in this project's format or as the original's pickles.

    Raises:
        DataError: when the folder has neither, or too few.
    """
    if not (folder / MANIFEST).exists() and (folder / "action").is_dir():
        return PickledDemonstrations(folder, n, images, cache, enough)
    if not folder.is_dir():
        others = sorted(path.name for path in folder.parent.iterdir() if path.is_dir()) if folder.parent.is_dir() else []
        raise DataError(f"{folder}: there are no demonstrations; {folder.parent} has {', '.join(others) or 'none'}")
    return Demonstrations(folder, n, images, cache, enough)


def open_demonstrations(
    data_dir: Path, task: str, mode: str, n: int | None = None, images: bool = True, cache: int = DEFAULT_BYTES, tasks_of: str | None = None
) -> EpisodeSource:
    """The demonstrations of a task or group in a data folder.

    Args:
        data_dir: contains the folders `<task>-<mode>`.
        task: a task, or a group: then at most `n` for each of its tasks, as in the original.
        mode: train, val or test.
        n: number of episodes; None for all.
        tasks_of: the mode whose tasks make up a group; by default `mode`.

    Raises:
        DataError: naming every folder that is missing or has too few.
    """
    if task not in groups():
        return open_folder(demonstrations(data_dir, task, mode), n, images, cache)
    names = groups(tasks_of or mode)[task]
    folders = {name: demonstrations(data_dir, name, mode) for name in names}
    missing = [name for name, folder in folders.items() if not folder.is_dir()]
    if missing:
        raise DataError(f"{data_dir}: {task} needs demonstrations of mode {mode} that do not exist: {', '.join(missing)}")
    parts = {name: open_folder(folder, n, images, cache // len(names), enough=False) for name, folder in folders.items()}
    return Mixture(parts, emphasis(task) if mode == "train" else None)
