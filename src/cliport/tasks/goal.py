"""Goals: which pieces belong where, and the reward for that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cliport.sim.poses import Pose, apply, inverse

FULL_TURN = 2 * np.pi
POINTS_APART = 0.02
"""Meters between the points of a body that count in a zone."""


@dataclass(frozen=True)
class Piece:
    """A body to be moved. It looks the same after a rotation by `symmetry` radians about z; 0 means after any rotation."""

    body: int
    symmetry: float = FULL_TURN


@dataclass(frozen=True)
class Zone:
    """A rectangle of `sides` (x, y) around a pose, below a height of `top` in its frame and without a lower limit; in meters."""

    middle: Pose
    sides: tuple[float, float]
    top: float = 0.3

    def holds(self, points: np.ndarray) -> np.ndarray:
        """Which of the points (..., 3) in meters are strictly inside: (...) bool. NaN is outside."""
        own = apply(inverse(self.middle), points)
        inside = (np.abs(own[..., :2]) < np.array(self.sides) / 2).all(-1)
        return np.asarray(inside & (own[..., 2] < self.top))


@dataclass(frozen=True)
class Goal:
    """One step of a task: pieces that belong at targets or in a zone.

    Without a zone, the score is the share of pieces at a matching target; several may be at the same one. With a zone, it is the share of
    `points` inside it, and the targets only tell the oracle where to put things.
    """

    pieces: Sequence[Piece]
    targets: Sequence[Pose]
    matches: np.ndarray
    """bool (pieces, targets): which piece may go to which target."""
    reward: float
    instruction: str
    replace: bool = False
    """Whether the oracle brings several pieces to a target, and moves pieces that are at one already. The score does not look at it."""
    rotations: bool = True
    """Whether the oracle turns pieces; otherwise it places with yaw 0."""
    zone: Zone | None = None
    points: Mapping[int, np.ndarray] = field(default_factory=dict)
    """For a zone: points (P, 3) of each body in its own frame, in meters."""

    def __post_init__(self) -> None:
        if not self.pieces or (self.zone is not None and not any(len(points) for points in self.points.values())):
            raise ValueError(f"{self.instruction!r}: a goal needs pieces, and with a zone points of them")


def remainder(angle: float, symmetry: float) -> float:
    """The smallest rotation that equals `angle` up to multiples of `symmetry`, in radians; 0 if `symmetry` is 0."""
    return float((angle + symmetry / 2) % symmetry - symmetry / 2) if symmetry > 0 else 0.0


def any_to_any(pieces: Sequence[Any], targets: Sequence[Any]) -> np.ndarray:
    """A `matches` array in which every piece may go to every target."""
    return np.ones((len(pieces), len(targets)), bool)


ORIGIN = np.zeros((1, 3))
"""Points (1, 3) of a piece of which its origin alone counts, such as a kit's."""

ORIGIN.setflags(write=False)


def box_points(size: Sequence[float]) -> np.ndarray:
    """The points (P, 3) of a box with extents `size` that count in a zone: a grid of POINTS_APART from its lower corner.

    As in the original, the upper faces are left out, so a box of 0.01 m has one point, its lower corner, and the grid is not centered.
    """
    x, y, z = (np.arange(-extent / 2, extent / 2, POINTS_APART) for extent in size)
    return np.stack(np.meshgrid(x, y, z, indexing="ij"), -1).reshape(-1, 3)
