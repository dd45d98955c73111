"""The objects and marks on the table in the tasks."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from .geometry import Color, Solid, box_mesh, box_solid, cylinder_solid, hull_solid, merged, revolved
from .shape import Shape, shape

MARK = 0.002  # height of a mark: above the table's top, below everything else
MARK_COLOR: Color = (0.0, 1.0, 0.0)
CONTAINER_COLOR: Color = (156 / 255, 117 / 255, 95 / 255)
RING = 16  # convex pieces around an axis


def box(size: Sequence[float] = (0.04, 0.04, 0.04), mass: float = 0.02, friction: float = 0.6) -> Shape:
    """A box; the default is the block of the stacking tasks."""
    return shape("box", [box_solid(size)], mass=mass, friction=friction)


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


def corner(size: Sequence[float], length: float = 0.055, width: float = 0.005, color: Color = MARK_COLOR) -> Shape:
    """Two strips along the sides of a rectangle with extents `size` (x, y) that meet at its corner (+x, +y), without collision shape.

    Origin: the rectangle's center. Put it at z = 0.
    """
    x, y = size
    middle = (length - width) / 2  # from the corner's middle to a strip's
    at = np.array([x + width, y + width]) / 2
    strips = [((length, width), at - [middle, 0]), ((width, length), at - [0, middle])]
    return shape("corner", [], [merged([box_mesh((*extent, MARK)).moved((*place, 0)) for extent, place in strips])], color=color)


def bowl(diameter: float = 0.114, height: float = 0.035, floor: float = 0.066, mass: float = 0.1) -> Shape:
    """A round bowl. Origin: on the axis at half its height, so z = height / 2 on the table.

    The flat floor inside is `floor` wide and 4 mm above the foot: a block of 4 cm comes to rest near the axis.
    """
    low, top, wall, thick = -height / 2, height / 2, 0.004, 0.004
    outside = np.array([[floor / 2 + wall, low], [diameter / 2, top]])
    inside = np.array([[floor / 2, low + thick], [diameter / 2 - wall, top]])
    rim = [tuple(point) for point in (outside[0], outside[1], inside[1], inside[0])]
    mesh = revolved([(0, low), *rim, (0, low + thick)])
    # Only the foot touches the table, not the wedges of the wall too: a bowl that stands is simulated ten times as fast.
    raised = outside[0] + (outside[1] - outside[0]) * thick / height
    walls = ring_solids(np.array([raised, outside[1], inside[1], inside[0]]))
    return shape("bowl", [cylinder_solid(floor + 2 * wall, thick, (0, 0, low + thick / 2)), *walls], [mesh], mass=mass)


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


def container(size: Sequence[float], thickness: float = 0.002, mass: float = 0.1, color: Color = CONTAINER_COLOR) -> Shape:
    """An open box whose walls and floor have their middles on the sides of a box with extents `size`. Origin: the middle of that box."""
    x, y, z = size
    walls = [
        box_solid((x, y, thickness), (0, 0, -z / 2)),
        *(box_solid((thickness, y, z), (side * x / 2, 0, 0)) for side in (-1, 1)),
        *(box_solid((x, thickness, z), (0, side * y / 2, 0)) for side in (-1, 1)),
    ]
    return shape("container", walls, mass=mass, color=color, friction=0.3)


def pallet(size: Sequence[float] = (0.3, 0.25, 0.0375), mass: float = 0.1, color: Color = (0.8706, 0.7216, 0.5294)) -> Shape:
    """A pallet: planks on three beams along x. Origin: the center of its extents."""
    x, y, z = size
    plank, planks = z / 3, 6
    pitch = (x - x / planks * 0.8) / (planks - 1)
    seen = [box_solid((x / planks * 0.8, y, plank), ((i - (planks - 1) / 2) * pitch, 0, (z - plank) / 2)) for i in range(planks)]
    beams = [box_solid((x, y / 10, z - plank), (0, side * y * 0.45, -plank / 2)) for side in (-1, 0, 1)]
    deck = box_solid((x, y, plank), (0, 0, (z - plank) / 2))
    return shape("pallet", [deck, *beams], [merged([solid.mesh() for solid in (*seen, *beams)])], mass=mass, color=color, friction=1.0)


def hanoi_disk(diameter: float = 0.08, height: float = 0.01, hole: float = 0.03, mass: float = 0.1) -> Shape:
    """A disk with a hole for the rods. Origin: on the axis at half its height."""
    outer, inner, h = diameter / 2, hole / 2, height / 2
    profile = [(inner, -h), (outer, -h), (outer, h), (inner, h)]
    return shape("disk", ring_solids(np.array(profile), 12), [revolved([*profile, profile[0]])], mass=mass)


ELL_ARM, ELL_WIDTH, ELL_HEIGHT = 0.08, 0.03, 0.04  # meters: length and width of the L's arms, and its height
ELL_COLOR: Color = (1.0, 0.3412, 0.349)
FIXTURE_COLOR: Color = (186 / 255, 176 / 255, 172 / 255)
CHANNEL, WALL = 0.05, 0.002  # meters: width of the fixture's channel between the middles of its walls, and thickness of these
PAD = (0.02, 0.02, 0.001)  # meters: what bears the corner of a block in a fixture that does not stand on the table; not to be seen


def ell_outline() -> np.ndarray:
    """Corners (6, 2) of the L, counter-clockwise: arms along +x and +y. Origin: the middle of the square that they share."""
    near, far = ELL_WIDTH / 2, ELL_ARM - ELL_WIDTH / 2
    return np.array([[-near, -near], [far, -near], [far, near], [near, near], [near, far], [-near, far]])


def ell(mass: float = 0.1) -> Shape:
    """The L-shaped block of the insertion tasks. Origin: that of its outline, at half its height."""
    corners = ell_outline()
    arms = [box_between(corners[0], corners[2]), box_between(corners[3] * [-1, 1], corners[4])]
    return shape("ell", arms, mass=mass, color=ELL_COLOR)


def box_between(corner: np.ndarray, opposite: np.ndarray, height: float = ELL_HEIGHT) -> Solid:
    """An upright box between two corners (2,) of its outline."""
    return box_solid((*np.abs(opposite - corner), height), (*(corner + opposite) / 2, 0))


def ell_fixture() -> Shape:
    """Walls around an `ell`, as high as it, open above and below but for a pad. Its frame is that of the inserted block."""
    corners = offset_outline(ell_outline(), (CHANNEL - ELL_WIDTH) / 2)
    walls = [
        box_between(np.minimum(a, b) - WALL / 2, np.maximum(a, b) + WALL / 2) for a, b in zip(corners, np.roll(corners, -1, 0), strict=True)
    ]
    pad = box_solid(PAD, (0, 0, -ELL_HEIGHT / 2))
    return shape("fixture", [*walls, pad], [merged([wall.mesh() for wall in walls])], mass=0.5, color=FIXTURE_COLOR)


def offset_outline(outline: np.ndarray, distance: float) -> np.ndarray:
    """A counter-clockwise polygon (N, 2) with its sides moved outwards by `distance`."""
    # A corner moves along the sum of its sides' normals a and b, so far that its distance to both sides grows by `distance`.
    before, after = outline - np.roll(outline, 1, 0), np.roll(outline, -1, 0) - outline
    a, b = (np.stack([side[:, 1], -side[:, 0]], 1) / np.linalg.norm(side, axis=1, keepdims=True) for side in (before, after))
    return np.asarray(outline + distance * (a + b) / (1 + (a * b).sum(1, keepdims=True)))
