"""Procedural shapes: what can be put on the table.

A `Shape` has convex solids to touch and a coloured mesh to see; its frame's origin is the middle of its extents unless the function
that makes it says otherwise. All functions are pure, lengths are metres, colours are RGB in [0, 1]. `Environment.add` places a shape.

A new shape is made of solids: `shape("name", [box_solid(size, position), ...], mass=...)`: seen as what is touched, or with meshes of its
own.
"""

from __future__ import annotations

from .geometry import Mesh, Solid, box_mesh, box_solid, cylinder_solid, hull_solid, merged, prism, revolved
from .kits import LETTERS, decal, kit_board, letter
from .shape import Shape, shape
from .table import (
    bowl,
    box,
    container,
    corner,
    cylinder,
    disc,
    ell,
    ell_fixture,
    hanoi_disk,
    hanoi_stand,
    pallet,
    plate,
    pyramid_stand,
    sphere,
    square_outline,
    zone,
)

__all__ = [
    "LETTERS",
    "Mesh",
    "Shape",
    "Solid",
    "bowl",
    "box",
    "box_mesh",
    "box_solid",
    "container",
    "corner",
    "cylinder",
    "cylinder_solid",
    "decal",
    "disc",
    "ell",
    "ell_fixture",
    "hanoi_disk",
    "hanoi_stand",
    "hull_solid",
    "kit_board",
    "letter",
    "merged",
    "pallet",
    "plate",
    "prism",
    "pyramid_stand",
    "revolved",
    "shape",
    "sphere",
    "square_outline",
    "zone",
]
