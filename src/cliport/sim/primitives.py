"""What the robot does in one step: pick and place, or push.

Every motion has a known number of steps and every wait a limit, counted in simulation steps.
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
"""Height of the tip in metres when it moves across the table."""
CLEAR = 0.06
"""Metres that the tip rises at least above the slow part of its way before it moves on."""
UPRIGHT = 0.999
"""Cosine of the tilt up to which a tool counts as pointing down."""
APPROACH = 0.06
"""Metres along the tool's axis that a tilted tool comes and goes in a straight line."""
SLOW_FROM, DEEPEST = 0.03, 0.02
"""The last metres above the stated pose are slow, and the search for contact ends this far below it."""
TRAVEL, DESCENT, TOUCHDOWN, DRAG, PUSH = 1.2, 0.6, 0.12, 0.3, 0.25
"""Metres per second."""
BLADE_GAP = 0.003
"""Metres between the blade and the table."""


@dataclass(frozen=True)
class Outcome:
    """What became of an action."""

    grasped: bool = False
    """Something was picked up; for a push, that the blade went all the way."""
    timed_out: bool = False
    """A motion was blocked, or its goal out of reach."""


def pick_place(robot: Robot, tool: Suction, action: Action, lift: float | None = None) -> Outcome:
    """Fetch what is at one pose and put it at another, then go home.

    The arm goes above the pick, down until the cup touches something, and up; if it holds something, it goes across, down until what
    is held stands on something, lets go, and goes up. Nothing moves if one of the poses is out of reach.

    Args:
        lift: drag what is held across with the tip so many metres above the poses, as a rope wants it; None to carry it high above
            everything.
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
    """Back along the tool's axis, up, and to rest, as far as nothing is in the way."""
    motions: list[Callable[[], object]] = [lambda: Visit(robot.at).up(robot), lambda: robot.swing(HOME)]
    for motion in motions:
        with suppress(ReachError, BlockedError):
            motion()


@dataclass(frozen=True)
class Visit:
    """The way from where things are carried to a pose and back: straight down, and along the tool's axis in the end."""

    pose: Pose
    hang: float = 0.0
    """How far what is held reaches below the tip, in metres: so much earlier does the tool slow down."""
    lift: float | None = None
    """How far above the pose things are dragged across, in metres; None to carry them."""

    @property
    def tilted(self) -> bool:
        return bool(matrix(self.pose[1])[2, 2] < UPRIGHT)

    @property
    def near(self) -> Pose:
        """Where the motion becomes slow and follows the tool's axis."""
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
        """Go down until `until` is true, to the deepest at most."""
        if not robot.line(self.near, DESCENT, until):
            robot.line(self.deepest, TOUCHDOWN, until, ease=False)

    def up(self, robot: Robot) -> None:
        if self.tilted:
            robot.line(self.near, DESCENT)
        robot.line(self.top, DESCENT)


def push(robot: Robot, action: Action) -> Outcome:
    """Push along the table from one point to another with the blade across the way, then go home.

    The heights and rotations of the action do not matter.
    """
    start, end = (np.array([*where[0][:2], BLADE_GAP]) for where in (action.pick, action.place))
    length = float(np.linalg.norm(end - start))
    if length < 1e-6:
        return Outcome()
    along = (end - start) / length
    yaw = float(np.arctan2(along[1], along[0]))
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
