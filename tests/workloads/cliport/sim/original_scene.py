"""The scene of the fixtures' height maps, as a stated rule draws it: a tilted plane and six boxes, seen without noise.

One box is black, one goes through the ceiling of the workspace, one across its border. See `../fixtures/README.md`.
"""

from __future__ import annotations

import numpy as np

from cliport.sim.observation import Observation

PLANE = (0.012, 0.02, -0.015)
"""z = a + b (x - 0.5) + c y"""
BOXES = (
    ((0.36, -0.30, 0.0), (0.46, -0.20, 0.10)),
    ((0.55, 0.05, 0.0), (0.60, 0.25, 0.06)),
    ((0.40, 0.20, 0.0), (0.44, 0.24, 0.20)),
    ((0.62, -0.15, 0.0), (0.70, -0.07, 0.04)),
    ((0.70, 0.40, 0.0), (0.80, 0.55, 0.05)),
    ((0.30, 0.00, 0.0), (0.34, 0.04, 0.30)),
)
"""Lower and upper corner."""
COLOURS = np.array([(150, 140, 130), (220, 60, 50), (40, 170, 80), (60, 90, 210), (0, 0, 0), (230, 200, 70), (200, 100, 190), (0, 0, 0)])
"""Of the plane, of each box, and of nothing."""
FAR = 10.0


def observation(rotations: np.ndarray, positions: np.ndarray) -> Observation:
    """Views of cameras with rotation matrices (N, 3, 3) and positions (N, 3) in metres."""
    seen = [rendered(*camera) for camera in zip(rotations, positions, strict=True)]
    return Observation(tuple(painted(thing) for _, thing in seen), tuple(depth for depth, _ in seen))


def rendered(rotation: np.ndarray, position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Depth float32 (480, 640) in metres, in steps of 1/4096, and what is seen: 0 the plane, 1 to 6 a box, 7 nothing."""
    rows, columns = np.mgrid[:480, :640].astype(float)
    rays = np.stack([(columns - 320) / 450, (rows - 240) / 450, np.ones_like(rows)], -1) @ rotation.T
    a, b, c = PLANE
    with np.errstate(divide="ignore", invalid="ignore"):
        away = (a + b * (position[0] - 0.5) + c * position[1] - position[2]) / (rays[..., 2] - b * rays[..., 0] - c * rays[..., 1])
        depth = np.where((away > 0) & (away < FAR), away, FAR)
        thing = np.where(depth < FAR, 0, 7)
        for number, (low, high) in enumerate(BOXES, 1):
            one, other = (np.array(low) - position) / rays, (np.array(high) - position) / rays
            enters, leaves = np.minimum(one, other).max(-1), np.maximum(one, other).min(-1)
            hit = (enters <= leaves) & (enters > 0) & (enters < depth)
            depth, thing = np.where(hit, enters, depth), np.where(hit, number, thing)
    return (np.rint(depth * 4096) / 4096).astype(np.float32), thing


def painted(thing: np.ndarray) -> np.ndarray:
    """uint8 (480, 640, 3): each thing's colour, a little different from tile to tile; what is black stays black."""
    rows, columns = np.mgrid[:480, :640]
    colour = COLOURS[thing]
    tiles = ((3 * (columns // 32) + 5 * (rows // 32)) % 16)[..., None]
    return np.where(colour.sum(-1, keepdims=True) > 0, colour + tiles, 0).astype(np.uint8)
