"""An object that can be put on the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .geometry import Color, Mesh, Solid, merged, triple


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
    middle: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """The middle of the extents in the frame, in meters."""
    scale: float = 1.0
    """By which the meshes are enlarged; all else is given as enlarged. So shapes of several scales share their meshes."""

    @property
    def vertices(self) -> np.ndarray:
        """The vertices (V, 3) of all meshes in meters."""
        return np.concatenate([mesh.vertices for mesh in self.meshes]) * self.scale


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
    return Shape(name, seen, tuple(solids), triple(high - low), mass, color, friction, triple((low + high) / 2))


def scaled(shape: Shape, factor: float) -> Shape:
    """A shape enlarged about its origin, of the same mass."""
    return replace(
        shape,
        solids=tuple(solid.scaled(factor) for solid in shape.solids),
        size=triple(factor * extent for extent in shape.size),
        middle=triple(factor * place for place in shape.middle),
        scale=factor * shape.scale,
    )
