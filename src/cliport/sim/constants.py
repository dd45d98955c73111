"""The workspace, its images and its pushes, as in Ravens (Zeng et al.: Transporter Networks, CoRL 2020)."""

from __future__ import annotations

import numpy as np

BOUNDS = np.array([[0.25, 0.75], [-0.5, 0.5], [0.0, 0.28]])
"""Meters: x away from the robot's base, y to its left, z up; the table top is z = 0."""

PIXEL = 0.003125
"""Side of a height map's pixel in meters."""

IMAGE_SHAPE = (320, 160)
"""Rows along y, columns along x."""

CAMERA_SHAPE = (480, 640)
"""Rows and columns of a camera's image."""

BEHIND, SHORT = 0.02, 0.05
"""A push starts this far behind its stated start and stops this far before its stated end, in meters."""

FRAME_RATE = 20
"""Frames that a recording takes per simulated second."""

GEOMETRIES = ("exact", "original")
"""Of height maps and agents: exact, or to the half pixel as in CLIPort's own code."""

BOUNDS.setflags(write=False)
