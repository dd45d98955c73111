"""Named objects assembled from colored solids: stand-ins for the scanned household objects that CLIPort packs.

They are not scans and have no textures: a name stands for a silhouette and colors that distinguish it from the others. Seen names occur
in every task; unseen names share some of their words ("brown fedora", "black fedora"), so that words can transfer. In the definitions
lengths are in centimeters, z = 0 is the bottom, and an object is about 6 to 10 cm long.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from cliport.sim.poses import quaternion_from_euler
from cliport.sim.shapes import Mesh, Shape, Solid, shape
from cliport.sim.shapes.geometry import triple

from .catalog import choose
from .colors import COLORS, Color

NOTE = "named objects are assembled from simple solids; they are not scanned objects"

Point = tuple[float, float, float]
EXTRA: dict[str, Color] = {
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


def shoe(upper: str, sole: str, stripe: str, *, shaft: float = 0.0) -> list[Part]:
    """A shoe along x with its toe in front; a boot has a `shaft`."""
    stripes = [block(stripe, (0.5, 3.5, 0.3), (x, 0, 2.5)) for x in (0.0, 1.3)]
    leg = [rod(upper, 3.2, shaft, (-2.6, 0, 2.5 + shaft / 2)), rod(stripe, 3.4, 0.6, (-2.6, 0, 2.2 + shaft))] if shaft else []
    return [
        block(sole, (8.6, 3.4, 0.8), (0, 0, 0.4)),
        block(upper, (8.0, 3.0, 1.7), (0, 0, 1.65)),
        rod(upper, 3.0, 1.6, (3.6, 0, 1.6)),
        *stripes,
        *leg,
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


Builder = Callable[[], list[Part]]

SEEN: dict[str, Builder] = {
    "alarm clock": lambda: [
        rod("red", 5.6, 2.4, (0, 0, 1.2)),
        rod("white", 4.6, 0.2, (0, 0, 2.45)),
        block("black", (0.4, 1.9, 0.2), (0, 0.8, 2.6)),
        block("black", (1.4, 0.4, 0.2), (0.6, 0, 2.6)),
        rod("gold", 2.0, 1.6, (-2.0, 3.0, 0.9)),
        rod("gold", 2.0, 1.6, (2.0, 3.0, 0.9)),
    ],
    "black boot": partial(shoe, "black", "dark", "tan", shaft=2.6),
    "black fedora": partial(hat, "black", "gray"),
    "black mouse": partial(mouse, "black"),
    "black sandal": partial(sandal, "black"),
    "black shoe with orange stripes": partial(shoe, "black", "white", "orange"),
    "bull figure": lambda: animal(
        "brown", "dark", "dark", rod("white", 0.7, 4.6, (3.4, 0, 5.0), "y"), rod("dark", 0.6, 2.0, (-3.3, 0, 3.4), "x")
    ),
    "c clamp": lambda: [
        block("blue", (6.0, 1.4, 1.6), (0, -2.4, 0.8)),
        block("blue", (1.4, 4.8, 1.6), (-2.4, 0, 0.8)),
        block("blue", (2.4, 1.4, 1.6), (-1.8, 2.4, 0.8)),
        rod("silver", 1.0, 5.4, (2.0, -0.4, 0.8), "y"),
        rod("silver", 2.0, 0.8, (2.0, 2.2, 1.0), "y"),
    ],
    "can opener": lambda: [
        block("red", (7.0, 1.0, 1.2), (-2.0, 0.9, 0.6), 8),
        block("red", (7.0, 1.0, 1.2), (-2.0, -0.9, 0.6), -8),
        rod("silver", 2.6, 1.8, (2.2, 0, 0.9)),
        rod("silver", 1.0, 1.0, (2.2, 0, 2.2)),
    ],
    "cherry soda box": partial(carton, "red", "white"),
    "crayon box": lambda: [
        block("yellow", (4.4, 6.4, 2.2), (0, 0, 1.1)),
        block("green", (4.5, 1.6, 2.3), (0, -1.2, 1.15)),
        *(
            rod(color, 0.7, 1.6, (x, 3.8, 1.2), "y")
            for color, x in zip(("red", "blue", "orange", "purple"), (-1.5, -0.5, 0.5, 1.5), strict=True)
        ),
    ],
    "dog statue": lambda: animal(
        "tan", "tan", "tan", block("dark", (0.9, 0.6, 1.6), (3.2, 1.4, 3.8)), block("dark", (0.9, 0.6, 1.6), (3.2, -1.4, 3.8))
    ),
    "frypan": lambda: [
        rod("dark", 6.4, 1.4, (0, 0, 0.7)),
        rod("gray", 5.4, 0.2, (0, 0, 1.42)),
        block("wood", (5.0, 1.2, 0.8), (5.2, 0, 0.9)),
    ],
    "game cartridge": lambda: flat(
        "gray", (5.6, 5.6, 1.4), block("purple", (4.2, 3.0, 0.2), (0, 0.8, 1.42)), block("dark", (3.4, 0.6, 0.2), (0, -2.0, 1.42))
    ),
    "gold soda box": partial(carton, "gold", "dark"),
    "green and white striped towel": partial(towel, "green"),
    "hard drive": lambda: flat(
        "silver", (7.2, 5.0, 1.8), rod("dark", 3.6, 0.2, (0.9, 0, 1.85)), block("green", (1.0, 3.8, 0.2), (-2.6, 0, 1.85))
    ),
    "honey dipper": lambda: tool("wood", 6.0, *(rod("gold", 2.4, 0.7, (0.5 + 1.0 * i, 0, 1.2), "x") for i in range(3)), thickness=1.0),
    "magnifying glass": lambda: [
        *ring("dark", 5.0, 0.6, 1.2, 0.6),
        rod("cyan", 4.2, 0.6, (0, 0, 0.5)),
        rod("wood", 1.2, 4.4, (4.6, 0, 0.6), "x"),
    ],
    "porcelain cup": partial(cup, "porcelain"),
    "purple tape": lambda: ring("purple", 6.0, 1.5, 2.2, 1.1),
    "red and white flashlight": lambda: [
        rod("white", 2.2, 5.0, (-1.0, 0, 1.5), "x"),
        rod("red", 3.0, 1.8, (2.2, 0, 1.5), "x"),
        rod("yellow", 2.4, 0.2, (3.2, 0, 1.5), "x"),
        rod("red", 2.4, 1.0, (-3.4, 0, 1.5), "x"),
    ],
    "rhino figure": lambda: animal("gray", "gray", "gray", rod("white", 0.9, 1.6, (4.6, 0, 5.0)), length=6.0),
    "robot toy": lambda: [
        block("green", (3.4, 4.0, 2.2), (0, 0, 1.1)),
        block("green", (2.6, 2.8, 2.0), (3.0, 0, 1.0)),
        *(ball("white", 0.9, (3.4, y, 2.1)) for y in (-0.7, 0.7)),
        *(rod("gray", 1.2, 3.4, (0, y, 0.7), "x") for y in (-2.7, 2.7)),
        *(rod("gray", 1.3, 2.6, (-2.8, y, 0.7), "x") for y in (-1.1, 1.1)),
    ],
    "scissors": lambda: [
        block("silver", (5.4, 0.9, 0.9), (1.6, 0, 0.45), 14),
        block("silver", (5.4, 0.9, 0.9), (1.6, 0, 1.0), -14),
        *(rod("orange", 2.4, 1.2, (-2.2, y, 0.6)) for y in (-1.4, 1.4)),
        *(rod("white", 1.2, 0.2, (-2.2, y, 1.25)) for y in (-1.4, 1.4)),
    ],
    "silver tape": lambda: ring("silver", 6.6, 1.5, 2.2, 1.1),
    "spatula with purple head": lambda: tool("black", 6.0, block("purple", (3.4, 3.4, 0.8), (1.7, 0, 0.6)), thickness=1.0),
    "tablet": lambda: flat(
        "dark", (8.4, 6.0, 1.0), block("cyan", (7.0, 5.0, 0.2), (0.3, 0, 1.02)), rod("white", 0.7, 0.2, (-3.8, 0, 1.05))
    ),
    "toy school bus": lambda: vehicle(
        "yellow", "yellow", block("yellow", (5.6, 3.0, 1.2), (0.8, 0, 3.6)), block("black", (8.5, 3.3, 0.3), (0, 0, 2.2))
    ),
    "whale toy": lambda: [
        block("blue", (5.0, 3.4, 2.4), (0, 0, 1.2)),
        rod("blue", 3.4, 2.4, (2.5, 0, 1.2)),
        block("blue", (2.2, 1.2, 1.2), (-3.3, 0, 1.0)),
        block("white", (1.2, 4.6, 0.8), (-4.6, 0, 1.0)),
        rod("cyan", 0.8, 1.0, (1.6, 0, 2.9)),
    ],
}

UNSEEN: dict[str, Builder] = {
    "ball puzzle": lambda: [
        block("white", (3.4, 3.4, 3.4), (0, 0, 1.7)),
        *(rod(color, 1.8, 3.8, (0, 0, 1.7), axis) for color, axis in zip(("red", "blue", "yellow"), "xyz", strict=True)),
    ],
    "black and blue sneakers": lambda: [moved for y in (-1.9, 1.9) for moved in shifted(shoe("black", "blue", "blue"), (0, y, 0), 0.8)],
    "black shoe with green stripes": partial(shoe, "black", "white", "green"),
    "black soda box": partial(carton, "black", "red"),
    "brown fedora": partial(hat, "brown", "dark"),
    "dinosaur figure": lambda: animal(
        "green",
        "green",
        "green",
        *(block("orange", (0.7, 0.6, 1.0), (x, 0, 4.4)) for x in (-1.6, -0.2, 1.2)),
        block("green", (3.2, 1.2, 1.2), (-3.8, 0, 3.0)),
    ),
    "hammer": lambda: tool("wood", 7.4, block("dark", (1.8, 5.0, 1.9), (0.5, 0, 0.95)), thickness=1.4),
    "light brown boot": partial(shoe, "tan", "wood", "gold", shaft=2.6),
    "lion figure": lambda: animal("gold", "gold", "gold", rod("wood", 4.2, 1.0, (2.9, 0, 3.6), "x"), ball("wood", 1.2, (-3.2, 0, 3.4))),
    "porcelain plate": lambda: [
        rod("porcelain", 8.4, 1.0, (0, 0, 0.5)),
        rod("blue", 6.0, 0.1, (0, 0, 1.02)),
        rod("white", 5.2, 0.12, (0, 0, 1.03)),
    ],
    "porcelain spoon": lambda: tool(
        "porcelain", 5.4, rod("porcelain", 3.2, 1.2, (1.2, 0, 0.6)), rod("gray", 2.2, 0.1, (1.2, 0, 1.22)), thickness=1.1
    ),
    "red and white striped towel": partial(towel, "red"),
    "red cup": partial(cup, "red"),
    "screwdriver": lambda: [
        rod("yellow", 2.0, 4.4, (-2.2, 0, 1.0), "x"),
        rod("black", 2.1, 0.8, (-1.0, 0, 1.05), "x"),
        rod("silver", 0.9, 4.4, (2.2, 0, 1.0), "x"),
    ],
    "toy train": lambda: vehicle("blue", "red", rod("black", 2.2, 4.8, (1.4, 0, 3.2), "x"), rod("gold", 1.2, 1.4, (3.0, 0, 4.6))),
    "unicorn toy": lambda: animal(
        "white", "white", "pink", rod("gold", 0.7, 2.0, (3.9, 0, 5.4)), block("pink", (3.0, 0.7, 0.7), (1.2, 0, 4.3))
    ),
    "white mouse": partial(mouse, "white"),
}


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


def objects(split: str, mode: str) -> list[str]:
    """The names that a task of this split shows in this mode; unseen ones only after training."""
    unseen = SEEN if mode == "train" else UNSEEN
    return list(choose(split, {"seen": SEEN, "unseen": unseen}, "split"))


def named_object(name: str) -> Shape:
    """The object called `name`, with its origin at the center of its extents."""
    parts = choose(name, SEEN | UNSEEN, "object")()
    vertices = np.concatenate([part.solid.mesh().vertices for part in parts])
    middle = (vertices.min(0) + vertices.max(0)) / 2
    meshes: list[Mesh] = []
    solids: list[Solid] = []
    for part in parts:
        solid = dataclasses.replace(part.solid, position=tuple((np.array(part.solid.position) - middle).tolist()))
        solids.append(solid)
        meshes.append(solid.mesh().painted(TINTS[part.color]))
    return shape(name, solids, meshes, mass=0.05)
