"""Calibrated cameras, in OpenCV's convention: x is right, y is down, z is forward, and whole numbers are the middles of pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import DataError
from harness.settings import nearest
from harness.yaml_file import read_yaml

from ..sim.cameras import Camera
from ..sim.poses import UPRIGHT, euler_of, matrix, quaternion_from_euler
from .workspace import Workspace

DEPTH_UNIT = 0.001
"""Metres per unit of a depth image of whole numbers, unless its camera's file says otherwise."""
UNIT = 1e-3
"""By how much the length of a quaternion, and the axes of a rotation, may differ from what they should be."""
WIDEST = 8
"""Focal lengths of a pinhole camera are more than the image's side by this: less is a field of view of over 150 degrees."""
FURTHEST = 100
"""Metres from the origin; further away, a position is taken for millimetres."""
POSE, INTRINSIC = ("position", "quaternion"), ("fx", "fy", "cx", "cy")


@dataclass(frozen=True)
class PinholeCamera:
    """A camera without distortion. A point in its frame at (x, y, z) is seen at column fx x / z + cx and row fy y / z + cy."""

    fx: float
    fy: float
    cx: float
    cy: float
    """Pixels."""
    width: int
    height: int
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Of the camera, in metres."""
    quaternion: tuple[float, float, float, float] = UPRIGHT
    """x, y, z, w: turns the camera's axes into those of the frame."""
    depth_unit: float = DEPTH_UNIT
    """Metres per unit of depth images of whole numbers."""

    @classmethod
    def read(cls, path: Path | str) -> PinholeCamera:
        """The camera that a JSON or YAML file describes.

        Raises:
            DataError: naming the file and all that is wrong with it.
        """
        try:
            stated = read_yaml(Path(path))
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: {error}") from error
        return cls.of(stated, str(path))

    @classmethod
    def of(cls, stated: Any, where: str = "camera") -> PinholeCamera:
        """The camera that a mapping describes: intrinsics, and `position` and `quaternion`, or `matrix` (4, 4), from camera to frame.

        Raises:
            DataError: naming all that is wrong; `where` says what with.
        """
        if problems := list(problems_of(stated)):
            raise DataError("\n".join(f"{where}: {problem}" for problem in problems))
        placed = {key: stated[key] for key in POSE if key in stated}
        if "matrix" in stated:
            transform = np.array(stated["matrix"], float)
            turn = quaternion_from_euler(*euler_of(transform[:3, :3]))
            placed = {"position": transform[:3, 3].tolist(), "quaternion": turn.tolist()}
        fx, fy, cx, cy = (float(stated[key]) for key in INTRINSIC)
        x, y, z = map(float, placed["position"])
        quaternion = tuple(map(float, placed["quaternion"]))
        assert len(quaternion) == 4  # it has been checked
        unit = float(stated.get("depth_unit", DEPTH_UNIT))
        return cls(fx, fy, cx, cy, stated["width"], stated["height"], (x, y, z), quaternion, unit)

    @property
    def rotation(self) -> np.ndarray:
        """The camera's axes in the frame, as columns (3, 3)."""
        return np.asarray(matrix(np.array(self.quaternion) / np.linalg.norm(self.quaternion)))

    def pixel_of(self, point: np.ndarray) -> tuple[float, float] | None:
        """Column and row at which a point (3,) of the frame is seen; None if it is not in the image."""
        x, y, z = self.rotation.T @ (np.asarray(point, float) - self.position)
        if z <= 0:
            return None
        column, row = float(self.fx * x / z + self.cx), float(self.fy * y / z + self.cy)
        inside = -0.5 <= column < self.width - 0.5 and -0.5 <= row < self.height - 0.5
        return (column, row) if inside else None

    def points(self, depth: np.ndarray) -> np.ndarray:
        """float64 (H * W, 3): the point of the frame at each pixel's depth (H, W)."""
        return np.asarray((self.rotation @ (self.directions * np.asarray(depth, float).ravel())).T + self.position)

    @cached_property
    def directions(self) -> np.ndarray:
        """float64 (3, H * W): displacement in the camera's frame per metre of depth."""
        x, y = (np.arange(self.width) - self.cx) / self.fx, (np.arange(self.height) - self.cy) / self.fy
        return np.stack([np.tile(x, self.height), np.repeat(y, self.width), np.ones(self.width * self.height)])

    def lens(self, workspace: Workspace) -> Lens:
        """The camera as an agent's workspace has it."""
        x, y, z = workspace.to_agent(self.position).tolist()
        roll, pitch, yaw = euler_of(self.rotation).tolist()
        return Lens((x, y, z), (roll, pitch, yaw), shape=(self.height, self.width), own=self)


@dataclass(frozen=True)
class Lens(Camera):
    """What fusion needs of a calibrated camera, in an agent's workspace."""

    own: PinholeCamera = PinholeCamera(1, 1, 0, 0, 1, 1)

    @cached_property
    def rotation(self) -> np.ndarray:
        return self.own.rotation

    def rays_through(self, part: float) -> np.ndarray:
        """Through the middle of every pixel, where the calibration says that it is, whatever `part` of a pixel is asked for."""
        return np.asarray(self.rotation @ self.own.directions, np.float32)


def problems_of(stated: Any) -> Iterator[str]:
    """All that is wrong with a camera's description."""
    if not isinstance(stated, Mapping):
        yield "must be a mapping with fx, fy, cx, cy, width, height, position and quaternion"
        return
    known = [*(field.name for field in fields(PinholeCamera)), "matrix", "distortion"]
    yield from (f"{key}: there is no such key{nearest(str(key), known)}" for key in stated if key not in known)
    posed = ("matrix",) if "matrix" in stated else POSE
    lacking = [key for key in (*INTRINSIC, "width", "height", *posed) if key not in stated]
    if lacking:
        yield f"lacks {', '.join(lacking)}"
    if "matrix" in stated and set(POSE) & stated.keys():
        yield "matrix, and position and quaternion, say the same; keep one"
    sizes = {"matrix": (4, 4), "position": (3,), "quaternion": (4,), **dict.fromkeys((*INTRINSIC, "width", "height", "depth_unit"), ())}
    unreadable = {key for key, shape in sizes.items() if key in stated and not holds(stated[key], shape)}
    for key in sorted(unreadable):
        shape = sizes[key]
        yield f"{key}={stated[key]}: must be {' x '.join(map(str, shape)) + ' finite numbers' if shape else 'a finite number'}"
    read = {key: value for key, value in stated.items() if key not in unreadable}
    yield from problems_of_intrinsics(read)
    yield from problems_of_pose(read)


def holds(value: Any, shape: tuple[int, ...]) -> bool:
    """Whether a value is finite numbers of a shape."""
    try:
        numbers = np.array(value, float)
    except (TypeError, ValueError):
        return False
    return numbers.shape == shape and bool(np.isfinite(numbers).all()) and not isinstance(value, bool | str)


def problems_of_intrinsics(stated: Mapping[str, Any]) -> Iterator[str]:
    """`stated` has finite numbers only."""
    for focal, middle, side in (("fx", "cx", "width"), ("fy", "cy", "height")):
        pixels = stated.get(side)
        if pixels is None:
            continue
        if not isinstance(pixels, int) or pixels < 1:
            yield f"{side}={pixels}: must be a whole number of pixels"
        elif focal in stated and stated[focal] <= pixels / WIDEST:
            yield f"{focal}={stated[focal]}: must be in pixels, more than an eighth of {side}={pixels}"
        elif middle in stated and not -0.5 <= stated[middle] <= pixels - 0.5:
            yield f"{middle}={stated[middle]}: must be in pixels, within the image of {side}={pixels}"
    if stated.get("depth_unit", DEPTH_UNIT) <= 0:
        yield f"depth_unit={stated['depth_unit']}: must be above 0, in metres per unit of the depth image"
    if np.any(np.array(stated.get("distortion") or 0, float) != 0):
        yield "distortion: must be 0; undistort the images first, for instance with OpenCV's undistort (depth to the nearest pixel)"


def problems_of_pose(stated: Mapping[str, Any]) -> Iterator[str]:
    """`stated` has finite numbers only."""
    position = stated.get("position")
    if "quaternion" in stated:
        length = math.hypot(*stated["quaternion"])
        if abs(length - 1) > UNIT:
            yield f"quaternion={stated['quaternion']}: must have length 1, has {length:.4g} (its order is x, y, z, w)"
    if "matrix" in stated:
        transform = np.array(stated["matrix"], float)
        turn, position = transform[:3, :3], transform[:3, 3].tolist()
        if np.abs(turn @ turn.T - np.eye(3)).max() > UNIT or np.linalg.det(turn) < 0:
            yield "matrix: its rotation must be orthonormal and right-handed: its columns are the camera's x, y and z in the frame"
        if not np.array_equal(transform[3], [0, 0, 0, 1]):
            yield "matrix: its last row must be 0, 0, 0, 1"
    if position is not None and math.hypot(*position) > FURTHEST:
        yield f"position={position}: must be in metres"
