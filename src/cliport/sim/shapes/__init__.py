"""Procedural shapes: everything that can be put on the table.

A `Shape` has convex solids for collisions and a colored mesh for rendering; its origin is the center of its extents unless its function
says otherwise. All functions are pure, lengths are in meters, colors are RGB in [0, 1]. `Environment.add` places a shape.

A new shape is made of solids: `shape("name", [box_solid(size, position), ...], mass=...)`. It is rendered as its solids, or with meshes
of its own.
"""

from __future__ import annotations

from .geometry import Mesh, Solid, Texture, box_mesh, box_solid, cylinder_solid, hull_solid, merged, prism, revolved
from .kits import LETTERS, decal, kit_board, letter
from .shape import Shape, scaled, shape
from .table import (
    MARK_COLOR,
    bead,
    bowl,
    box,
    container,
    corner,
    cylinder,
    ell,
    ell_fixture,
    hanoi_disk,
    pallet,
    plate,
    sphere,
    square_outline,
    zone,
)
from .wavefront import textured

__all__ = [
    "LETTERS",
    "MARK_COLOR",
    "Mesh",
    "Shape",
    "Solid",
    "Texture",
    "bead",
    "bowl",
    "box",
    "box_mesh",
    "box_solid",
    "container",
    "corner",
    "cylinder",
    "cylinder_solid",
    "decal",
    "ell",
    "ell_fixture",
    "hanoi_disk",
    "hull_solid",
    "kit_board",
    "letter",
    "merged",
    "pallet",
    "plate",
    "prism",
    "revolved",
    "scaled",
    "shape",
    "sphere",
    "square_outline",
    "textured",
    "zone",
]
