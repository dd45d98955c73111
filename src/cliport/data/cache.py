"""The most recently used episodes, up to a number of bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from .episode import Episode

DEFAULT_MIB = 512
"""Memory for cached episodes that a process uses unless told otherwise."""
DEFAULT_BYTES = DEFAULT_MIB * 2**20


class EpisodeCache:
    """Drops the least recently used episodes first. A copy sent to another process starts empty, with the same limit."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        self.episodes: OrderedDict[int, Episode] = OrderedDict()

    def get(self, key: int, read: Callable[[int], Episode]) -> Episode:
        """The episode with this key, from memory or from `read`."""
        if key in self.episodes:
            self.episodes.move_to_end(key)
            return self.episodes[key]
        episode = read(key)
        if episode.nbytes <= self.limit:
            self.episodes[key] = episode
            self.held += episode.nbytes
            while self.held > self.limit:
                self.held -= self.episodes.popitem(last=False)[1].nbytes
        return episode

    def __reduce__(self) -> tuple[type, tuple[int]]:
        return type(self), (self.limit,)
