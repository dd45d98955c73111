"""What the robot is asked to do in one step."""

from __future__ import annotations

from dataclasses import dataclass

from .poses import Pose


@dataclass(frozen=True)
class Action:
    """Pick at one pose and place at another; for the spatula, push in a straight line from `pick` to `place`.

    Poses are those of the tool's tip with its z axis pointing UP when untilted: the quaternion (0, 0, 0, 1) is a tool that points
    straight down, and a rotation about z turns it. With a suction gripper the object keeps its pose relative to the tool, so the
    object's final yaw is its first yaw + yaw(place) - yaw(pick). The heights need not be exact: the tool goes down until it, or
    what it holds, touches something, at most 2 cm below the stated height.
    """

    pick: Pose
    place: Pose
