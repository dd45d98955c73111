"""The vocabulary of `objects`: colored solids, and common objects made of them. Lengths are in centimeters, z = 0 is the bottom."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cliport.sim.poses import quaternion_from_euler
from cliport.sim.shapes import Solid
from cliport.sim.shapes.geometry import triple

from .colors import COLORS, Color

Point = tuple[float, float, float]
EXTRA: dict[str, Color] = {
    "black": (0.08, 0.08, 0.08),
    "silver": (0.75, 0.77, 0.8),
    "gold": (0.83, 0.66, 0.2),
    "tan": (0.82, 0.65, 0.42),
    "wood": (0.6, 0.42, 0.24),
    "dark": (0.22, 0.23, 0.26),
    "porcelain": (0.94, 0.94, 0.9),
    "sole": (0.55, 0.5, 0.45),
}
TINTS = COLORS | EXTRA


@dataclass(frozen=True)
class Part:
    """A convex solid and its color."""

    solid: Solid
    color: str


def block(color: str, size: Point, at: Point, yaw: float = 0.0) -> Part:
    """A box with extents `size` around `at`, rotated by `yaw` degrees."""
    return Part(Solid("box", metres(size), metres(at), quaternion(0, 0, yaw)), color)


def rod(color: str, diameter: float, length: float, at: Point, axis: str = "z", yaw: float = 0.0) -> Part:
    """A cylinder around `at` with axis "x", "y" or "z", then rotated by `yaw` degrees."""
    turn = {"x": (0, 90, yaw), "y": (90, 0, yaw), "z": (0, 0, yaw)}[axis]
    return Part(Solid("cylinder", metres((diameter, diameter, length)), metres(at), quaternion(*turn)), color)


def ball(color: str, diameter: float, at: Point) -> Part:
    return Part(Solid("sphere", metres((diameter,) * 3), metres(at)), color)


def metres(point: Point) -> tuple[float, float, float]:
    x, y, z = point
    return x / 100, y / 100, z / 100


def quaternion(roll: float, pitch: float, yaw: float) -> tuple[float, float, float, float]:
    return tuple(quaternion_from_euler(*np.radians([roll, pitch, yaw])).tolist())


def ring(color: str, diameter: float, width: float, height: float, z: float, count: int = 12) -> list[Part]:
    """A hollow ring of `count` blocks."""
    angles = np.arange(count) * 360 / count
    length = np.pi * diameter / count * 1.04
    middle = (diameter - width) / 2
    return [
        block(color, (width, length, height), (middle * np.cos(np.radians(a)), middle * np.sin(np.radians(a)), z), float(a)) for a in angles
    ]


def animal(color: str, head: str, feet: str, *ornaments: Part, length: float = 5.0) -> list[Part]:
    """An animal with four legs, a body along x and a head in front."""
    reach = length / 2 - 0.7
    legs = [rod(feet, 1.1, 2.0, (x, y, 1.0)) for x in (-reach, reach) for y in (-1.0, 1.0)]
    return [*legs, block(color, (length, 3.2, 2.0), (0, 0, 3.0)), block(head, (2.2, 2.2, 2.2), (length / 2 + 0.9, 0, 3.6)), *ornaments]


def person(shirt: str, legs: str, head: str, *ornaments: Part) -> list[Part]:
    """A standing figure that looks along x."""
    limbs = [rod(legs, 1.3, 2.6, (0, y, 1.3)) for y in (-0.8, 0.8)] + [rod(shirt, 1.0, 2.4, (0, y, 4.2)) for y in (-1.9, 1.9)]
    return [
        *limbs,
        block(legs, (1.6, 2.8, 0.8), (0, 0, 0.4)),
        block(shirt, (1.6, 2.8, 3.0), (0, 0, 4.0)),
        ball(head, 3.0, (0, 0, 6.9)),
        *ornaments,
    ]


def shoe(upper: str, sole: str, stripe: str, *, shaft: float = 0.0, spots: str = "") -> list[Part]:
    """A shoe along x with its toe in front; a boot has a `shaft`, which may have `spots` of a color."""
    stripes = [block(stripe, (0.5, 3.5, 0.3), (x, 0, 2.5)) for x in (0.0, 1.3)]
    leg = [rod(upper, 3.2, shaft, (-2.6, 0, 2.5 + shaft / 2)), rod(stripe, 3.4, 0.6, (-2.6, 0, 2.2 + shaft))] if shaft else []
    return [
        block(sole, (8.6, 3.4, 0.8), (0, 0, 0.4)),
        block(upper, (8.0, 3.0, 1.7), (0, 0, 1.65)),
        rod(upper, 3.0, 1.6, (3.6, 0, 1.6)),
        *stripes,
        *leg,
        *(ball(spots, 0.9, (x, y, 2.6 + shaft / 2)) for x, y in ((-1.3, 0.6), (-1.3, -0.6), (-2.6, 1.5), (-2.6, -1.5)) if spots),
    ]


def sandal(color: str) -> list[Part]:
    straps = [block("dark", (0.9, 3.7, 0.9), (x, 0, 1.4)) for x in (-2.2, 1.6)]
    return [block(color, (8.0, 3.4, 1.0), (0, 0, 0.5)), rod(color, 3.4, 1.0, (3.6, 0, 0.5)), *straps]


def hat(color: str, band: str) -> list[Part]:
    return [rod(color, 8.6, 0.6, (0, 0, 0.3)), rod(band, 5.2, 0.9, (0, 0, 1.0)), rod(color, 5.0, 2.2, (0, 0, 2.4))]


def carton(color: str, band: str, *marks: Part) -> list[Part]:
    return [block(color, (6.4, 4.6, 3.0), (0, 0, 1.5)), block(band, (6.6, 1.2, 3.1), (0, 0, 1.55)), *marks]


def cup(color: str) -> list[Part]:
    """A cup with a dark top, as if open, and a handle on one side."""
    handle = [block(color, (1.8, 0.8, 0.8), (3.2, 0, z)) for z in (1.2, 3.4)]
    return [rod(color, 5.2, 4.4, (0, 0, 2.2)), rod("dark", 4.2, 0.1, (0, 0, 4.42)), *handle, block(color, (0.8, 0.8, 3.0), (4.0, 0, 2.3))]


def mouse(color: str) -> list[Part]:
    body = [block(color, (4.6, 3.8, 2.0), (0, 0, 1.0)), rod(color, 3.8, 2.0, (2.3, 0, 1.0)), rod(color, 3.8, 2.0, (-2.3, 0, 1.0))]
    return [*body, rod("red", 1.1, 0.7, (2.2, 0, 2.0), "y"), block("gray", (2.4, 0.2, 0.2), (2.8, 0, 2.0))]


def towel(color: str) -> list[Part]:
    stripes = [block(color, (1.2, 5.6, 2.0), (x, 0, 1.0)) for x in (-2.8, 0.0, 2.8)]
    return [block("white", (7.4, 5.4, 1.9), (0, 0, 0.95)), *stripes]


def vehicle(color: str, cabin: str, *more: Part) -> list[Part]:
    wheels = [rod("black", 1.6, 0.8, (x, y, 0.8), "y") for x in (-2.5, 2.5) for y in (-1.7, 1.7)]
    return [block(color, (8.4, 3.2, 2.2), (0, 0, 1.9)), block(cabin, (2.0, 3.0, 1.2), (-2.8, 0, 3.6)), *wheels, *more]


def tool(handle: str, length: float, *more: Part, thickness: float = 1.6) -> list[Part]:
    """A handle along x that ends at the origin, and the parts at that end."""
    return [rod(handle, thickness, length, (-length / 2, 0, thickness / 2), "x"), *more]


def flat(color: str, size: Point, *more: Part) -> list[Part]:
    return [block(color, size, (0, 0, size[2] / 2)), *more]


def shifted(parts: Sequence[Part], by: Point, scale: float) -> list[Part]:
    """Parts scaled, then moved."""
    return [
        Part(
            dataclasses.replace(
                part.solid,
                size=triple(scale * s for s in part.solid.size),
                position=triple(scale * p + b / 100 for p, b in zip(part.solid.position, by, strict=True)),
            ),
            part.color,
        )
        for part in parts
    ]
