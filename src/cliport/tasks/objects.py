"""Named objects assembled from colored solids: stand-ins for the scanned household objects that CLIPort packs.

They are not scans and have no textures: a name stands for a silhouette and colors that distinguish it from the others. Seen names occur
in every task; unseen names share some of their words ("brown fedora", "black fedora"), so that words can transfer. In the definitions
lengths are in centimeters, z = 0 is the bottom, and an object is about 6 to 10 cm long.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial

import numpy as np

from cliport.sim.shapes import Mesh, Shape, Solid, shape

from .catalog import choose
from .parts import TINTS, Part, animal, ball, block, carton, cup, flat, hat, mouse, ring, rod, sandal, shifted, shoe, tool, towel, vehicle

NOTE = "named objects are assembled from simple solids; they are not scanned objects"

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
