"""Rigid transformations: a position in meters and a unit quaternion in the order x, y, z, w."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Pose = tuple[np.ndarray, np.ndarray]
"""Position (3,) in meters and quaternion (4,) x, y, z, w. Maps points of its own frame into the frame in which it is given."""

UPRIGHT = (0.0, 0.0, 0.0, 1.0)
"""The identity quaternion."""


def pose(position: Sequence[float] | np.ndarray = (0, 0, 0), quaternion: Sequence[float] | np.ndarray = UPRIGHT) -> Pose:
    """A pose of new float64 arrays; the quaternion is normalized."""
    rotation = np.array(quaternion, float)
    return np.array(position, float), rotation / np.linalg.norm(rotation)


def from_euler(position: Sequence[float] | np.ndarray, roll: float = 0.0, pitch: float = 0.0, yaw: float = 0.0) -> Pose:
    """A pose rotated by `roll` about x, then `pitch` about y, then `yaw` about z of the fixed axes (radians), as in PyBullet."""
    return pose(position, quaternion_from_euler(roll, pitch, yaw))


def quaternion_from_euler(roll: float, pitch: float, yaw: float) -> np.ndarray:
    """The quaternion (4,) of angles about the fixed axes x, y, z in this order, in radians."""
    halves = np.array([roll, pitch, yaw], float) / 2
    (sr, sp, sy), (cr, cp, cy) = np.sin(halves), np.cos(halves)
    return np.array(
        [
            sr * cp * cy - cr * sp * sy,
            cr * sp * cy + sr * cp * sy,
            cr * cp * sy - sr * sp * cy,
            cr * cp * cy + sr * sp * sy,
        ]
    )


def euler_of(turned: np.ndarray) -> np.ndarray:
    """Roll, pitch and yaw (3,) of a rotation matrix (3, 3) in radians: the inverse of `quaternion_from_euler`, pitch in [-pi/2, pi/2]."""
    roll = np.arctan2(turned[2, 1], turned[2, 2])
    pitch = np.arctan2(-turned[2, 0], np.hypot(turned[2, 1], turned[2, 2]))
    return np.array([roll, pitch, np.arctan2(turned[1, 0], turned[0, 0])])


def yaw_of(a: Pose) -> float:
    """Rotation about z in radians, in (-pi, pi]; of a tilted pose the original's: the `yaw` of its `quaternion_zxy`."""
    turned = matrix(a[1])
    return float(np.arctan2(turned[1, 0], turned[1, 1]))


def quaternion_zxy(roll: float, pitch: float, yaw: float) -> np.ndarray:
    """The quaternion (4,) of turns by `yaw` about z, then `roll` about x, then `pitch` about y of the fixed axes, in radians.

    In this order the original (cliport/cliport at 2be5c47) states rotations by three angles, and takes them apart.
    """
    about_x, about_y, about_z = (quaternion_from_euler(*angles) for angles in np.diag([roll, pitch, yaw]))
    return product(about_y, product(about_x, about_z))


def matrix(quaternion: np.ndarray) -> np.ndarray:
    """The rotation matrix (..., 3, 3) of quaternions (..., 4)."""
    x, y, z, w = np.moveaxis(np.asarray(quaternion, float), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Hamilton's product of quaternions (..., 4): first `b`, then `a`."""
    (ax, ay, az, aw), (bx, by, bz, bw) = np.moveaxis(np.asarray(a, float), -1, 0), np.moveaxis(np.asarray(b, float), -1, 0)
    return np.stack(
        [
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
            aw * bw - ax * bx - ay * by - az * bz,
        ],
        -1,
    )


def multiply(a: Pose, b: Pose) -> Pose:
    """Pose `b`, given in the frame of `a`, in the frame in which `a` is given."""
    return pose(apply(a, b[0]), product(a[1], b[1]))


def inverse(a: Pose) -> Pose:
    """`multiply(a, inverse(a))` is the identity."""
    back = a[1] * [-1, -1, -1, 1]
    return pose(-(matrix(back) @ a[0]), back)


def apply(a: Pose, points: Sequence[float] | np.ndarray) -> np.ndarray:
    """Points (..., 3), given in the frame of `a`, in the frame in which `a` is given."""
    return np.asarray(np.asarray(points, float) @ matrix(a[1]).T + a[0])


def angle_between(a: np.ndarray, b: np.ndarray) -> float:
    """The angle in [0, pi] of the rotation from quaternion `a` to `b`, in radians."""
    # q and -q are the same rotation. The arc tangent stays accurate for small angles, where the arc cosine of a dot product does not.
    nearer = np.asarray(b) * (1 if np.dot(a, b) >= 0 else -1)
    return 4 * float(np.arctan2(np.linalg.norm(a - nearer), np.linalg.norm(a + nearer)))


def slerp(a: np.ndarray, b: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Quaternions (N, 4) on the shorter arc from `a` (share 0) to `b` (share 1), for shares (N,) (Shoemake 1985)."""
    dot = float(np.dot(a, b))
    end = np.asarray(b) * (1 if dot >= 0 else -1)
    angle = 2 * np.arctan2(np.linalg.norm(end - a), np.linalg.norm(end + a))
    if angle < 1e-9:
        return np.repeat(np.asarray(a, float)[None], len(shares), 0)
    return np.asarray((np.sin((1 - shares) * angle)[:, None] * a + np.sin(shares * angle)[:, None] * end) / np.sin(angle))
