"""The height map of three views as CLIPort's own code makes it: each view a cloud of points, the points sorted, then written.

Its geometry is the original's too, which `cliport.sim.fusion` has as `original`: rays through the corners of pixels, positions in the
cell of whose corner they are beyond, nothing from below the table, and black for unseen.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cliport.sim.cameras import Camera
from cliport.sim.constants import BOUNDS, IMAGE_SHAPE, PIXEL


def cloud(camera: Camera, depth: np.ndarray) -> np.ndarray:
    """(H, W, 3) points in the world, by a 4 x 4 matrix on homogeneous coordinates."""
    rows, columns = camera.shape
    u, v = np.meshgrid(np.linspace(0, columns - 1, columns), np.linspace(0, rows - 1, rows))
    own = np.stack([(u - columns / 2) * depth / camera.focal, (v - rows / 2) * depth / camera.focal, depth], -1)
    transform = np.eye(4)
    transform[:3, :3], transform[:3, 3] = camera.rotation, camera.position
    homogeneous = np.pad(own, ((0, 0), (0, 0), (0, 1)), constant_values=1)
    points: np.ndarray = np.einsum("ij,hwj->hwi", transform, homogeneous)[..., :3]
    return points


def height_map(points: np.ndarray, color: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Heights and colours of the highest point in each cell."""
    height, seen = np.zeros(IMAGE_SHAPE, np.float32), np.zeros((*IMAGE_SHAPE, 3), np.uint8)
    low, high = BOUNDS[:, 0], BOUNDS[:, 1]
    valid = ((points >= low) & (points < high)).all(-1)
    points, color = points[valid], color[valid]
    order = np.argsort(points[:, 2], kind="stable")
    points, color = points[order], color[order]
    columns, rows = (np.floor((points[:, axis] - low[axis]) / PIXEL).astype(np.int32) for axis in (0, 1))
    columns, rows = columns.clip(0, IMAGE_SHAPE[1] - 1), rows.clip(0, IMAGE_SHAPE[0] - 1)
    height[rows, columns] = points[:, 2] - BOUNDS[2, 0]
    for channel in range(3):
        seen[rows, columns, channel] = color[:, channel]
    return height, seen


def fuse(cameras: Sequence[Camera], colors: Sequence[np.ndarray], depths: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Heights (float32) and colours (uint8): the highest of the views, the mean of those that show a cell in another colour than black."""
    maps = [height_map(cloud(camera, depth), color) for camera, color, depth in zip(cameras, colors, depths, strict=True)]
    heights, seen = (np.stack(part).astype(np.float32) for part in zip(*maps, strict=True))
    counted = (seen.sum(-1) > 0).sum(0)
    color = np.uint8(np.round(seen.sum(0) / np.maximum(counted, 1)[..., None]))
    return heights.max(0), color
