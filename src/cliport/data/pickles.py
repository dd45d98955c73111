"""Demonstrations in the original's layout, read without executing anything that a pickle may contain.

<data>/<task>-<mode>/{color,depth,action,reward,info}/{episode:06d}-{seed}.pkl

color   (S, 3, 480, 640, 3) uint8, images of the front, left and right camera
depth   (S, 3, 480, 640) float32 meters
action  S mappings {"pose0": (position, quaternion), "pose1": ...} of pick and place, the last None
reward  S numbers
info    S mappings with "lang_goal"
"""

from __future__ import annotations

import logging
import pickle
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.torch.digest import digest_of

from ..errors import EpisodeError
from ..sim.action import Action
from ..sim.fusion import fuse
from ..sim.observation import HeightMap, Observation
from ..sim.poses import Pose
from .cache import DEFAULT_BYTES, EpisodeCache
from .codec import plain
from .episode import Episode, Step
from .episode_source import EpisodeSource, check_count

log = logging.getLogger(__name__)

FIELDS = ("action", "reward", "info", "color", "depth")
NUMPY = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric")
ARRAY_PARTS = ("ndarray", "dtype", "_reconstruct", "scalar", "_frombuffer")
PLAIN = ("set", "frozenset", "complex", "bytearray")


def latin1(text: str, encoding: str) -> bytes:
    """Stands in for `_codecs.encode`, which pickles of old protocols use for an array's bytes."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"its bytes are encoded as {encoding!r}")
    return text.encode("latin1")


class ArrayUnpickler(pickle.Unpickler):
    """Reads NumPy arrays and plain Python types, and refuses to look up any other name."""

    def find_class(self, module: str, name: str) -> Any:
        # A pickle runs code only through the callables that it looks up here; the ones allowed build arrays and containers.
        if (module in NUMPY and name in ARRAY_PARTS) or (module in ("builtins", "__builtin__") and name in PLAIN):
            return super().find_class(module.replace("numpy.core", "numpy._core"), name)
        if (module, name) == ("_codecs", "encode"):
            return latin1
        raise pickle.UnpicklingError(f"it contains {module}.{name}, but only NumPy arrays and plain Python types are allowed")


def load(path: Path) -> Any:
    """The value in a pickle file.

    Raises:
        EpisodeError: naming the file, and the refused type or the damage.
    """
    try:
        with path.open("rb") as handle:
            return ArrayUnpickler(handle).load()
    except FileNotFoundError as error:
        raise EpisodeError(f"{path} is missing") from error
    except (
        pickle.UnpicklingError,
        EOFError,
        OSError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        RecursionError,
        MemoryError,
    ) as error:
        raise EpisodeError(f"{path} cannot be read: {error}") from error


@dataclass(frozen=True)
class PickledEpisode:
    """The location of one episode's pickles."""

    folder: Path
    index: int
    seed: int

    @property
    def name(self) -> str:
        return f"{self.index:06d}-{self.seed}.pkl"

    def read(self, task: str, images: bool = True) -> Episode:
        """The episode, with its views fused into height maps without masks.

        Raises:
            EpisodeError: naming the file that cannot be read or does not match the others.
        """
        fields = {field: load(self.folder / field / self.name) for field in (FIELDS if images else FIELDS[:3])}
        try:
            lengths = {field: len(values) for field, values in fields.items()}
            if len(set(lengths.values())) > 1 or not lengths["action"]:
                raise EpisodeError(f"{self.folder / 'action' / self.name}: its fields have different lengths: {lengths}")
            views = fused(fields["color"], fields["depth"]) if images else [None] * lengths["action"]
            infos = [plain(info) for info in fields["info"]]
            steps = zip(views, map(action_of, fields["action"]), map(float, fields["reward"]), infos, strict=True)
            return Episode(task, self.seed, tuple(Step(*step) for step in steps))
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            raise EpisodeError(f"{self.folder / 'action' / self.name} is not an episode: {type(error).__name__}: {error}") from error


def fused(color: Iterable[np.ndarray], depth: Iterable[np.ndarray]) -> list[HeightMap]:
    """One height map per step, with the original's geometry. Its mask is -1, because these pickles have no segmentation."""
    views = [
        Observation(tuple(np.asarray(view, np.uint8) for view in colors), tuple(np.asarray(view, np.float32) for view in depths))
        for colors, depths in zip(color, depth, strict=True)
    ]
    return [fuse(view, geometry="original") for view in views]


def action_of(stated: Mapping[str, Any] | None) -> Action | None:
    """The original's action. As in ours, the quaternion (0, 0, 0, 1) is a tool that points down."""
    if not stated:
        return None
    return Action(pose_of(stated["pose0"]), pose_of(stated["pose1"]))


def pose_of(stated: Iterable[Any]) -> Pose:
    parts = [np.asarray(part, float) for part in stated]
    if [part.shape for part in parts] != [(3,), (4,)]:
        raise ValueError("a pose must be a position and a quaternion")
    return parts[0], parts[1]


def pickled_episodes(folder: Path) -> list[PickledEpisode]:
    """Every episode in the folder, in the order of their numbers."""
    matches = (re.fullmatch(r"(\d+)-(-?\d+)\.pkl", path.name) for path in (folder / "action").glob("*.pkl"))
    return sorted((PickledEpisode(folder, int(m[1]), int(m[2])) for m in matches if m), key=lambda episode: episode.index)


class PickledDemonstrations(EpisodeSource):
    """The original's folder of one task and mode, read as it is. Slow (45 MB per episode and a fusion per step) until converted.

    Episodes whose small files cannot be read are named in a warning and skipped.
    """

    geometry = "original"

    def __init__(self, folder: Path, n: int | None = None, images: bool = True, cache: int = DEFAULT_BYTES, enough: bool = True) -> None:
        self.folder = folder
        self.images = images
        self.task, _, self.mode = folder.name.rpartition("-")
        self.episodes: list[PickledEpisode] = []
        lengths: list[int] = []
        for episode in pickled_episodes(folder):
            if n is not None and len(lengths) == n:
                break
            try:
                lengths.append(self.check(episode))
            except EpisodeError as error:
                log.warning("episode %s is skipped: %s", episode.name, error)
            else:
                self.episodes.append(episode)
        self.lengths: Sequence[int] = lengths
        self.cache = EpisodeCache(cache)
        check_count(folder, self.task, self.mode, len(self.episodes), n if enough else None)

    def check(self, episode: PickledEpisode) -> int:
        """The number of actions of an episode. Its views must exist, but they are not read."""
        for field in FIELDS[3:] if self.images else ():
            if not (path := self.folder / field / episode.name).is_file():
                raise EpisodeError(f"{path} is missing")
        return episode.read(self.task, images=False).actions

    @property
    def contents(self) -> str:
        """A digest of actions, rewards and infos; the images are too large to read on opening."""
        return digest_of((self.folder / field / episode.name).read_bytes() for episode in self.episodes for field in FIELDS[:3])

    def __len__(self) -> int:
        return len(self.episodes)

    def __getitem__(self, index: int) -> Episode:
        return self.cache.get(range(len(self))[index], lambda number: self.episodes[number].read(self.task, self.images))

    def draw(self, rng: np.random.Generator) -> int:
        return int(rng.integers(len(self)))
