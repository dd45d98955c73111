"""A table without physics: bodies stay where they are put."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cliport.sim.constants import BOUNDS, IMAGE_SHAPE
from cliport.sim.poses import Pose, from_euler
from cliport.sim.shapes import Shape, bead


class Table:
    """What tasks and oracles ask of an environment, without a simulator. `room` is how many poses it finds before it is full."""

    def __init__(self, seed: int = 0, room: int = 10_000) -> None:
        self.seed, self.room = seed, room
        self.rng = np.random.default_rng(seed)
        self.objects: dict[str, list[int]] = {"rigid": [], "fixed": [], "deformable": []}
        self.poses: dict[int, Pose] = {}
        self.shapes: dict[int, Shape] = {}
        self.colors: dict[int, Any] = {}
        self.count = 0

    def random_pose(self, size: Sequence[float]) -> Pose | None:
        self.room -= 1
        if self.room < 0:
            return None
        x, y = self.rng.uniform(BOUNDS[:2, 0], BOUNDS[:2, 1])
        return from_euler((x, y, size[2] / 2), yaw=self.rng.uniform(-np.pi, np.pi))

    def add(self, shape: Shape, pose: Pose, category: str = "rigid", color: Any = None, mass: float | None = None) -> int:
        self.count += 1
        self.objects[category].append(self.count)
        self.poses[self.count], self.shapes[self.count], self.colors[self.count] = pose, shape, color
        return self.count

    def add_rope(self, points: np.ndarray, half: float, colors: Sequence[Any]) -> list[int]:
        return [self.add(bead(half), from_euler(point), "deformable", color) for point, color in zip(points, colors, strict=True)]

    def simulate(self, steps: int) -> None:
        """Nothing moves."""

    def remove(self, body: int) -> None:
        for bodies in self.objects.values():
            if body in bodies:
                bodies.remove(body)
        del self.poses[body]

    def pose(self, body: int) -> Pose:
        return self.poses[body]

    def size(self, body: int) -> tuple[float, float, float]:
        return self.shapes[body].size

    def look_down(self) -> tuple[np.ndarray, np.ndarray]:
        """Every rigid body as a square of 9 pixels."""
        heights, bodies = np.zeros(IMAGE_SHAPE, np.float32), np.full(IMAGE_SHAPE, -1, np.int32)
        from cliport.sim.pixels import position_to_pixel

        for body in self.objects["rigid"] + self.objects["deformable"]:
            row, column = position_to_pixel(self.poses[body][0])
            top = self.poses[body][0][2] + self.size(body)[2] / 2
            area = slice(max(row - 4, 0), row + 5), slice(max(column - 4, 0), column + 5)
            heights[area], bodies[area] = top, body
        return heights, bodies
