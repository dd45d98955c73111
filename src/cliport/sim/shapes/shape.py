"""An object that can be put on the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .geometry import Color, Mesh, Solid, merged


@dataclass(frozen=True)
class Shape:
    """Meshes for rendering and solids for collisions, in one frame."""

    name: str
    meshes: tuple[Mesh, ...]
    """Rendered; one color each, None for the body's."""
    solids: tuple[Solid, ...]
    """For collisions; empty for a mark on the table."""
    size: tuple[float, float, float]
    """Extents in meters along the frame's axes."""
    mass: float = 0.02
    """Kilograms."""
    color: Color = (0.6, 0.6, 0.6)
    friction: float = 0.6

    @property
    def vertices(self) -> np.ndarray:
        """The vertices (V, 3) of all meshes."""
        return np.concatenate([mesh.vertices for mesh in self.meshes])


def shape(
    name: str,
    solids: Sequence[Solid],
    meshes: Sequence[Mesh] | None = None,
    mass: float = 0.02,
    color: Color = (0.6, 0.6, 0.6),
    friction: float = 0.6,
) -> Shape:
    """A shape rendered as its `meshes`, or as its solids if none are given."""
    seen = tuple(meshes) if meshes is not None else (merged([solid.mesh() for solid in solids]),)
    vertices = np.concatenate([mesh.vertices for mesh in seen] or [solid.mesh().vertices for solid in solids])
    low, high = vertices.min(0), vertices.max(0)
    return Shape(name, seen, tuple(solids), tuple((high - low).tolist()), mass, color, friction)
