"""The workspace and its image, as in Ravens (Zeng et al.: Transporter Networks, CoRL 2020)."""

from __future__ import annotations

import numpy as np

BOUNDS = np.array([[0.25, 0.75], [-0.5, 0.5], [0.0, 0.28]])
"""Metres: x away from the robot's base, y to its left, z upwards; the table's top is z = 0."""

PIXEL = 0.003125
"""Side of a height map's pixel in metres."""

IMAGE_SHAPE = (320, 160)
"""Rows along y, columns along x."""

CAMERA_SHAPE = (480, 640)
"""Rows and columns of a camera's image."""

BOUNDS.setflags(write=False)
