"""The robot's primitives: pick and place, and push.

Every motion has a known number of simulation steps and every wait a limit in steps, so nothing depends on the machine's speed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from ..errors import BlockedError, ReachError
from .action import Action
from .constants import BEHIND, SHORT
from .grippers import Suction
from .poses import Pose, from_euler, matrix, multiply, pose
from .robot import HOME, Robot

CARRY = 0.32
"""Height of the tip in meters when it moves across the table."""
CLEAR = 0.06
"""Smallest height in meters that the tip rises above the slow part of its path before it moves on."""
UPRIGHT_COSINE = 0.999
"""Cosine of the tilt up to which a tool counts as pointing down."""
APPROACH = 0.06
"""Length in meters of the straight line along its own axis on which a tilted tool approaches and retreats."""
SLOW_FROM, DEEPEST = 0.03, 0.02
"""Height above the stated pose at which the tool slows down, and depth below it at which the search for contact ends, in meters."""
TRAVEL, DESCENT, TOUCHDOWN, DRAG, PUSH = 1.2, 0.6, 0.12, 0.3, 0.25
"""Speeds in meters per second."""
BLADE_GAP = 0.003
"""Distance in meters between the blade and the table."""


@dataclass(frozen=True)
class Outcome:
    """The result of an action."""

    grasped: bool = False
    """Something was picked up; for a push, the blade completed its path."""
    timed_out: bool = False
    """A motion was blocked, or its target out of reach."""


def pick_place(robot: Robot, tool: Suction, action: Action, lift: float | None = None) -> Outcome:
    """Pick up the object at one pose and place it at another, then return home.

    The arm moves above the pick, down until the cup touches something, and up. If it holds something, it moves across, down until
    something supports the held object, releases it, and moves up. Nothing moves if one of the poses is out of reach.

    Args:
        lift: drag the object with the tip this many meters above the poses, as a rope needs it; None to carry it high above everything.
    """
    fetch, put = Visit(action.pick), Visit(action.place)
    if not robot.reaches([*fetch.stations, *put.stations]):
        return Outcome(timed_out=True)
    grasped = False
    try:
        robot.swing(fetch.top)
        fetch.down(robot, tool.touching)
        grasped = tool.grasp()
        if grasped:
            # Only now is it known how far the held object hangs down, and thus where the descent has to become slow.
            fetch, put = (Visit(where, tool.hang(), lift) for where in (action.pick, action.place))
            fetch.up(robot)
            robot.line(put.top, TRAVEL if lift is None else DRAG)
            put.down(robot, tool.landed)
    except (ReachError, BlockedError):
        return Outcome(grasped, timed_out=True)
    finally:
        tool.release()
        go_home(robot)
    return Outcome(grasped)


def go_home(robot: Robot) -> None:
    """Move back along the tool's axis, up, and to the rest pose; a blocked motion is skipped."""
    motions: list[Callable[[], object]] = [lambda: Visit(robot.at).up(robot), lambda: robot.swing(HOME)]
    for motion in motions:
        with suppress(ReachError, BlockedError):
            motion()


@dataclass(frozen=True)
class Visit:
    """The path from the carrying height to a pose and back: straight down, and finally along the tool's axis."""

    pose: Pose
    hang: float = 0.0
    """How far the held object extends below the tip, in meters; the tool slows down this much earlier."""
    lift: float | None = None
    """Height above the pose at which objects are dragged, in meters; None to carry them."""

    @property
    def tilted(self) -> bool:
        return bool(matrix(self.pose[1])[2, 2] < UPRIGHT_COSINE)

    @property
    def near(self) -> Pose:
        """The pose from which on the motion is slow and follows the tool's axis."""
        if self.lift is not None:
            return multiply(self.pose, pose((0, 0, self.lift)))
        return multiply(self.pose, pose((0, 0, (APPROACH if self.tilted else SLOW_FROM) + self.hang)))

    @property
    def top(self) -> Pose:
        near = self.near
        if self.lift is not None:
            return near
        return np.array([*near[0][:2], max(CARRY, near[0][2] + CLEAR)]), near[1]

    @property
    def deepest(self) -> Pose:
        return multiply(self.pose, pose((0, 0, -DEEPEST)))

    @property
    def stations(self) -> list[Pose]:
        return [self.top, self.near, self.pose]

    def down(self, robot: Robot, until: Callable[[], bool]) -> None:
        """Descend until `until` is true, at most to `deepest`."""
        # Fast while nothing should be there, though something may be; then slowly, because the stated height is only an estimate.
        if not robot.line(self.near, DESCENT, until):
            robot.line(self.deepest, TOUCHDOWN, until, ease=False)

    def up(self, robot: Robot) -> None:
        if self.tilted:
            robot.line(self.near, DESCENT)
        robot.line(self.top, DESCENT)


def push(robot: Robot, action: Action) -> Outcome:
    """Push along the table from one point to another with the blade across the path, then return home.

    The heights and rotations of the action are ignored.
    """
    start, end = (np.array([*where[0][:2], BLADE_GAP]) for where in (action.pick, action.place))
    length = float(np.linalg.norm(end - start))
    if length < 1e-6:
        return Outcome()
    along = (end - start) / length
    yaw = float(np.arctan2(along[1], along[0]))
    # Start behind the first blocks, so that the blade does not land on them; stop short, because they are pushed ahead of it.
    first, last = (from_euler(point, yaw=yaw) for point in (start - BEHIND * along, start + max(0.0, length - SHORT) * along))
    above = from_euler((*first[0][:2], CARRY), yaw=yaw)
    if not robot.reaches([above, first, last]):
        return Outcome(timed_out=True)
    try:
        robot.swing(above)
        robot.line(first, DESCENT)
        robot.line(last, PUSH)
    except (ReachError, BlockedError):
        return Outcome(timed_out=True)
    finally:
        go_home(robot)
    return Outcome(grasped=True)
