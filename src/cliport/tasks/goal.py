"""Goals: which pieces belong where, and the reward for that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cliport.sim.poses import Pose, apply, inverse

FULL_TURN = 2 * np.pi


@dataclass(frozen=True)
class Piece:
    """A body to be moved. It looks the same after a rotation by `symmetry` radians about z; 0 means after any rotation."""

    body: int
    symmetry: float = FULL_TURN


@dataclass(frozen=True)
class Zone:
    """A rectangle of `sides` (x, y) in meters around a pose on the table; heights do not matter."""

    middle: Pose
    sides: tuple[float, float]

    def holds(self, points: np.ndarray) -> np.ndarray:
        """Which of the points (..., 3) in meters are inside: (...) bool."""
        own = np.abs(apply(inverse(self.middle), points)[..., :2])
        return np.asarray((own <= np.array(self.sides) / 2).all(-1))


@dataclass(frozen=True)
class Goal:
    """One step of a task: pieces that belong at targets or in a zone.

    Without a zone, the score is the share of pieces at a matching target. With a zone, it is the share of `points` inside it, and the
    targets only tell the oracle where to put things.
    """

    pieces: Sequence[Piece]
    targets: Sequence[Pose]
    matches: np.ndarray
    """bool (pieces, targets): which piece may go to which target."""
    reward: float
    instruction: str
    replace: bool = False
    """Whether several pieces may share a target."""
    zone: Zone | None = None
    points: Mapping[int, np.ndarray] = field(default_factory=dict)
    """For a zone: points (P, 3) of each body in its own frame, in meters."""

    @property
    def metric(self) -> str:
        return "pose" if self.zone is None else "zone"


def remainder(angle: float, symmetry: float) -> float:
    """The smallest rotation that equals `angle` up to multiples of `symmetry`, in radians; 0 if `symmetry` is 0."""
    return float((angle + symmetry / 2) % symmetry - symmetry / 2) if symmetry > 0 else 0.0


def any_to_any(pieces: Sequence[Any], targets: Sequence[Any]) -> np.ndarray:
    """A `matches` array in which every piece may go to every target."""
    return np.ones((len(pieces), len(targets)), bool)


def grid(size: Sequence[float], share: float = 0.9) -> np.ndarray:
    """A grid of 27 points (27, 3) over the middle `share` of a box with extents `size`."""
    steps = np.array([-0.5, 0.0, 0.5]) * share
    return np.asarray(np.stack(np.meshgrid(steps, steps, steps), -1).reshape(-1, 3) * np.asarray(size))
