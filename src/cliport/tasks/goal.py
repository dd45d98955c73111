"""Goals: which pieces shall stand where, and what that is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cliport.sim.poses import Pose, apply, inverse

FULL_TURN = 2 * np.pi


@dataclass(frozen=True)
class Piece:
    """A body that shall be moved. After a turn by `symmetry` radians about z it looks the same; 0 means after any turn."""

    body: int
    symmetry: float = FULL_TURN


@dataclass(frozen=True)
class Zone:
    """A rectangle of `sides` (x, y) metres around a pose on the table, open upwards to the workspace's height."""

    middle: Pose
    sides: tuple[float, float]

    def holds(self, points: np.ndarray) -> np.ndarray:
        """Which of the points (..., 3) in metres are inside, (...) bool."""
        own = np.abs(apply(inverse(self.middle), points)[..., :2])
        return np.asarray((own <= np.array(self.sides) / 2).all(-1))


@dataclass(frozen=True)
class Goal:
    """One step of a task: these pieces shall stand at these targets, or lie in a zone.

    With a zone, the score is the share of `points` inside it, and targets are only where the oracle puts things; without, it is the
    share of pieces at a target that matches them.
    """

    pieces: Sequence[Piece]
    targets: Sequence[Pose]
    matches: np.ndarray
    """bool (pieces, targets): which piece may go where."""
    reward: float
    instruction: str
    replace: bool = False
    """Whether several pieces may share a target."""
    zone: Zone | None = None
    points: Mapping[int, np.ndarray] = field(default_factory=dict)
    """For the zone: points (P, 3) of each body in its own frame, in metres."""

    @property
    def metric(self) -> str:
        return "pose" if self.zone is None else "zone"


def remainder(angle: float, symmetry: float) -> float:
    """The smallest turn equal to `angle` up to multiples of `symmetry`, in radians; 0 when any turn looks the same."""
    return float((angle + symmetry / 2) % symmetry - symmetry / 2) if symmetry > 0 else 0.0


def any_to_any(pieces: Sequence[Any], targets: Sequence[Any]) -> np.ndarray:
    """A match matrix where every piece may go to every target."""
    return np.ones((len(pieces), len(targets)), bool)


def grid(size: Sequence[float], share: float = 0.9) -> np.ndarray:
    """27 points (27, 3) spread over the middle `share` of a box of extents `size`."""
    steps = np.array([-0.5, 0.0, 0.5]) * share
    return np.asarray(np.stack(np.meshgrid(steps, steps, steps), -1).reshape(-1, 3) * np.asarray(size))
