"""The robot's primitives, as in the original: pick and place, and push.

Every motion has a known number of simulation steps and every wait a limit in steps, so nothing depends on the machine's speed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import BlockedError, ReachError
from .action import Action
from .constants import BEHIND, SHORT
from .grippers import Suction
from .poses import Pose, from_euler, matrix, multiply, pose
from .robot import CARRY, Robot

FAST, DRAG, PUSH = 4.8, 0.48, 1.44
"""Speeds in radians per second of all joints together: in the original 0.01, 0.001 and 0.003 per step, at 480 Hz."""
BLADE_HEIGHT, BLADE_LIFT = 0.005, 0.31
"""Height of the blade's edge in meters while it pushes, and before and after that."""
BELOW = 0.01
"""Meters below the table at which a descent ends."""
LONGEST = 1.0
"""Length in meters of the longest descent, which only a tool that lies on its side would exceed."""


@dataclass(frozen=True)
class Outcome:
    """The result of an action."""

    grasped: bool = False
    """Something was picked up; for a push, the blade completed its path."""
    timed_out: bool = False
    """A motion was blocked, or its target out of reach."""


def pick_place(robot: Robot, tool: Suction, action: Action, lift: float | None = None) -> Outcome:
    """Pick up the object at one pose and place it at another; the arm stays above the place.

    From CARRY above the pick, the tool descends until it touches anything, and goes back up. If it holds something, it moves above the
    place, descends until the held object touches anything, even from the side, releases it, and goes up by CARRY. The stated heights
    are where paths begin, but they end only at a contact. Nothing moves if one of the poses is out of reach.

    Args:
        lift: drag the object with the tip this many meters above the poses, and slowly, as a rope needs it; None to carry it.
    """
    height, speed = (CARRY, FAST) if lift is None else (lift, DRAG)
    grasped = False
    try:
        above, put = robot.above(action.pick, CARRY), robot.above(action.place, height)
        robot.swing(above, FAST)
        robot.descend(lowest(action.pick), FAST, tool.touching)
        grasped = tool.grasp()
        if grasped:
            robot.line(robot.above(action.pick, height), speed)
            robot.line(put, speed)
            robot.descend(lowest(action.place), speed, tool.landed)
            tool.release()
            robot.line(robot.above(action.place, CARRY), FAST)
        else:
            robot.line(above, FAST)
    except (ReachError, BlockedError):
        return Outcome(grasped, timed_out=True)
    finally:
        tool.release()
    return Outcome(grasped)


def lowest(where: Pose) -> Pose:
    """Where a descent to a pose, and beyond it, ends: below the table, on the tool's axis."""
    downwards = matrix(where[1])[2, 2]
    depth = max(0.0, float(where[0][2]) + BELOW)
    return multiply(where, pose((0, 0, -min(depth / max(downwards, 1e-6), LONGEST))))


def push(robot: Robot, action: Action) -> Outcome:
    """Push along the table from one point to another with the blade across the path, then lift it there.

    The heights and rotations of the action are ignored. The blade comes down BEHIND the first point, so that it does not land on the
    blocks there, and stops SHORT of the second one, because it pushes blocks ahead of it; a push shorter than that goes backwards.
    """
    start, end = (np.array([*where[0][:2], BLADE_HEIGHT]) for where in (action.pick, action.place))
    length = float(np.linalg.norm(end - start))
    if length < 1e-6:
        return Outcome()
    along = (end - start) / length
    yaw = float(np.arctan2(along[1], along[0]))
    first, last = (from_euler(point, yaw=yaw) for point in (start - BEHIND * along, end - SHORT * along))
    before, after = (from_euler((*where[0][:2], BLADE_LIFT), yaw=yaw) for where in (first, last))
    if not robot.reaches([before, first, last, after]):
        return Outcome(timed_out=True)
    try:
        robot.swing(before, FAST)
        robot.line(first, FAST)
        robot.line(last, PUSH)
        robot.line(after, FAST)
    except (ReachError, BlockedError):
        return Outcome(timed_out=True)
    return Outcome(grasped=True)
