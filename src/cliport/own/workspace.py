"""A workspace of one's own, and how it becomes the one that agents know.

An agent sees a height map of 320 x 160 cells, which were 3.125 mm wide when it learned. In a workspace with other cells everything is
scaled alike, heights too: a scene of twice the size at cells of twice the size is the same image. Where the bounds have fewer cells than
the map, they lie in its middle, and nothing is seen around them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from harness.errors import ParameterError

from ..sim.constants import BOUNDS, IMAGE_SHAPE, PIXEL
from ..sim.observation import HeightMap
from ..sim.pixels import pixel_to_position

ROUNDING = 1e-6
CEILING = float(BOUNDS[2, 1] - BOUNDS[2, 0])


@dataclass(frozen=True)
class Workspace:
    """A box along the axes of the frame in which camera poses are given; by default the one of the simulator.

    Raises:
        ParameterError: when an agent's height map cannot show it, naming all reasons.
    """

    bounds: tuple[float, ...] = tuple(BOUNDS.ravel().tolist())
    """Smallest and largest x, y and z, in metres; the smallest z is the table's."""
    pixel: float = PIXEL
    """Side of a cell in metres."""

    def __post_init__(self) -> None:
        if problems := problems_of(self.bounds, self.pixel):
            raise ParameterError(problems)

    @property
    def low(self) -> np.ndarray:
        return np.array(self.bounds[::2], float)

    @property
    def scale(self) -> float:
        """The agent's metres per metre."""
        return PIXEL / self.pixel

    @property
    def shape(self) -> tuple[int, int]:
        """Rows along y and columns along x that the bounds have."""
        across, along = cells_of(self.bounds, self.pixel)
        return along, across

    @property
    def corner(self) -> tuple[int, int]:
        """Row and column of the agent's map at which the bounds begin."""
        return (IMAGE_SHAPE[0] - self.shape[0]) // 2, (IMAGE_SHAPE[1] - self.shape[1]) // 2

    @cached_property
    def shift(self) -> np.ndarray:
        """(3,) what is added to a scaled point."""
        row, column = self.corner
        return np.asarray(BOUNDS[:, 0] + np.array([column, row, 0]) * PIXEL - self.scale * self.low)

    @property
    def inside(self) -> np.ndarray:
        """bool IMAGE_SHAPE: the cells of the agent's map that are within the bounds."""
        (row, column), (rows, columns), found = self.corner, self.shape, np.zeros(IMAGE_SHAPE, bool)
        found[row : row + rows, column : column + columns] = True
        return found

    def to_agent(self, points: Sequence[float] | np.ndarray) -> np.ndarray:
        """Points (..., 3) of the frame in the agent's workspace."""
        return np.asarray(self.scale * np.asarray(points, float) + self.shift)

    def from_agent(self, points: Sequence[float] | np.ndarray) -> np.ndarray:
        """Points (..., 3) of the agent's workspace in the frame: the inverse of `to_agent`."""
        return np.asarray((np.asarray(points, float) - self.shift) / self.scale)

    def position(self, pixel: tuple[int, int], heights: np.ndarray) -> np.ndarray:
        """The point (3,) of the frame at a pixel of an agent's height map."""
        return self.from_agent(pixel_to_position(pixel, heights))

    def contains(self, point: np.ndarray) -> bool:
        """Whether a point of the frame is above, or up to 5 cm below, the table within the bounds."""
        low = np.subtract(self.bounds[::2], (self.pixel, self.pixel, 0.05))
        high = np.add(self.bounds[1::2], (self.pixel, self.pixel, 0))
        return bool((point >= low).all() and (point <= high).all())

    def map(self, color: np.ndarray, heights: np.ndarray) -> HeightMap:
        """An agent's height map from one of these bounds: colours uint8 (R, C, 3) and metres above the table (R, C), `shape` each.

        NaN stands for cells that nothing sees.

        Raises:
            ParameterError: for arrays of other sizes or kinds, saying all that is wrong.
        """
        problems = []
        if color.shape != (*self.shape, 3) or color.dtype != np.uint8:
            problems.append(f"colours: must be uint8 of {self.shape[0]} x {self.shape[1]} x 3, are {shown(color)}")
        if heights.shape != self.shape or not np.issubdtype(heights.dtype, np.floating):
            problems.append(f"heights: must be floats of {self.shape[0]} x {self.shape[1]}, in metres, are {shown(heights)}")
        elif not np.isfinite(heights).any():
            problems.append("heights: must not all be NaN")
        elif np.nanmax(heights) > self.bounds[5] - self.bounds[4]:
            highest = np.nanmax(heights)
            problems.append(f"heights: must be metres below the bounds' {self.bounds[5] - self.bounds[4]:.3g}, reach {highest:.4g}")
        if problems:
            raise ParameterError(problems)
        seen = np.isfinite(heights)
        whole = HeightMap(np.zeros((*IMAGE_SHAPE, 3), np.uint8), np.zeros(IMAGE_SHAPE, np.float32), np.full(IMAGE_SHAPE, -1, np.int32))
        whole.color[self.inside] = (color * seen[..., None]).reshape(-1, 3)
        whole.height[self.inside] = (np.where(seen, heights, 0).clip(0) * self.scale).ravel()
        whole.mask[self.inside] = np.where(seen, 0, -1).ravel()
        return whole


def shown(array: np.ndarray) -> str:
    return f"{array.dtype} of {' x '.join(map(str, array.shape))}"


def cells_of(bounds: Sequence[float], pixel: float) -> tuple[int, int]:
    """Cells along x and y."""
    return math.ceil((bounds[1] - bounds[0]) / pixel - ROUNDING), math.ceil((bounds[3] - bounds[2]) / pixel - ROUNDING)


def problems_of(bounds: Sequence[float], pixel: float) -> list[str]:
    """Why an agent's height map cannot show these bounds."""
    if len(bounds) != 6 or not all(math.isfinite(number) for number in bounds):
        return [f"bounds={list(bounds)}: must be six numbers: smallest and largest x, y and z in metres"]
    axes = list(zip("xyz", bounds[::2], bounds[1::2], strict=True))
    problems = [f"bounds: {axis} must grow, from {low:g} to {high:g} it does not" for axis, low, high in axes if low >= high]
    if not 0 < pixel < math.inf:
        problems.append(f"pixel={pixel}: must be above 0, the side of a cell in metres")
    if problems:
        return problems
    (_, x, most_x), (_, y, most_y), (_, z, most_z) = axes
    rows, columns = IMAGE_SHAPE
    across, along = cells_of(bounds, pixel)
    wanted = max((most_x - x) / columns, (most_y - y) / rows)
    if across > columns or along > rows:
        problems.append(
            f"bounds of {most_x - x:g} x {most_y - y:g} m have {across} x {along} cells of {pixel:g} m, and an agent sees {columns} "
            f"along x and {rows} along y: pixel={wanted:.6g} or more, or smaller bounds (the longer side is y)"
        )
    elif (most_z - z) * PIXEL / pixel > CEILING + ROUNDING:
        most = CEILING * pixel / PIXEL
        problems.append(f"bounds: z must reach at most {z + most:.4g}, {most:.4g} m above the table, which is as high as an agent sees")
    if across < columns / 8 or along < rows / 8:
        problems.append(f"bounds of {across} x {along} cells are too few; pixel={wanted:.6g} fills the {columns} x {rows} of an agent")
    return problems
