"""The height map of three views. STUB: being written."""

from __future__ import annotations

from .observation import HeightMap, Observation


def fuse(observation: Observation) -> HeightMap:
    """The height map of an observation's views."""
    raise NotImplementedError
