"""A scene in a folder: pictures of one or several cameras, or a height map, and what is asked of the robot.

color.png  depth.png|depth.npy  camera.json|camera.yaml        one camera
color_0.png depth_0.png camera_0.json  color_1.png ...         several
color.png  heights.npy                                         a height map of the workspace's bounds
instruction.txt                                                what to do
goal_color.png goal_depth.png ...                              the same of the goal, for agents that are shown one

A camera's file and an instruction that a scene lacks are taken from the folder above it, or from the one above that.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import DataError, HarnessError

from ..sim.observation import HeightMap
from .camera import PinholeCamera
from .view import View, height_map, read_color, read_depth
from .workspace import Workspace

COLORS, DEPTHS, CAMERAS, MAPS = (".png", ".jpg", ".jpeg"), (".npy", ".png"), (".json", ".yaml", ".yml"), (".npy", ".png")
PARTS, REQUESTS = ("color", "depth", "heights", "camera", "instruction"), "requests.csv"
GOAL = "goal_"
MILLIMETRE = 0.001


@dataclass(frozen=True)
class Request:
    """One thing that is asked in one scene."""

    scene: Path
    instruction: str
    name: str
    """Of this request among all; files are named after it."""


@dataclass(frozen=True)
class Sight:
    """What is seen in a scene."""

    map: HeightMap
    cameras: tuple[PinholeCamera, ...]


def requests_in(folder: Path, instruction: str = "") -> list[Request]:
    """What is asked in a scene's folder, or in a folder of scenes: by `instruction`, its requests.csv, or instruction.txt.

    Raises:
        DataError: when there are no scenes, or the requests cannot be read.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder")
    if is_scene(folder):
        return [Request(folder, instruction or instruction_of(folder), folder.resolve().name)]
    table = folder / REQUESTS
    if table.is_file() and not instruction:
        return requests_of(table)
    scenes = [path for path in sorted(folder.iterdir()) if path.is_dir() and has_parts(path)]
    if not scenes:
        raise DataError(f"{folder}: has no scene: a folder with color.png, depth.png or depth.npy, and camera.json")
    return [Request(scene, instruction or instruction_of(scene), scene.name) for scene in scenes]


def is_scene(folder: Path) -> bool:
    return bool(colors_in(folder))


def has_parts(folder: Path) -> bool:
    """Whether a folder has any file of a scene, so that it is one, be it without an image."""
    return any(path.stem.partition("_")[0] in PARTS and path.is_file() for path in folder.iterdir())


def colors_in(scene: Path, prefix: str = "") -> list[str]:
    """What the names of a scene's colour images have after `color`: nothing, or `_0`, `_1` ..."""
    matches = (re.fullmatch(rf"{prefix}color(_\w+)?", path.stem) for path in scene.iterdir() if path.suffix in COLORS)
    return sorted({match[1] or "" for match in matches if match})


def instruction_of(scene: Path) -> str:
    """A scene's instruction, or one above it; empty if there is none.

    Raises:
        DataError: for a file that is no text.
    """
    file = above(scene, "instruction", (".txt",))
    try:
        return file.read_text("utf-8-sig").strip() if file else ""
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: is no text in UTF-8: {error}") from error


def requests_of(table: Path) -> list[Request]:
    """The rows `scene,instruction` of a table.

    Raises:
        DataError: naming every row that is wrong.
    """
    try:
        rows = list(csv.reader(table.read_text("utf-8-sig").splitlines()))  # spreadsheets write a mark at the beginning
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table}: is no table of commas in UTF-8: {error}") from error
    columns = rows[0] if rows else []
    if {"scene", "instruction"} - set(columns):
        raise DataError(f"{table}: must have the columns scene and instruction, has {', '.join(columns) or 'none'}")
    cells = [dict(zip(columns, row, strict=False)) for row in rows[1:] if row]
    given = [(row.get("scene", "").strip(), row.get("instruction", "").strip()) for row in cells]
    problems = [
        f"{table}, row {number}: there is no scene {scene!r} in {table.parent}"
        for number, (scene, _) in enumerate(given, 2)
        if not scene or not (table.parent / scene).is_dir() or not is_scene(table.parent / scene)
    ]
    if problems or not given:
        raise DataError("\n".join(problems) or f"{table}: has no rows")
    return [
        Request(table.parent / scene, instruction, f"{number:03d}-{Path(scene).name}") for number, (scene, instruction) in enumerate(given)
    ]


def sight(scene: Path, workspace: Workspace, geometry: str = "exact", prefix: str = "") -> Sight:
    """What is seen in a scene; `prefix` GOAL for the one to be reached.

    Raises:
        DataError: naming all that is wrong with its files.
    """
    if heights := found(scene, f"{prefix}heights", MAPS):
        return Sight(map_of(scene, heights, workspace, prefix), ())
    views = views_in(scene, prefix)
    return Sight(height_map(views, workspace, geometry), tuple(view.camera for view in views))


def map_of(scene: Path, heights: Path, workspace: Workspace, prefix: str) -> HeightMap:
    """The height map that a scene holds as files."""
    color = found(scene, f"{prefix}color", COLORS)
    if color is None:
        raise DataError(f"{scene}: lacks {prefix}color.png beside {heights.name}")
    try:
        return workspace.map(read_color(color), read_depth(heights, MILLIMETRE))
    except HarnessError as error:
        raise DataError("\n".join(f"{scene}: {line}" for line in str(error).splitlines())) from error


def views_in(scene: Path, prefix: str = "") -> list[View]:
    """The views that a scene holds as files."""
    problems, views = [], []
    names = colors_in(scene, prefix)
    if not names:
        problems.append(f"{scene}: lacks {prefix}color.png")
    for name in names:
        color, depth = found(scene, f"{prefix}color{name}", COLORS), found(scene, f"{prefix}depth{name}", DEPTHS)
        camera = above(scene, f"camera{name}", CAMERAS)
        if depth is None:
            problems.append(f"{scene}: lacks {prefix}depth{name}.png or {prefix}depth{name}.npy")
        if camera is None:
            problems.append(f"{scene}: lacks camera{name}.json, and so do the two folders above it")
        if color is None or depth is None or camera is None:
            continue
        try:
            views.append(View.read(color, depth, PinholeCamera.read(camera)))
        except DataError as error:
            problems.append(str(error))
    if problems:
        raise DataError("\n".join(problems))
    return views


def found(folder: Path, stem: str, endings: Sequence[str]) -> Path | None:
    """The file of this name with one of these endings."""
    return next((path for ending in endings if (path := folder / f"{stem}{ending}").is_file()), None)


def above(scene: Path, stem: str, endings: Sequence[str]) -> Path | None:
    """The same in a scene's folder, or else in the nearest of the two above it."""
    whole = scene.absolute()
    return next((file for folder in (whole, *whole.parents[:2]) if (file := found(folder, stem, endings))), None)
