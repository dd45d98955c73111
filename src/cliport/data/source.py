"""Episodes to learn from, whatever form they lie in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.errors import DataError

from ..sim.action import Action
from ..sim.observation import HeightMap
from .episode import Episode

CACHE = 512 * 2**20
"""Bytes of episodes that a process keeps in memory unless told otherwise."""


@dataclass(frozen=True)
class Sample:
    """One step of a demonstration, as an agent learns from it."""

    task: str
    view: HeightMap | None
    instruction: str
    action: Action
    goal: HeightMap | None
    """The next view in a sequential task, else the episode's last."""


class Source(ABC):
    """Episodes by number. May be sent to another process, where its cache is empty."""

    @abstractmethod
    def __len__(self) -> int:
        """How many episodes there are."""

    @abstractmethod
    def __getitem__(self, index: int) -> Episode:
        """Read an episode.

        Raises:
            EpisodeError: naming the file, where it has become unreadable since the source was opened.
        """

    lengths: Sequence[int]
    """How many actions each episode has."""

    @property
    @abstractmethod
    def contents(self) -> str:
        """A digest of the episodes in their order, equal wherever their files lie."""

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
    """Raise DataError when a folder has no episode, or fewer than wanted."""
    if found == 0 or (wanted is not None and found < wanted):
        asked = f"n={wanted}" if wanted else "some"
        command = f"python -m cliport.demos n={wanted or 1} task={task} mode={mode} data_dir={folder.parent}"
        raise DataError(f"{folder}: has {found} whole demonstrations where {asked} are wanted; make more: {command}")
