"""The objects and marks on the table in the tasks."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from .geometry import Color, Solid, box_mesh, box_solid, cylinder_solid, hull_solid, merged, revolved
from .shape import Shape, shape

MARK = 0.002  # height of a mark: above the table's top, below everything else
MARK_COLOR: Color = (0.35, 0.7, 0.33)
RING = 16  # convex pieces around an axis


def box(size: Sequence[float] = (0.04, 0.04, 0.04), mass: float = 0.02) -> Shape:
    """A box; the default is the block of the stacking tasks."""
    return shape("box", [box_solid(size)], mass=mass)


def cylinder(diameter: float, height: float, mass: float = 0.02) -> Shape:
    return shape("cylinder", [cylinder_solid(diameter, height)], mass=mass)


def sphere(diameter: float, mass: float = 0.02) -> Shape:
    return shape("sphere", [Solid("sphere", (diameter, diameter, diameter))], mass=mass)


def bead(half: float, mass: float = 0.1) -> Shape:
    """A bead of a rope: a box with sides of 2 * half that is seen as a sphere half as wide again."""
    return shape("bead", [box_solid((2 * half,) * 3)], [Solid("sphere", (3 * half,) * 3).mesh()], mass=mass, friction=0.5)


def zone(size: Sequence[float], color: Color = MARK_COLOR) -> Shape:
    """A rectangle (x, y) painted on the table, without collision shape. Put its origin at z = 0."""
    return shape("zone", [], [box_mesh((size[0], size[1], MARK))], color=color)


def square_outline(size: Sequence[float], width: float = 0.01, sides: str = "news", color: Color = MARK_COLOR) -> Shape:
    """Lines on the table around a rectangle (x, y), without collision shape. Put its origin, the rectangle's center, at z = 0.

    Args:
        sides: the lines that are drawn: n is at +y, s at -y, e at +x, w at -x.
    """
    x, y = size
    lines = {
        "n": ((x + width, width), (0, y / 2)),
        "s": ((x + width, width), (0, -y / 2)),
        "e": ((width, y + width), (x / 2, 0)),
        "w": ((width, y + width), (-x / 2, 0)),
    }
    drawn = [box_mesh((*lines[side][0], MARK)).moved((*lines[side][1], 0)) for side in sides]
    return shape("outline", [], [merged(drawn)], color=color)


def corner(size: Sequence[float], width: float = 0.008, color: Color = MARK_COLOR) -> Shape:
    """Two lines on the table from the origin along +x and +y with lengths `size` (x, y), without collision shape. Put it at z = 0.

    A box with extents (a, b) is in the corner if its center is at (a / 2, b / 2) in the corner's frame.
    """
    x, y = size
    lines = [((x + width, width), ((x - width) / 2, -width / 2)), ((width, y + width), (-width / 2, (y - width) / 2))]
    return shape("corner", [], [merged([box_mesh((*extent, MARK)).moved((*middle, 0)) for extent, middle in lines])], color=color)


def bowl(diameter: float = 0.12, height: float = 0.04, floor: float = 0.066, mass: float = 0.05) -> Shape:
    """A round bowl. Origin: on the axis at half its height, so z = height / 2 on the table.

    The flat floor inside is `floor` wide and 4 mm above the foot: a block of 4 cm comes to rest within 5 mm of the axis.
    """
    low, top, wall, thick = -height / 2, height / 2, 0.004, 0.004
    outside = np.array([[floor / 2 + wall, low], [diameter / 2, top]])
    inside = np.array([[floor / 2, low + thick], [diameter / 2 - wall, top]])
    rim = [tuple(point) for point in (outside[0], outside[1], inside[1], inside[0])]
    mesh = revolved([(0, low), *rim, (0, low + thick)])
    return shape("bowl", [cylinder_solid(floor + 2 * wall, thick, (0, 0, low + thick / 2)), *ring_solids(np.array(rim))], [mesh], mass=mass)


def plate(diameter: float = 0.16, height: float = 0.012, mass: float = 0.05) -> Shape:
    """A flat dish with a low rim. Origin: at half its height."""
    low, top = -height / 2, height / 2
    rim = [(diameter * 0.38, low), (diameter / 2, top), (diameter / 2 - 0.004, top), (diameter * 0.36, low + 0.004)]
    mesh = revolved([(0, low), *rim, (0, low + 0.004)])
    return shape("plate", [cylinder_solid(diameter * 0.76, 0.004, (0, 0, low + 0.002)), *ring_solids(np.array(rim))], [mesh], mass=mass)


def ring_solids(profile: np.ndarray, pieces: int = RING) -> list[Solid]:
    """Wedges around the z axis with a convex profile (N, 2) of (radius, z).

    Their corners lie on the round surface. Only convex solids can collide, so a hollow shape has to be divided.
    """
    edges = np.linspace(0, 2 * np.pi, pieces + 1)
    around = np.stack([np.cos(edges), np.sin(edges)], 1)
    wedges = []
    for a, b in itertools.pairwise(around):
        points = [[r * d[0], r * d[1], z] for r, z in profile for d in (a, b)]
        wedges.append(hull_solid(np.array(points)))
    return wedges


def container(size: Sequence[float], thickness: float = 0.002, mass: float = 0.2, color: Color = CONTAINER_COLOR) -> Shape:
    """An open box with outer extents `size`. Origin: the center of its extents; the top of its floor is `thickness` above its foot."""
    x, y, z = size
    walls = [
        box_solid((x, y, thickness), (0, 0, (thickness - z) / 2)),
        *(box_solid((thickness, y, z), (side * (x - thickness) / 2, 0, 0)) for side in (-1, 1)),
        *(box_solid((x, thickness, z), (0, side * (y - thickness) / 2, 0)) for side in (-1, 1)),
    ]
    return shape("container", walls, mass=mass, color=color)


def pallet(size: Sequence[float] = (0.3, 0.25, 0.0375), mass: float = 0.5, color: Color = (0.65, 0.5, 0.3)) -> Shape:
    """A pallet: planks on three beams along x. Origin: the center of its extents."""
    x, y, z = size
    plank, planks = z / 3, 6
    pitch = (x - x / planks * 0.8) / (planks - 1)
    seen = [box_solid((x / planks * 0.8, y, plank), ((i - (planks - 1) / 2) * pitch, 0, (z - plank) / 2)) for i in range(planks)]
    beams = [box_solid((x, y / 10, z - plank), (0, side * y * 0.45, -plank / 2)) for side in (-1, 0, 1)]
    deck = box_solid((x, y, plank), (0, 0, (z - plank) / 2))
    return shape("pallet", [deck, *beams], [merged([solid.mesh() for solid in (*seen, *beams)])], mass=mass, color=color)


def hanoi_disk(diameter: float = 0.12, height: float = 0.02, hole: float = 0.032, mass: float = 0.03) -> Shape:
    """A disk with a hole for the rods, with 11 mm of play. Origin: on the axis at half its height."""
    outer, inner, h = diameter / 2, hole / 2, height / 2
    profile = [(inner, -h), (outer, -h), (outer, h), (inner, h)]
    return shape("disk", ring_solids(np.array(profile), 12), [revolved([*profile, profile[0]])], mass=mass)


ELL_ARM = 0.04  # width of the arms of the L-shaped block


def ell_outline(size: Sequence[float]) -> np.ndarray:
    """Corners (6, 2) of the L, counter-clockwise, with its bounding rectangle around the origin: arms at -x (along y) and -y (along x)."""
    x, y = size[0] / 2, size[1] / 2
    return np.array([[-x, -y], [x, -y], [x, ELL_ARM - y], [ELL_ARM - x, ELL_ARM - y], [ELL_ARM - x, y], [-x, y]])


def ell(size: Sequence[float] = (0.1, 0.1, 0.04), mass: float = 0.05, color: Color = (0.9, 0.15, 0.15)) -> Shape:
    """The L-shaped block of the insertion tasks. Origin: the center of its extents, which is outside the block."""
    x, y, z = size
    arms = [
        box_solid((x, ELL_ARM, z), (0, (ELL_ARM - y) / 2, 0)),
        box_solid((ELL_ARM, y - ELL_ARM, z), ((ELL_ARM - x) / 2, ELL_ARM / 2, 0)),
    ]
    return shape("ell", arms, mass=mass, color=color)


def ell_fixture(
    size: Sequence[float] = (0.1, 0.1, 0.04), clearance: float = 0.003, thickness: float = 0.01, color: Color = MARK_COLOR
) -> Shape:
    """Walls around an `ell` of the same `size`, at a distance of `clearance`, open above and below.

    Its frame is that of the inserted block except for z: both stand on the same ground and the walls are half as high as the block, so
    on the table the origin is at z = size[2] / 4. The yaw is the block's.
    """
    inner = offset_outline(ell_outline(size), clearance)
    outer = offset_outline(ell_outline(size), clearance + thickness)
    following = np.roll(np.arange(len(inner)), -1)
    height = size[2] / 2
    walls = []
    for i, j in enumerate(following):
        ground = np.array([inner[i], outer[i], outer[j], inner[j]])
        walls.append(hull_solid(np.array([[*point, z] for point in ground for z in (-height / 2, height / 2)])))
    return shape("fixture", walls, mass=0.5, color=color)


def offset_outline(outline: np.ndarray, distance: float) -> np.ndarray:
    """A counter-clockwise polygon (N, 2) with its sides moved outwards by `distance`."""
    # A corner moves along the sum of its sides' normals a and b, so far that its distance to both sides grows by `distance`.
    before, after = outline - np.roll(outline, 1, 0), np.roll(outline, -1, 0) - outline
    a, b = (np.stack([side[:, 1], -side[:, 0]], 1) / np.linalg.norm(side, axis=1, keepdims=True) for side in (before, after))
    return np.asarray(outline + distance * (a + b) / (1 + (a * b).sum(1, keepdims=True)))
