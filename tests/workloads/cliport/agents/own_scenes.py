"""A camera of one's own in the simulator, and a stand-in for a trained agent."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from PIL import Image

import cliport.agents.clip  # noqa: F401 - loads Triton, whose LLVM crashes if it comes after the one of EGL's software renderer
from cliport.agents.agent import Decision
from cliport.own.camera import PinholeCamera
from cliport.own.view import View
from cliport.sim.cameras import Camera, looking
from cliport.sim.constants import IMAGE_SHAPE
from cliport.sim.environment import Environment
from cliport.sim.observation import HeightMap
from cliport.sim.poses import quaternion_from_euler
from cliport.sim.studio import studio

OTHER = replace(looking((1.05, -0.4, 0.95), (0.5, 0.0, 0.0), focal=430.0), shape=(420, 560))
"""None of the simulator's three: another place, direction, focal length and resolution."""


def calibrated(camera: Camera) -> PinholeCamera:
    """A camera of the simulator by its calibration."""
    rows, columns = camera.shape
    x, y, z, w = quaternion_from_euler(*camera.euler).tolist()
    middle = (columns - 1) / 2, (rows - 1) / 2
    return PinholeCamera(camera.focal, camera.focal, *middle, columns, rows, camera.position, (x, y, z, w))


def photograph(env: Environment, camera: Camera = OTHER, renderer: str = "") -> View:
    """What a camera sees of what is on the table now."""
    env.arrange()
    color, depth, _ = studio(renderer or env.renderer).photograph(camera)
    return View(color, depth, calibrated(camera))


@dataclass(frozen=True)
class HighestStandIn:
    """A stand-in for a trained agent: it picks the middle of what is highest, and places at the middle of the map, a quarter turned."""

    origin: str = "no weights: a stand-in that picks what is highest"
    cells: str = "exact"
    config: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(agent="transporter", scale=1))
    design: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(goal=False))

    def act(self, view: HeightMap, language: str, goal: HeightMap | None = None) -> Decision:
        top = np.argwhere(view.height > view.height.max() - 0.003).mean(0).round().astype(int)
        picks, places = np.zeros(IMAGE_SHAPE, np.float32), np.zeros((4, *IMAGE_SHAPE), np.float32)
        pick, place = (int(top[0]), int(top[1])), (160, 80)
        picks[pick], places[(1, *place)] = 1, 1
        return Decision(pick, place, np.pi / 2, picks, places)


def write_scene(folder: Path, view: View, instruction: str = "") -> Path:
    """A view as the files of a scene, its depth in whole millimetres."""
    folder.mkdir(parents=True)
    Image.fromarray(view.color).save(folder / "color.png")
    Image.fromarray(np.rint(view.depth * 1000).astype(np.uint16)).save(folder / "depth.png")
    stated = {name: getattr(view.camera, name) for name in ("fx", "fy", "cx", "cy", "width", "height", "position", "quaternion")}
    (folder / "camera.json").write_text(json.dumps(stated))
    if instruction:
        (folder / "instruction.txt").write_text(instruction)
    return folder


def write_map(folder: Path, view: HeightMap, instruction: str = "", prefix: str = "") -> Path:
    """A height map of the simulator's workspace as the files of a scene."""
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(view.color).save(folder / f"{prefix}color.png")
    np.save(folder / f"{prefix}heights.npy", view.height)
    if instruction:
        (folder / "instruction.txt").write_text(instruction)
    return folder


def drawn(draw: Callable[[tuple[np.ndarray, np.ndarray]], object]) -> HeightMap:
    """A map that was drawn, on a dark table."""
    view = np.full((*IMAGE_SHAPE, 3), 40, np.uint8), np.zeros(IMAGE_SHAPE, np.float32)
    draw(view)
    return HeightMap(*view, np.zeros(IMAGE_SHAPE, np.int32))
