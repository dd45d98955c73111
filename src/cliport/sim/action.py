"""The action that the robot carries out in one step."""

from __future__ import annotations

from dataclasses import dataclass

from .poses import Pose


@dataclass(frozen=True)
class Action:
    """Pick at one pose and place at another; for the spatula, push in a straight line from `pick` to `place`.

    Poses are those of the tool's tip, with its z axis pointing UP when it is not tilted: the quaternion (0, 0, 0, 1) is a tool that
    points straight down, and a rotation about z turns it. A suction gripper keeps the object's pose relative to the tool, so the
    object's final yaw is its initial yaw + yaw(place) - yaw(pick). Heights need not be exact: the tool descends until it touches anything,
    and above the place until what it holds does.
    """

    pick: Pose
    place: Pose
