"""The height map, stated in the plainest way: what the fast one must give."""

from __future__ import annotations

import numpy as np

from cliport.sim.cameras import CAMERAS, Camera
from cliport.sim.constants import BOUNDS, IMAGE_SHAPE, PIXEL
from cliport.sim.fusion import BELOW
from cliport.sim.observation import HeightMap, Observation


def cloud(camera: Camera, depth: np.ndarray) -> np.ndarray:
    """The point (H, W, 3) that each pixel sees, in the world."""
    rows, columns = camera.shape
    column, row = np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5)
    own = np.stack([(column - columns / 2) / camera.focal * depth, (row - rows / 2) / camera.focal * depth, depth], -1)
    return own @ camera.rotation.T + np.array(camera.position)


def one_view(points: np.ndarray, color: np.ndarray, bodies: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What one view says about each cell: whether it was seen, colour, height and body of its highest point."""
    seen, height = np.zeros(IMAGE_SHAPE, bool), np.zeros(IMAGE_SHAPE)
    painted, mask = np.zeros((*IMAGE_SHAPE, 3)), np.full(IMAGE_SHAPE, -1)
    points, color, bodies = points.reshape(-1, 3), color.reshape(-1, 3), bodies.reshape(-1)
    for index in np.argsort(points[:, 2].clip(0), kind="stable"):  # the highest comes last and stays
        x, y, z = points[index] - BOUNDS[:, 0]
        column, row = int(np.floor(x / PIXEL + 0.5)), int(np.floor(y / PIXEL + 0.5))
        if 0 <= row < IMAGE_SHAPE[0] and 0 <= column < IMAGE_SHAPE[1] and -BELOW <= z < BOUNDS[2, 1]:
            seen[row, column], height[row, column] = True, max(z, 0)
            painted[row, column], mask[row, column] = color[index], bodies[index]
    return seen, painted, height, mask


def naive_fuse(observation: Observation) -> HeightMap:
    """Colours are the mean of the views that see a cell, rounded half up; height and mask are those of the highest view."""
    views = [
        one_view(cloud(camera, depth.astype(float)), color, bodies)
        for camera, color, depth, bodies in zip(CAMERAS, observation.color, observation.depth, observation.segmentation, strict=True)
    ]
    seen, painted, height, mask = (np.stack(part) for part in zip(*views, strict=True))
    color = np.floor((painted * seen[..., None]).sum(0) / np.maximum(seen.sum(0), 1)[..., None] + 0.5)
    best = np.where(seen, height, -1).argmax(0)[None]
    pick = [np.take_along_axis(part, best, 0)[0] for part in (height, mask)]
    return HeightMap(color.astype(np.uint8), pick[0].astype(np.float32), pick[1].astype(np.int32))
