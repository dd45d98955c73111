"""Pieces of the kits: flat letters and figures, the board, and the marks that show where a piece belongs.

A figure is a union of convex polygons in the square from -1 to 1; the piece and the mark of a name have the same outline.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from .geometry import Color, Solid, box_solid, hull_solid, merged, outline, prism
from .shape import Shape, shape

Polygons = list[np.ndarray]


def bar(a: Sequence[float], b: Sequence[float], width: float = 0.5) -> np.ndarray:
    """A thick line between two points."""
    start, end = np.array(a, float), np.array(b, float)
    along = (end - start) / np.linalg.norm(end - start)
    across = np.array([-along[1], along[0]]) * width / 2
    return np.array([start - across, end - across, end + across, start + across])


def regular(corners: int, radius: float = 1.0, middle: Sequence[float] = (0, 0), first: float = np.pi / 2) -> np.ndarray:
    angle = first + 2 * np.pi * np.arange(corners) / corners
    return np.stack([np.cos(angle), np.sin(angle)], 1) * radius + middle


def arc(start: float, end: float, pieces: int, outer: float = 1.0, inner: float = 0.5, middle: Sequence[float] = (0, 0)) -> Polygons:
    """Convex pieces of a ring between two angles in degrees."""
    edges = np.radians(np.linspace(start, end, pieces + 1))
    rays = np.stack([np.cos(edges), np.sin(edges)], 1)
    return [np.array([a * inner, a * outer, b * outer, b * inner]) + middle for a, b in itertools.pairwise(rays)]


def star() -> Polygons:
    tips, dents = regular(5), regular(5, 0.42, first=np.pi / 2 + np.pi / 5)
    return [dents, *(np.array([dents[i - 1], tips[i], dents[i]]) for i in range(5))]


def heart() -> Polygons:
    lobes = [regular(16, 0.52, (side * 0.46, 0.42)) for side in (-1, 1)]
    return [*lobes, np.array([[0, -1], [0.86, 0.09], [0, 0.62], [-0.86, 0.09]])]


LETTERS: dict[str, Callable[[], Polygons]] = {
    "letter R shape": lambda: [
        bar((-0.5, -1), (-0.5, 1)),
        *arc(-90, 90, 5, 0.6, 0.15, (0.05, 0.4)),
        bar((-0.3, 0.775), (0.06, 0.775), 0.45),
        bar((-0.3, 0.025), (0.06, 0.025), 0.45),
        bar((0, -0.05), (0.5, -0.95), 0.45),
    ],
    "letter A shape": lambda: [
        bar((-0.7, -0.97), (-0.08, 0.9), 0.42),
        bar((0.7, -0.97), (0.08, 0.9), 0.42),
        bar((-0.45, -0.3), (0.45, -0.3), 0.35),
    ],
    "triangle": lambda: [regular(3)],
    "square": lambda: [np.array([[-0.8, -0.8], [0.8, -0.8], [0.8, 0.8], [-0.8, 0.8]])],
    "plus": lambda: [bar((-1, 0), (1, 0), 0.66), bar((0, -1), (0, 1), 0.66)],
    "letter T shape": lambda: [bar((-0.85, 0.72), (0.85, 0.72), 0.56), bar((0, -1), (0, 0.6), 0.56)],
    "diamond": lambda: [np.array([[0, -1], [0.8, 0], [0, 1], [-0.8, 0]])],
    "pentagon": lambda: [regular(5)],
    "rectangle": lambda: [np.array([[-0.6, -1], [0.6, -1], [0.6, 1], [-0.6, 1]])],
    "flower": lambda: [regular(4, 0.5 * 2**0.5, first=np.pi / 4), *(regular(12, 0.5, 0.5 * point) for point in regular(4))],
    "star": star,
    "circle": lambda: [regular(24, 0.9)],
    "letter G shape": lambda: [*arc(45, 345, 8, 1, 0.52), bar((0.15, -0.12), (0.97, -0.12), 0.42)],
    "letter V shape": lambda: [bar((-0.68, 0.95), (-0.06, -0.85), 0.45), bar((0.68, 0.95), (0.06, -0.85), 0.45)],
    "letter E shape": lambda: [bar((-0.5, -1), (-0.5, 1)), *(bar((-0.4, y), (0.7, y), 0.42) for y in (-0.79, 0, 0.79))],
    "letter L shape": lambda: [bar((-0.45, -1), (-0.45, 1), 0.56), bar((-0.3, -0.72), (0.75, -0.72), 0.56)],
    "ring": lambda: arc(0, 360, 12, 1, 0.55),
    "hexagon": lambda: [regular(6)],
    "heart": heart,
    "letter M shape": lambda: [
        bar((-0.78, -0.95), (-0.78, 0.95), 0.42),
        bar((0.78, -0.95), (0.78, 0.95), 0.42),
        bar((-0.7, 0.8), (0, -0.35), 0.42),
        bar((0.7, 0.8), (0, -0.35), 0.42),
    ],
}
"""The twenty figures of the kits by the names in the instructions, in the order of the original's numbering."""

TURNS = {"triangle": 3, "square": 4, "plus": 4, "diamond": 2, "pentagon": 5, "rectangle": 2, "flower": 4, "star": 5, "hexagon": 6}
"""How often a figure looks the same in a full rotation about its origin, if more than once."""
ROUND = ("circle", "ring")
"""Figures that look the same after any rotation."""
WIDTH, LONG = 0.06, {"diamond": 0.075, "rectangle": 0.075}  # meters: the longer side of a piece, and of those that are longer
HEIGHT, OUTLINE_HEIGHT = 0.02, 0.002  # meters: of a piece, and of the plate that shows where it belongs
BOARD = (0.28, 0.2, 0.005)  # meters
BOARD_COLOR: Color = (0.612, 0.459, 0.373)
OUTLINE_COLOR: Color = (0.2, 0.2, 0.2)


def width(name: str) -> float:
    """The longer side of a piece in meters."""
    return LONG.get(name, WIDTH)


@cache
def figure(name: str, width: float) -> tuple[np.ndarray, ...]:
    """Convex counter-clockwise polygons of a figure in meters; the longer side of its bounding box is `width`.

    The origin is its center of symmetry, or the center of the bounding box if it has none.
    """
    polygons = LETTERS[name]()
    points = np.concatenate(polygons)
    low, high = points.min(0), points.max(0)
    origin = np.zeros(2) if name in TURNS or name in ROUND else (low + high) / 2
    scaled = [(polygon - origin) * width / (high - low).max() for polygon in polygons]
    return tuple(polygon if signed_area(polygon) > 0 else polygon[::-1] for polygon in scaled)


def signed_area(polygon: np.ndarray) -> float:
    x, y = polygon.T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


@cache
def letter(name: str, height: float = HEIGHT, mass: float = 0.1) -> Shape:
    """A flat piece of a kit: one of LETTERS. Origin: that of its `figure`, at half its height."""
    polygons = figure(name, width(name))
    solids = [upright(polygon, height) for polygon in polygons]
    return shape(name, solids, [merged([prism(polygon, height) for polygon in polygons])], mass=mass)


def upright(polygon: np.ndarray, height: float, middle: float = 0.0) -> Solid:
    return hull_solid(np.array([[*point, middle + z] for point in polygon for z in (-height / 2, height / 2)]))


@cache
def decal(name: str) -> Shape:
    """The thin plate that shows where a `letter` of the same name belongs. Origin: that of its `figure`, at half its height.

    It is touched as its convex hull, on which a piece lies flat. Except for the height, its pose is that of the piece in place.
    """
    polygons = figure(name, width(name))
    points = np.concatenate(polygons)
    # Twice as deep as it is seen, into the board below: PyBullet's margin would leave nothing of so thin a hull.
    solid = upright(points[outline(points)], 2 * OUTLINE_HEIGHT, -OUTLINE_HEIGHT / 2)
    plate = merged([prism(polygon, OUTLINE_HEIGHT) for polygon in polygons])
    return shape(f"{name} outline", [solid], [plate], color=OUTLINE_COLOR)


def kit_board() -> Shape:
    """A thin board. Origin: the center of its extents."""
    return shape("kit", [box_solid(BOARD)], mass=0.5, color=BOARD_COLOR)
