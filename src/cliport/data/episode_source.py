"""Episodes to train and evaluate on, in whatever format they are stored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.errors import DataError

from ..sim.action import Action
from ..sim.observation import HeightMap
from ..tasks.outside import RECORDED
from .episode import Episode


@dataclass(frozen=True)
class Sample:
    """One step of a demonstration, as a training sample."""

    task: str
    view: HeightMap | None
    instruction: str
    action: Action
    goal: HeightMap | None
    """The next view in a sequential task, else the episode's last."""


class EpisodeSource(ABC):
    """Episodes by number. Can be sent to another process, where its cache starts empty."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of episodes."""

    @abstractmethod
    def __getitem__(self, index: int) -> Episode:
        """Read an episode.

        Raises:
            EpisodeError: naming the file, if it has become unreadable since the source was opened.
        """

    geometry: str
    """Of the height maps' cells, `exact` or `original`: see `cliport.sim.fusion`."""
    lengths: Sequence[int]
    """Number of actions of each episode."""

    @property
    @abstractmethod
    def contents(self) -> str:
        """A digest of the episodes in their order, independent of where their files are."""

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> int:
        """The number of a random episode."""

    def sample(self, episode: int, step: int) -> Sample:
        """One step of one episode."""
        whole = self[episode]
        chosen = whole.steps[step]
        if chosen.action is None:
            raise IndexError(f"step {step} of episode {episode} has no action")
        return Sample(whole.task, chosen.view, chosen.instruction, chosen.action, whole.goal(step))

    def random(self, rng: np.random.Generator) -> Sample:
        """A random step of a random episode, as the original draws them."""
        episode = self.draw(rng)
        return self.sample(episode, int(rng.integers(self.lengths[episode])))


def check_count(folder: Path, task: str, mode: str, found: int, wanted: int | None) -> None:
    """Raise DataError if a folder has no episode, or fewer than wanted."""
    if found == 0 or (wanted is not None and found < wanted):
        asked = f"n={wanted}" if wanted else "some"
        command = f"python -m cliport.demos n={wanted or 1} task={task} mode={mode} data_dir={folder.parent}"
        if task.startswith(RECORDED):
            command = f"python -m cliport.data.own folder=RECORDINGS name={task.removeprefix(RECORDED)} output={folder.parent}"
        raise DataError(f"{folder}: has {found} complete demonstrations, but {asked} are needed; make more: {command}")
