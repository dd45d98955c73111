"""Closed-form inverse kinematics of the UR5 for whole paths at once.

The arm is a vertical plane with two links, rotated by the pan joint, plus three wrist joints: each angle follows from the flange's pose
by elementary trigonometry (Hawkins: Analytic Inverse Kinematics for the Universal Robots UR-5/UR-10 Arms, 2013). One call solves a path
of hundreds of poses. Of the eight solutions it always takes the one with elbow up and wrist outwards, so a path never jumps.
"""

from __future__ import annotations

import numpy as np

from .poses import matrix

SHOULDER_HEIGHT, UPPER_ARM, FOREARM = 0.089159, 0.425, 0.39225  # meters, from assets/ur5/ur5.urdf
ASIDE = 0.13585 - 0.1197 + 0.093
"""Distance of the wrist's plane to the left of the pan axis."""
WRIST_1, WRIST_2 = 0.09465, 0.0823
"""Distances from the wrist's plane to the last joint, and from there to the flange."""


def solve(positions: np.ndarray, quaternions: np.ndarray, near: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Joint angles (N, 6) for a path of flange poses (N, 3), (N, 4), given in the frame of the robot's base.

    The flange's z axis points out of the robot. Angles are continuous along the path and start as near as possible to `near` (6,).
    The second result (N,) is by how many meters the arm is too short or too long for each pose: 0 if it reaches the pose.
    """
    rotation = matrix(quaternions)
    out = rotation[:, :, 2]
    last = positions - WRIST_2 * out  # origin of the last joint
    # Seen from above, the wrist is ASIDE of the line from the pan axis on which the two links lie.
    distance = np.hypot(last[:, 0], last[:, 1])
    pan = np.arctan2(last[:, 1], last[:, 0]) - np.arcsin(np.clip(ASIDE / distance.clip(1e-9), -1, 1))
    forward = np.stack([np.cos(pan), np.sin(pan), np.zeros_like(pan)], -1)
    left = np.stack([-np.sin(pan), np.cos(pan), np.zeros_like(pan)], -1)

    # The last joint's axis makes the angle wrist_2 with the plane's normal, and wrist_3 turns the flange about that axis.
    wrist_2 = -np.arccos(np.clip((out * left).sum(1), -1, 1))
    seen = np.einsum("nij,ni->nj", rotation, left)  # the plane's normal in the flange's frame
    wrist_3 = np.arctan2(seen[:, 1], -seen[:, 0])

    along = -np.sin(wrist_3)[:, None] * rotation[:, :, 0] - np.cos(wrist_3)[:, None] * rotation[:, :, 1]  # towards the last joint
    # What remains is planar: take off the wrist's last link, and a triangle of the two links with known sides is left.
    lean = np.arctan2((along * forward).sum(1), along[:, 2])
    reach = (last * forward).sum(1) - WRIST_1 * np.sin(lean)
    rise = last[:, 2] - SHOULDER_HEIGHT - WRIST_1 * np.cos(lean)
    bend = (reach**2 + rise**2 - UPPER_ARM**2 - FOREARM**2) / (2 * UPPER_ARM * FOREARM)
    elbow = np.arccos(np.clip(bend, -1, 1))
    lift = np.arctan2(-rise, reach) - np.arctan2(FOREARM * np.sin(elbow), UPPER_ARM + FOREARM * np.cos(elbow))
    wrist_1 = lean - np.pi - lift - elbow

    # Angles are known up to whole turns only: continuous along the path, and starting where the arm is.
    joints = np.unwrap(np.stack([pan, lift, elbow, wrist_1, wrist_2, wrist_3], 1), axis=0)
    joints += 2 * np.pi * np.round((near - joints[0]) / (2 * np.pi))
    full = np.hypot(reach, rise)
    short = np.stack([full - (UPPER_ARM + FOREARM), UPPER_ARM - FOREARM - full, ASIDE - distance])
    return joints, np.maximum(short.max(0), 0)
