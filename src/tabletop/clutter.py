"""What makes a scene hard to read: a patterned table, and small bodies and upright boards that belong to no class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pybullet

from .shapes import COLOURS

PIECES = (4, 10)  # bounds of the number of small bodies
BOARDS = (1, 3)  # bounds of the number of boards, each in front of an object if there is room
GAP = 0.004  # meters between bodies, at least
TINT = 0.1  # largest change of each of an object's color values
PATTERNS = ("stripes", "checks", "spots", "grain")


@dataclass(frozen=True)
class Pattern:
    """A pattern of two colors on the table. Lengths are in meters, angles in radians."""

    kind: str
    """One of PATTERNS."""
    colour: tuple[float, float, float]
    """The second color, RGB in [0, 1]; the first is the table's."""
    period: float
    angle: float

    @classmethod
    def draw(cls, rng: np.random.Generator, table: Sequence[float]) -> Pattern:
        """A pattern whose second color is often close to that of an object."""
        palette = np.array(list(COLOURS.values()))
        colour = palette[rng.integers(len(palette))] * 0.6 + np.array(table) * 0.4 + rng.uniform(-TINT, TINT, 3)
        kind = PATTERNS[rng.integers(len(PATTERNS))]
        return cls(kind, tuple(colour.clip(0.05, 0.95).tolist()), float(rng.uniform(0.025, 0.09)), float(rng.uniform(0, np.pi)))

    def share(self, points: np.ndarray) -> np.ndarray:
        """How much of the second color points (.., 2) of the table have: (..) in [0, 1]."""
        along = np.array([np.cos(self.angle), np.sin(self.angle)])
        u, v = points @ along / self.period, points @ np.array([-along[1], along[0]]) / self.period
        match self.kind:
            case "stripes":
                wave = np.sin(2 * np.pi * u)
            case "checks":
                wave = np.sin(2 * np.pi * u) * np.sin(2 * np.pi * v) * 2
            case "spots":
                wave = (0.3 - np.hypot(u - np.rint(u), v - np.rint(v))) * 6
            case _:  # fibres along v, that bend
                bent = u + 0.25 * np.sin(1.3 * v) + 0.1 * np.sin(3.1 * v + 2 * u)
                wave = 0.8 * np.sin(2 * np.pi * bent) * np.sin(5.3 * bent + 0.7 * v)
        return np.asarray((0.5 + 2 * wave).clip(0, 1))


@dataclass(frozen=True)
class Piece:
    """A box of extents `size` in meters that belongs to no class."""

    size: tuple[float, float, float]
    colour: tuple[float, float, float]
    place: tuple[float, float, float]
    yaw: float

    def add(self, client: int) -> int:
        """Add it to the world, and return its body."""
        half = [side / 2 for side in self.size]
        shape = pybullet.createCollisionShape(pybullet.GEOM_BOX, halfExtents=half, physicsClientId=client)
        look = pybullet.createVisualShape(pybullet.GEOM_BOX, halfExtents=half, rgbaColor=[*self.colour, 1], physicsClientId=client)
        turn = pybullet.getQuaternionFromEuler([0, 0, self.yaw])
        body = int(pybullet.createMultiBody(0.05, shape, look, self.place, turn, physicsClientId=client))
        pybullet.changeDynamics(body, -1, lateralFriction=0.8, spinningFriction=0.003, physicsClientId=client)
        return body


def draw_pieces(rng: np.random.Generator, taken: Sequence[tuple[float, float, float]], reach: np.ndarray) -> list[Piece]:
    """Boards in front of some of the objects, and small bodies anywhere, all at free places.

    Args:
        rng: source of all draws.
        taken: x, y and radius in meters of the objects on the table.
        reach: (2,) bounds of x and y in meters, on both sides of the table's center.
    """
    found: list[Piece] = []
    full = list(taken)
    for _ in range(rng.integers(BOARDS[0], BOARDS[1] + 1)):
        size = rng.uniform((0.05, 0.01, 0.05), (0.09, 0.014, 0.1))
        x, y, radius = taken[int(rng.integers(len(taken)))]
        toward = rng.uniform(-0.4, 0.4)  # the viewer, who stands at negative y
        away = radius + size[:2].max() / 2 + 2 * GAP
        put(rng, found, full, size, (x + away * np.sin(toward), y - away * np.cos(toward)), toward)
    for _ in range(rng.integers(PIECES[0], PIECES[1] + 1)):
        size = rng.uniform((0.008, 0.008, 0.006), (0.05, 0.02, 0.02))
        for _ in range(30):
            if put(rng, found, full, size, rng.uniform(-reach, reach), rng.uniform(0, np.pi)):
                break
    return found


def put(
    rng: np.random.Generator,
    found: list[Piece],
    full: list[tuple[float, float, float]],
    size: np.ndarray,
    place: Sequence[float] | np.ndarray,
    yaw: float,
) -> bool:
    """Add a piece of a random color to those that were found if its place is free; says whether it was."""
    x, y = (float(value) for value in place)
    radius = float(np.hypot(*size[:2]) / 2)
    if any(np.hypot(x - other[0], y - other[1]) < radius + other[2] + GAP for other in full):
        return False
    palette = list(COLOURS.values())
    colour = (np.array(palette[rng.integers(len(palette))]) + rng.uniform(-2 * TINT, 2 * TINT, 3)).clip(0, 1)
    found.append(Piece(tuple(size.tolist()), tuple(colour.tolist()), (x, y, float(size[2] / 2 + 0.002)), float(yaw)))
    full.append((x, y, radius))
    return True
