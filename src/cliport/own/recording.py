"""A recorded episode in a folder: what was picked and placed, and what the cameras saw before each action and at the end.

actions.json        [{"instruction": "..", "pick": {"position": [x, y, z], "yaw": 0.0}, "place": {..}}, ..]
0/ 1/ .. T/         scenes, see `scene`: before each of T actions, and after the last

Positions are the tool's tip in metres, in the frame of the camera poses. Instead of `yaw`, in radians, there may be a `quaternion` x, y,
z, w of the tool, whose z axis points up or down. An instruction that an action lacks is that of instruction.txt.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import DataError
from harness.settings import nearest
from harness.yaml_file import read_yaml

from ..sim.action import Action
from ..sim.observation import HeightMap
from ..sim.pixels import position_to_pixel
from ..sim.poses import from_euler, matrix
from .camera import UNIT, holds
from .scene import instruction_of, sight
from .workspace import Workspace

ACTIONS = "actions.json"
KEYS, POSE_KEYS = ("instruction", "pick", "place"), ("position", "yaw", "quaternion")
AROUND = 2
"""Cells around a pick in which something must be."""
ABOVE, SAME = 0.05, 0.005
"""Metres: how far a pick may be from the height that the cameras see, and how near pick and place may be to each other."""
CHANGE, COLOUR_CHANGE = 0.003, 24
"""Metres, and steps of 255: what changes less at the pick has not been taken away."""
TILT = np.radians(15)


@dataclass
class Recorded:
    """One action, and what was seen before it."""

    number: int
    instruction: str
    pick: np.ndarray
    """float64 (3,), in the frame of the camera poses."""
    place: np.ndarray
    yaws: tuple[float, float]
    view: HeightMap | None = None
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    """What may be a mistake."""

    def action(self, workspace: Workspace) -> Action:
        """In the agent's workspace."""
        poses = (from_euler(workspace.to_agent(at), yaw=yaw) for at, yaw in zip((self.pick, self.place), self.yaws, strict=True))
        return Action(*poses)

    def pixels(self, workspace: Workspace) -> tuple[tuple[int, int], tuple[int, int]]:
        """Pick and place in the agent's height map; what is outside of it lies on its border."""
        pick, place = (position_to_pixel(workspace.to_agent(at)) for at in (self.pick, self.place))
        return pick, place


@dataclass
class Recording:
    """A recorded episode, and what is wrong with it."""

    folder: Path
    actions: list[Recorded]
    views: list[HeightMap]
    problems: list[str] = field(default_factory=list)
    """Of the episode as a whole."""

    def told(self) -> Iterator[str]:
        """All problems, with where they are."""
        yield from (f"{self.folder}: {problem}" for problem in self.problems)
        for action in self.actions:
            yield from (f"{self.folder}, action {action.number}: {problem}" for problem in action.problems)

    def remarked(self) -> Iterator[str]:
        """What may be a mistake, with where it is."""
        for action in self.actions:
            yield from (f"{self.folder}, action {action.number}: {remark}" for remark in action.remarks)


def recordings_in(folder: Path) -> list[Path]:
    """The folders of recorded episodes.

    Raises:
        DataError: when there are none.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder")
    found = [path for path in sorted(folder.iterdir()) if path.is_dir() and (steps_in(path) or (path / ACTIONS).exists())]
    if not found:
        raise DataError(f"{folder}: has no recording: a folder with {ACTIONS}, and the scenes 0/, 1/ .. in folders")
    return found


def steps_in(folder: Path) -> dict[int, Path]:
    """The folders of a recording's scenes by their numbers."""
    return {int(path.name): path for path in sorted(folder.iterdir()) if path.is_dir() and path.name.isdecimal()}


def read(folder: Path, workspace: Workspace, geometry: str, least: float) -> Recording:
    """Read and check one episode. Nothing is raised: what is wrong is in the result.

    Args:
        least: metres that something must be above the table where it is picked.
    """
    try:
        stated = read_yaml(folder / ACTIONS)
    except ValueError as error:
        return Recording(folder, [], [], [f"{ACTIONS} {error}"])
    if not isinstance(stated, list) or not stated:
        return Recording(folder, [], [], [f"{ACTIONS} must be a list of actions, each with instruction, pick and place"])
    found = Recording(folder, [], [])
    read_actions(found, stated)
    read_views(found, len(stated) + 1, workspace, geometry)
    if not found.problems:
        for action, (before, after) in zip(found.actions, itertools.pairwise(found.views), strict=True):
            action.view = before
            compare(action, before, after, workspace, least)
    return found


def read_actions(found: Recording, stated: Sequence[Any]) -> None:
    """Add a recording's actions, or what is wrong with them."""
    for number, entry in enumerate(stated):
        if problems := list(problems_of_entry(entry)):
            found.problems += [f"action {number}: {problem}" for problem in problems]
            continue
        try:
            found.actions.append(recorded(number, entry, found.folder))
        except DataError as error:
            found.problems.append(str(error))


def read_views(found: Recording, wanted: int, workspace: Workspace, geometry: str) -> None:
    """Add what the cameras saw, `wanted` scenes, or what is wrong with it."""
    steps = steps_in(found.folder)
    if sorted(steps) != list(range(wanted)):
        found.problems.append(
            f"{wanted - 1} actions need the {wanted} scenes 0/ to {wanted - 1}/, one before each and one after the last; "
            f"there are {', '.join(map(str, sorted(steps))) or 'none'}"
        )
    for _, scene in sorted(steps.items()):
        try:
            found.views.append(sight(scene, workspace, geometry).map)
        except DataError as error:
            found.problems += str(error).splitlines()


def problems_of_entry(entry: Any) -> Iterator[str]:
    """What is wrong with an action as it stands in the file."""
    if not isinstance(entry, Mapping):
        yield "must be a mapping with instruction, pick and place"
        return
    yield from (f"{key}: there is no such key{nearest(str(key), KEYS)}" for key in entry if key not in KEYS)
    if not isinstance(entry.get("instruction", ""), str):
        yield f"instruction={entry['instruction']}: must be a text"
    for name in KEYS[1:]:
        pose = entry.get(name)
        if not isinstance(pose, Mapping) or "position" not in pose:
            yield f"{name} must have a position, and yaw or quaternion"
            continue
        yield from (f"{name}.{key}: there is no such key{nearest(str(key), POSE_KEYS)}" for key in pose if key not in POSE_KEYS)
        if {"yaw", "quaternion"} <= pose.keys():
            yield f"{name}: yaw and quaternion say the same; keep one"
        for key, shape in (("position", (3,)), ("yaw", ()), ("quaternion", (4,))):
            if key in pose and not holds(pose[key], shape):
                yield f"{name}.{key}={pose[key]}: must be {f'{shape[0]} finite numbers' if shape else 'a finite number'}"
            elif key == "quaternion" and key in pose and abs(math.hypot(*pose[key]) - 1) > UNIT:
                yield f"{name}.quaternion={pose[key]}: must have length 1 (its order is x, y, z, w)"


def recorded(number: int, entry: Mapping[str, Any], folder: Path) -> Recorded:
    """An action without problems in its file."""
    pick, place = (np.array(entry[name]["position"], float) for name in KEYS[1:])
    turns = [yaw_and_tilt(entry[name]) for name in KEYS[1:]]
    action = Recorded(number, (entry.get("instruction") or instruction_of(folder)).strip(), pick, place, (turns[0][0], turns[1][0]))
    for name, (_, tilt) in zip(KEYS[1:], turns, strict=True):
        if tilt > TILT:
            action.remarks.append(f"the tool is tilted by {np.degrees(tilt):.0f} degrees in {name}; an agent learns the yaw alone")
    return action


def yaw_and_tilt(pose: Mapping[str, Any]) -> tuple[float, float]:
    """The angle of the tool's x axis about z, and that between its z axis and the vertical, both in radians."""
    if "quaternion" not in pose:
        return float(pose.get("yaw", 0.0)), 0.0
    turn = matrix(np.array(pose["quaternion"], float))
    return math.atan2(turn[1, 0], turn[0, 0]), math.acos(min(1.0, abs(float(turn[2, 2]))))


def compare(action: Recorded, before: HeightMap, after: HeightMap, workspace: Workspace, least: float) -> None:
    """Check an action against what the cameras saw before and after it."""
    if not action.instruction:
        action.remarks.append("has no instruction; agents with language need one")
    outside = [name for name, at in (("pick", action.pick), ("place", action.place)) if not workspace.contains(at)]
    for name in outside:
        at = getattr(action, name).tolist()
        action.problems.append(
            f"the {name} at {at} is outside the bounds {list(workspace.bounds)}: is it in metres, and in the cameras' frame?"
        )
    if np.linalg.norm(action.pick - action.place) < SAME:
        action.problems.append(f"pick and place are the same, {action.pick.tolist()}")
    if outside:
        return
    row, column = action.pixels(workspace)[0]
    near = np.s_[max(0, row - AROUND) : row + AROUND + 1, max(0, column - AROUND) : column + AROUND + 1]
    if (before.mask[near] < 0).all():
        action.remarks.append("no camera sees the pick")
        return
    top = float(before.height[near].max()) / workspace.scale
    above = float(action.pick[2]) - workspace.bounds[4]
    if top < least:
        action.problems.append(
            f"nothing is at the pick {action.pick.tolist()}: the cameras see {top:.3f} m above the table, least={least:g}"
        )
    elif abs(above - top) > ABOVE:
        action.problems.append(f"the pick is {above:.3f} m above the table, where the cameras see {top:.3f} m")
    elif not changed(before, after, near, workspace.scale):
        action.remarks.append("the cameras see the same at the pick before and after it: are the scenes in order?")


def changed(before: HeightMap, after: HeightMap, where: Any, scale: float) -> bool:
    """Whether two height maps differ anywhere there."""
    colours = np.abs(before.color[where].astype(int) - after.color[where]).max()
    return bool(np.abs(before.height[where] - after.height[where]).max() > CHANGE * scale or colours > COLOUR_CHANGE)
