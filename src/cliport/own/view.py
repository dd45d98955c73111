"""Views of calibrated cameras, and the height map that an agent sees of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from harness.errors import DataError

from ..sim.fusion import CEILING, fuse
from ..sim.observation import HeightMap, Observation
from .camera import PinholeCamera
from .workspace import Workspace, shown

NOTHING = np.float32(-1000)
"""Metres: a depth at which no camera within the workspace's surroundings sees anything of it. Stands for pixels without a measurement."""
NEAREST, FURTHEST = 0.03, 30.0
"""Metres: a middle depth outside of this is in another unit."""
FEW = 0.01
"""Share of the workspace's cells; with fewer seen, something is wrong with the poses, the bounds or a unit."""
OTHER_AXES = {"position and quaternion are those of the world in the camera": "inverse", "axes of OpenGL: y up, z backwards": "opengl"}


@dataclass(frozen=True)
class View:
    """What one camera sees."""

    color: np.ndarray
    """uint8 (H, W, 3): red, green, blue."""
    depth: np.ndarray
    """float (H, W): metres along the camera's axis; 0 or NaN where nothing was measured."""
    camera: PinholeCamera
    name: str = "view"
    """What errors call it."""

    @classmethod
    def read(cls, color: Path | str, depth: Path | str, camera: PinholeCamera) -> View:
        """From files: colours as PNG or JPEG; depth as 16-bit PNG in the camera's `depth_unit`, or as .npy in metres.

        Raises:
            DataError: for a file that cannot be read, or is of another kind.
        """
        return cls(read_color(Path(color)), read_depth(Path(depth), camera.depth_unit), camera, str(color))

    @property
    def measured(self) -> np.ndarray:
        """bool (H, W): where there is a depth."""
        return np.asarray(np.isfinite(self.depth) & (self.depth > 0))


def read_color(path: Path) -> np.ndarray:
    """uint8 (H, W, 3)."""
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: is not an image: {error}") from error


def read_depth(path: Path, unit: float) -> np.ndarray:
    """float32 metres."""
    try:
        if path.suffix == ".npy":
            values = np.load(path, allow_pickle=False)
            if not np.issubdtype(values.dtype, np.floating):
                raise DataError(f"{path}: holds {values.dtype}; a .npy file has metres as floats, a 16-bit .png multiples of depth_unit")
            return np.asarray(values, np.float32)
        with Image.open(path) as image:
            values = np.asarray(image)
    except (OSError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: is not a depth image: {error}") from error
    if values.ndim != 2 or values.dtype.itemsize < 2:
        raise DataError(f"{path}: holds {shown(values)}; a depth image has one channel of 16 bits")
    return np.asarray(values * unit, np.float32)


def height_map(views: Sequence[View], workspace: Workspace, geometry: str = "exact") -> HeightMap:
    """The height map that agents of a geometry see of these views; its mask is 0 where a view sees a cell, else -1.

    Raises:
        DataError: naming all that is wrong with the views.
    """
    problems = [problem for view in views for problem in problems_of(view)]
    if not views:
        problems.append("there is no view")
    if problems:
        raise DataError("\n".join(problems))
    observation = Observation(
        tuple(view.color for view in views),
        tuple(depth_below(view, workspace) for view in views),
        tuple(np.zeros(view.depth.shape, np.int32) for view in views),
    )
    with np.errstate(invalid="ignore"):  # of a ray in the plane of one of the workspace's sides
        seen = fuse(observation, [view.camera.lens(workspace) for view in views], geometry)
    inside = workspace.inside & (seen.mask >= 0)
    if inside.sum() < FEW * workspace.inside.sum():
        raise DataError(told_outside(views, workspace))
    color, height = seen.color * inside[..., None], seen.height * inside
    return HeightMap(color, height, np.where(inside, seen.mask, -1).astype(np.int32))


def depth_below(view: View, workspace: Workspace) -> np.ndarray:
    """Depths (H, W) in the agent's metres, NOTHING where there is no measurement or the point is above the bounds."""
    depth = np.where(view.measured, view.depth, 0).astype(np.float32) * np.float32(workspace.scale)
    low, high = workspace.bounds[4:]
    kept = view.measured
    if (high - low) * workspace.scale < CEILING - 1e-6:  # else it is the agent's own, which fusion knows
        up = view.camera.rotation[2] @ view.camera.directions
        kept = kept & (np.where(view.measured, view.depth, 0) * up.reshape(depth.shape) + view.camera.position[2] < high)
    return np.asarray(np.where(kept, depth, NOTHING), np.float32)


def problems_of(view: View) -> Iterator[str]:
    """All that is wrong with a view by itself."""
    color, depth, camera = view.color, view.depth, view.camera
    if color.ndim != 3 or color.shape[2] != 3 or color.dtype != np.uint8:
        yield f"{view.name}: colours must be uint8 of height x width x 3, are {shown(color)}"
    if depth.ndim != 2 or not np.issubdtype(depth.dtype, np.floating):
        yield f"{view.name}: depth must be floats of height x width, in metres, is {shown(depth)}"
        return
    sizes = {"colours": color.shape[:2], "depth": depth.shape, "camera": (camera.height, camera.width)}
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"{name} {size[1]} x {size[0]}" for name, size in sizes.items() if len(size) == 2)
        yield f"{view.name}: colours, depth and camera must have one size in pixels, have {told}; register the depth to the colours"
    if (depth < 0).any():
        yield f"{view.name}: depth must not be negative; 0 or NaN means that nothing was measured"
    if not view.measured.any():
        yield f"{view.name}: depth is missing everywhere"
        return
    middle = float(np.median(depth[view.measured]))
    if not NEAREST <= middle <= FURTHEST:
        yield f"{view.name}: depth must be in metres, its median is {middle:.4g}: is it in another unit? (depth_unit={camera.depth_unit:g})"


def told_outside(views: Sequence[View], workspace: Workspace) -> str:
    """That the views do not show the workspace: where their points are, and what would bring them into the bounds."""
    points = np.concatenate([view.camera.points(view.depth)[view.measured.ravel()] for view in views])
    ranges = ", ".join(f"{axis} {low:.2f} to {high:.2f}" for axis, low, high in zip("xyz", *np.percentile(points, [5, 95], 0), strict=True))
    low, high = np.array(workspace.bounds[::2]), np.array(workspace.bounds[1::2])
    bounds = ", ".join(f"{axis} {start:g} to {end:g}" for axis, start, end in zip("xyz", low, high, strict=True))
    hints = [
        f"they would be inside if {why}"
        for why, kind in OTHER_AXES.items()
        if np.concatenate([within(replace(view, camera=turned(view.camera, kind)), low, high) for view in views]).mean() > 0.2
    ]
    return (
        f"{', '.join(view.name for view in views)}: almost no point is inside the bounds ({bounds} m); most are at {ranges} m. "
        f"{'; '.join(hints) or 'Check the poses (from camera to frame; x right, y down, z forward), the bounds and all units'}"
    )


def within(view: View, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """bool (N,): which of a view's points are inside."""
    points = view.camera.points(view.depth)[view.measured.ravel()]
    return np.asarray(((points >= low) & (points <= high)).all(1))


def turned(camera: PinholeCamera, kind: str) -> PinholeCamera:
    """The camera that is meant if its pose was given by another convention."""
    turn = camera.rotation.T if kind == "inverse" else camera.rotation * [1, -1, -1]
    position = -camera.rotation.T @ camera.position if kind == "inverse" else np.array(camera.position)
    transform = np.eye(4)
    transform[:3, :3], transform[:3, 3] = turn, position
    intrinsics = {name: getattr(camera, name) for name in ("fx", "fy", "cx", "cy", "width", "height")}
    return PinholeCamera.of({**intrinsics, "matrix": transform.tolist()})
