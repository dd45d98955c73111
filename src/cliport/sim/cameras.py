"""The cameras: poses, intrinsics and projections.

The three views have the poses and intrinsics that Ravens published for its RealSense D415s, without noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .constants import CAMERA_SHAPE
from .poses import euler_of, matrix, quaternion_from_euler


@dataclass(frozen=True)
class Camera:
    """A pinhole camera. In its own frame x is right, y is down and z is forward."""

    position: tuple[float, float, float]
    """Meters."""
    euler: tuple[float, float, float]
    """Roll, pitch and yaw of its frame about fixed axes, in radians."""
    focal: float = 450.0
    """Pixels."""
    shape: tuple[int, int] = CAMERA_SHAPE
    """Rows and columns; the optical axis passes through the image's center."""
    near: float = 0.2
    far: float = 5.0
    """Range of visible depths in meters. EGL resolves it to 16 bits, which is 0.1 mm at a distance of 1 m."""

    @cached_property
    def rotation(self) -> np.ndarray:
        """The camera's axes in the world, as columns (3, 3)."""
        return matrix(quaternion_from_euler(*self.euler))

    @cached_property
    def rays(self) -> np.ndarray:
        """float32 (3, H * W): displacement in the world per meter of depth, for the center of every pixel in row-major order."""
        return self.rays_through(0.5)

    def rays_through(self, part: float) -> np.ndarray:
        """Like `rays`, but through the point that lies `part` of a pixel right of and below each pixel's upper left corner."""
        rows, columns = self.shape
        x = (np.arange(columns) + part - columns / 2) / self.focal
        y = (np.arange(rows) + part - rows / 2) / self.focal
        own = np.stack([np.tile(x, rows), np.repeat(y, columns), np.ones(rows * columns)])
        return np.asarray(self.rotation @ own, np.float32)

    @property
    def view(self) -> list[float]:
        """OpenGL's view matrix in column-major order."""
        turned = self.rotation * [1, -1, -1]  # OpenGL's camera looks along -z, its y is up
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = turned.T, -turned.T @ self.position
        return matrix.T.ravel().tolist()

    @property
    def projection(self) -> list[float]:
        """OpenGL's projection matrix in column-major order."""
        (rows, columns), near, far = self.shape, self.near, self.far
        matrix = np.zeros((4, 4))
        matrix[0, 0], matrix[1, 1] = 2 * self.focal / columns, 2 * self.focal / rows
        matrix[2, 2:], matrix[3, 2] = [-(far + near) / (far - near), -2 * far * near / (far - near)], -1
        return matrix.T.ravel().tolist()

    def depth(self, buffer: np.ndarray) -> np.ndarray:
        """Depth along the axis in meters, float32, from OpenGL's depth buffer in [0, 1]."""
        near, far = np.float32(self.near), np.float32(self.far)
        return far * near / (far - (far - near) * buffer.astype(np.float32, copy=False))


FRONT = Camera((1.0, 0.0, 0.75), (np.pi / 4, np.pi, -np.pi / 2))
LEFT = Camera((0.0, 0.5, 0.75), (np.pi / 4.5, np.pi, np.pi / 4))
RIGHT = Camera((0.0, -0.5, 0.75), (np.pi / 4.5, np.pi, 3 * np.pi / 4))

CAMERAS = (FRONT, LEFT, RIGHT)
"""The views of an observation, in its order."""


def looking(position: tuple[float, float, float], target: tuple[float, float, float], focal: float) -> Camera:
    """A level camera with `target` at the center of its image; it must not look straight up or down."""
    forward = np.subtract(target, position)
    right = np.cross(forward, (0, 0, 1))
    axes = np.stack([right, np.cross(forward, right), forward], 1)
    roll, pitch, yaw = euler_of(axes / np.linalg.norm(axes, axis=0)).tolist()
    return Camera(position, (roll, pitch, yaw), focal)


PRESENTATION = looking((1.5, 0.0, 0.9), (0.33, 0.0, 0.2), focal=560.0)
"""The view for people: the table and the arm from the front."""
