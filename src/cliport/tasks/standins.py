"""Stand-ins for the scanned objects: common objects assembled from colored solids.

They are not scans and have no textures: a name stands for a silhouette and colors that distinguish it from the others. In the definitions
lengths are in centimeters and z = 0 is the bottom; each object is then enlarged to its longest side in life.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from functools import cache, partial

import numpy as np

from cliport.sim.shapes import Mesh, Shape, Solid, hull_solid, scaled, shape

from .parts import (
    TINTS,
    Part,
    animal,
    ball,
    block,
    carton,
    cup,
    flat,
    hat,
    mouse,
    person,
    ring,
    rod,
    sandal,
    shifted,
    shoe,
    tool,
    towel,
    vehicle,
)

MASS, FRICTION = 0.1, 1.0  # kilograms; a scan's

Builder = Callable[[], list[Part]]

BUILDERS: dict[str, tuple[float, Builder]] = {
    "alarm clock": (
        12,
        lambda: [
            rod("red", 5.6, 2.4, (0, 0, 1.2)),
            rod("white", 4.6, 0.2, (0, 0, 2.45)),
            block("black", (0.4, 1.9, 0.2), (0, 0.8, 2.6)),
            block("black", (1.4, 0.4, 0.2), (0.6, 0, 2.6)),
            rod("gold", 2.0, 1.6, (-2.0, 3.0, 0.9)),
            rod("gold", 2.0, 1.6, (2.0, 3.0, 0.9)),
        ],
    ),
    "android toy": (
        9,
        lambda: [
            block("green", (3.4, 4.0, 2.2), (0, 0, 1.1)),
            block("green", (2.6, 2.8, 2.0), (3.0, 0, 1.0)),
            *(ball("white", 0.9, (3.4, y, 2.1)) for y in (-0.7, 0.7)),
            *(rod("gray", 1.2, 3.4, (0, y, 0.7), "x") for y in (-2.7, 2.7)),
            *(rod("gray", 1.3, 2.6, (-2.8, y, 0.7), "x") for y in (-1.1, 1.1)),
        ],
    ),
    "ball puzzle": (
        9,
        lambda: [
            block("white", (3.4, 3.4, 3.4), (0, 0, 1.7)),
            *(rod(color, 1.8, 3.8, (0, 0, 1.7), axis) for color, axis in zip(("red", "blue", "yellow"), "xyz", strict=True)),
        ],
    ),
    "black and blue sneakers": (
        28,
        lambda: [moved for y in (-1.9, 1.9) for moved in shifted(shoe("black", "blue", "blue"), (0, y, 0), 0.8)],
    ),
    "black boot with leopard print": (27, partial(shoe, "black", "dark", "tan", shaft=2.6, spots="wood")),
    "black fedora": (29, partial(hat, "black", "gray")),
    "black razer mouse": (12.5, partial(mouse, "black")),
    "black sandal": (26, partial(sandal, "black")),
    "black shoe with green stripes": (28, partial(shoe, "black", "white", "green")),
    "black shoe with orange stripes": (28, partial(shoe, "black", "white", "orange")),
    "brown fedora": (29, partial(hat, "brown", "dark")),
    "bull figure": (
        14,
        lambda: animal("brown", "dark", "dark", rod("white", 0.7, 4.6, (3.4, 0, 5.0), "y"), rod("dark", 0.6, 2.0, (-3.3, 0, 3.4), "x")),
    ),
    "butterfinger chocolate": (
        15,
        lambda: [
            block("orange", (9.0, 3.6, 1.6), (0, 0, 0.8)),
            block("blue", (5.0, 2.2, 0.2), (0, 0, 1.65)),
            *(block("silver", (0.6, 3.8, 1.0), (x, 0, 0.8)) for x in (-4.6, 4.6)),
        ],
    ),
    "c clamp": (
        14,
        lambda: [
            block("blue", (6.0, 1.4, 1.6), (0, -2.4, 0.8)),
            block("blue", (1.4, 4.8, 1.6), (-2.4, 0, 0.8)),
            block("blue", (2.4, 1.4, 1.6), (-1.8, 2.4, 0.8)),
            rod("silver", 1.0, 5.4, (2.0, -0.4, 0.8), "y"),
            rod("silver", 2.0, 0.8, (2.0, 2.2, 1.0), "y"),
        ],
    ),
    "can opener": (
        19,
        lambda: [
            block("red", (7.0, 1.0, 1.2), (-2.0, 0.9, 0.6), 8),
            block("red", (7.0, 1.0, 1.2), (-2.0, -0.9, 0.6), -8),
            rod("silver", 2.6, 1.8, (2.2, 0, 0.9)),
            rod("silver", 1.0, 1.0, (2.2, 0, 2.2)),
        ],
    ),
    "crayon box": (
        14,
        lambda: [
            block("yellow", (4.4, 6.4, 2.2), (0, 0, 1.1)),
            block("green", (4.5, 1.6, 2.3), (0, -1.2, 1.15)),
            *(
                rod(color, 0.7, 1.6, (x, 3.8, 1.2), "y")
                for color, x in zip(("red", "blue", "orange", "purple"), (-1.5, -0.5, 0.5, 1.5), strict=True)
            ),
        ],
    ),
    "dinosaur figure": (
        20,
        lambda: animal(
            "green",
            "green",
            "green",
            *(block("orange", (0.7, 0.6, 1.0), (x, 0, 4.4)) for x in (-1.6, -0.2, 1.2)),
            block("green", (3.2, 1.2, 1.2), (-3.8, 0, 3.0)),
        ),
    ),
    "dog statue": (
        16,
        lambda: animal(
            "tan", "tan", "tan", block("dark", (0.9, 0.6, 1.6), (3.2, 1.4, 3.8)), block("dark", (0.9, 0.6, 1.6), (3.2, -1.4, 3.8))
        ),
    ),
    "frypan": (
        36,
        lambda: [
            rod("dark", 6.4, 1.4, (0, 0, 0.7)),
            rod("gray", 5.4, 0.2, (0, 0, 1.42)),
            block("wood", (5.0, 1.2, 0.8), (5.2, 0, 0.9)),
        ],
    ),
    "green and white striped towel": (22, partial(towel, "green")),
    "grey soccer shoe with cleats": (
        28,
        lambda: [
            *shifted(shoe("silver", "gray", "red"), (0, 0, 0.7), 1.0),
            *(rod("red", 0.9, 0.8, (x, y, 0.4)) for x in (-3.4, -1.2, 1.2, 3.4) for y in (-1.1, 1.1)),
        ],
    ),
    "hammer": (30, lambda: tool("wood", 7.4, block("dark", (1.8, 5.0, 1.9), (0.5, 0, 0.95)), thickness=1.4)),
    "hard drive": (
        13,
        lambda: flat("silver", (7.2, 5.0, 1.8), rod("dark", 3.6, 0.2, (0.9, 0, 1.85)), block("green", (1.0, 3.8, 0.2), (-2.6, 0, 1.85))),
    ),
    "honey dipper": (
        16,
        lambda: tool("wood", 6.0, *(rod("gold", 2.4, 0.7, (0.5 + 1.0 * i, 0, 1.2), "x") for i in range(3)), thickness=1.0),
    ),
    "light brown boot with golden laces": (27, partial(shoe, "tan", "wood", "gold", shaft=2.6)),
    "lion figure": (
        14,
        lambda: animal("gold", "gold", "gold", rod("wood", 4.2, 1.0, (2.9, 0, 3.6), "x"), ball("wood", 1.2, (-3.2, 0, 3.4))),
    ),
    "magnifying glass": (
        18,
        lambda: [
            *ring("dark", 5.0, 0.6, 1.2, 0.6),
            rod("cyan", 4.2, 0.6, (0, 0, 0.5)),
            rod("wood", 1.2, 4.4, (4.6, 0, 0.6), "x"),
        ],
    ),
    "mario figure": (
        11,
        lambda: person(
            "red",
            "blue",
            "tan",
            rod("red", 3.0, 0.8, (0, 0, 8.5)),
            block("red", (1.4, 1.8, 0.4), (1.8, 0, 8.2)),
            block("dark", (0.4, 1.6, 0.4), (1.5, 0, 6.6)),
        ),
    ),
    "nintendo 3ds": (
        13.5,
        lambda: flat(
            "blue",
            (7.6, 4.2, 1.2),
            block("dark", (4.4, 3.0, 0.2), (0, 0, 1.22)),
            rod("gray", 1.2, 0.2, (-3.0, 0.8, 1.25)),
            *(rod("white", 0.6, 0.2, (x, y, 1.25)) for x, y in ((2.6, 0.9), (3.3, 0.3), (2.6, -0.3), (3.0, -1.2))),
        ),
    ),
    "nintendo cartridge": (
        13,
        lambda: flat(
            "gray", (5.6, 5.6, 1.4), block("purple", (4.2, 3.0, 0.2), (0, 0.8, 1.42)), block("dark", (3.4, 0.6, 0.2), (0, -2.0, 1.42))
        ),
    ),
    "office depot box": (
        24,
        lambda: [
            block("tan", (7.0, 5.0, 4.0), (0, 0, 2.0)),
            block("red", (4.4, 5.2, 1.4), (0, 0, 2.2)),
            block("white", (7.2, 0.8, 4.1), (0, 0, 2.05)),
        ],
    ),
    "orca plush toy": (
        28,
        lambda: [
            block("black", (5.0, 3.4, 2.4), (0, 0, 1.2)),
            rod("black", 3.4, 2.4, (2.5, 0, 1.2)),
            block("white", (5.6, 2.4, 0.6), (0.6, 0, 0.2)),
            *(ball("white", 1.2, (3.0, y, 1.9)) for y in (-1.2, 1.2)),
            block("black", (2.2, 1.2, 1.2), (-3.3, 0, 1.0)),
            block("black", (1.2, 4.6, 0.8), (-4.6, 0, 1.0)),
            block("black", (1.2, 0.5, 1.6), (0, 0, 3.0)),
        ],
    ),
    "pepsi gold caffeine free box": (27, partial(carton, "gold", "blue", block("white", (1.6, 1.6, 0.2), (1.8, 1.2, 3.0)))),
    "pepsi max box": (27, partial(carton, "black", "blue", block("red", (1.6, 1.6, 0.2), (1.8, 1.2, 3.0)))),
    "pepsi next box": (27, partial(carton, "blue", "cyan", block("white", (1.6, 1.6, 0.2), (1.8, 1.2, 3.0)))),
    "pepsi wild cherry box": (27, partial(carton, "red", "blue", block("white", (1.6, 1.6, 0.2), (1.8, 1.2, 3.0)))),
    "porcelain cup": (12, partial(cup, "porcelain")),
    "porcelain salad plate": (
        21,
        lambda: [
            rod("porcelain", 8.4, 1.0, (0, 0, 0.5)),
            rod("blue", 6.0, 0.1, (0, 0, 1.02)),
            rod("white", 5.2, 0.12, (0, 0, 1.03)),
        ],
    ),
    "porcelain spoon": (
        17,
        lambda: tool("porcelain", 5.4, rod("porcelain", 3.2, 1.2, (1.2, 0, 0.6)), rod("gray", 2.2, 0.1, (1.2, 0, 1.22)), thickness=1.1),
    ),
    "purple tape": (11, lambda: ring("purple", 6.0, 1.5, 2.2, 1.1)),
    "red and white flashlight": (
        17,
        lambda: [
            rod("white", 2.2, 5.0, (-1.0, 0, 1.5), "x"),
            rod("red", 3.0, 1.8, (2.2, 0, 1.5), "x"),
            rod("yellow", 2.4, 0.2, (3.2, 0, 1.5), "x"),
            rod("red", 2.4, 1.0, (-3.4, 0, 1.5), "x"),
        ],
    ),
    "red and white striped towel": (22, partial(towel, "red")),
    "red cup": (12, partial(cup, "red")),
    "rhino figure": (14, lambda: animal("gray", "gray", "gray", rod("white", 0.9, 1.6, (4.6, 0, 5.0)), length=6.0)),
    "rocket racoon figure": (
        13,
        lambda: person(
            "orange",
            "blue",
            "wood",
            block("dark", (0.6, 2.4, 0.6), (1.2, 0, 7.0)),
            *(block("wood", (0.5, 0.7, 1.0), (0, y, 8.4)) for y in (-0.9, 0.9)),
            rod("dark", 1.2, 4.4, (-2.6, 0, 2.0), "x"),
        ),
    ),
    "scissors": (
        19,
        lambda: [
            block("silver", (5.4, 0.9, 0.9), (1.6, 0, 0.45), 14),
            block("silver", (5.4, 0.9, 0.9), (1.6, 0, 1.0), -14),
            *(rod("orange", 2.4, 1.2, (-2.2, y, 0.6)) for y in (-1.4, 1.4)),
            *(rod("white", 1.2, 0.2, (-2.2, y, 1.25)) for y in (-1.4, 1.4)),
        ],
    ),
    "screwdriver": (
        20,
        lambda: [
            rod("yellow", 2.0, 4.4, (-2.2, 0, 1.0), "x"),
            rod("black", 2.1, 0.8, (-1.0, 0, 1.05), "x"),
            rod("silver", 0.9, 4.4, (2.2, 0, 1.0), "x"),
        ],
    ),
    "silver tape": (12, lambda: ring("silver", 6.6, 1.5, 2.2, 1.1)),
    "spatula with purple head": (29, lambda: tool("black", 6.0, block("purple", (3.4, 3.4, 0.8), (1.7, 0, 0.6)), thickness=1.0)),
    "spiderman figure": (
        15,
        lambda: person(
            "red",
            "blue",
            "red",
            *(block("white", (0.3, 0.7, 0.5), (1.3, y, 7.0)) for y in (-0.5, 0.5)),
            block("blue", (0.3, 2.7, 0.5), (0.8, 0, 4.0)),
        ),
    ),
    "tablet": (
        24,
        lambda: flat("dark", (8.4, 6.0, 1.0), block("cyan", (7.0, 5.0, 0.2), (0.3, 0, 1.02)), rod("white", 0.7, 0.2, (-3.8, 0, 1.05))),
    ),
    "toy school bus": (
        18,
        lambda: vehicle("yellow", "yellow", block("yellow", (5.6, 3.0, 1.2), (0.8, 0, 3.6)), block("black", (8.5, 3.3, 0.3), (0, 0, 2.2))),
    ),
    "toy train": (17, lambda: vehicle("blue", "red", rod("black", 2.2, 4.8, (1.4, 0, 3.2), "x"), rod("gold", 1.2, 1.4, (3.0, 0, 4.6)))),
    "unicorn toy": (
        18,
        lambda: animal("white", "white", "pink", rod("gold", 0.7, 2.0, (3.9, 0, 5.4)), block("pink", (3.0, 0.7, 0.7), (1.2, 0, 4.3))),
    ),
    "white razer mouse": (12.5, partial(mouse, "white")),
    "yoshi figure": (
        11,
        lambda: person(
            "green",
            "orange",
            "green",
            ball("green", 1.8, (1.7, 0, 6.8)),
            *(ball("white", 1.0, (0.6, y, 8.2)) for y in (-0.6, 0.6)),
            block("white", (0.4, 2.0, 1.6), (0.9, 0, 4.2)),
            rod("red", 1.8, 0.8, (-1.2, 0, 4.6), "x"),
        ),
    ),
}
"""The longest side in life in centimeters, and the parts of each object."""


def angular(solid: Solid) -> Solid:
    """What a round solid collides as: an eight-sided rod, or the hull of a cube's corners and its faces' middles, so that nothing rolls
    away. A scan's hull is not round either.
    """
    radius, half = solid.size[0] / 2, solid.size[2] / 2
    if solid.kind == "cylinder":
        turns = np.linspace(0, 2 * np.pi, 8, endpoint=False)
        corners = [(radius * np.cos(turn), radius * np.sin(turn), z) for turn in turns for z in (-half, half)]
    elif solid.kind == "sphere":
        corners = [*(radius / 3**0.5 * np.array(list(itertools.product((-1, 1), repeat=3)))), *(radius * np.eye(3)), *(-radius * np.eye(3))]
    else:
        return solid
    return dataclasses.replace(hull_solid(np.array(corners)), position=solid.position, quaternion=solid.quaternion)


@cache
def stand_in(name: str) -> Shape:
    """The object called `name`, as long as in life, with its origin at the center of its extents."""
    longest, build = BUILDERS[name]
    parts = build()
    vertices = np.concatenate([part.solid.mesh().vertices for part in parts])
    middle = (vertices.min(0) + vertices.max(0)) / 2
    meshes: list[Mesh] = []
    solids: list[Solid] = []
    for part in parts:
        solid = dataclasses.replace(part.solid, position=tuple((np.array(part.solid.position) - middle).tolist()))
        solids.append(angular(solid))
        meshes.append(solid.mesh().painted(TINTS[part.color]))
    drawn = shape(name, solids, meshes, mass=MASS, friction=FRICTION)
    return scaled(drawn, longest / 100 / max(drawn.size))
