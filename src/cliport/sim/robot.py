"""The UR5: its files, its joints, and the paths of its tool's tip."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pybullet

from ..errors import AssetError, BlockedError, ReachError
from .kinematics import ASIDE, solve
from .poses import Pose, angle_between, matrix, multiply, pose, product, quaternion_from_euler, slerp
from .shapes.geometry import Solid
from .studio import Look, mesh_file, written
from .world import World

ASSETS = Path(__file__).parents[1] / "assets" / "ur5"
BASE = (0.05, 0.0, 0.2)
"""Meters. On a pedestal the arm reaches every corner of the workspace, even at the height at which it carries objects; the original's
stands on the table's level, where a tool that points straight down would not reach an eighth of it.
"""
CARRY = 0.32
"""Height in meters above a pose from which the tool descends to it, and at which it leaves it."""
JOINTS = 6
"""Number of the arm's joints, which come first in the robot's file."""
TOO_FAR = 0.002
"""Largest distance in meters between a pose and what the arm reaches."""
TIP_TO_FLANGE = pose((0, 0, 0.16), quaternion_from_euler(np.pi, 0, 0))
"""The flange in the frame of the tool's tip."""
TIP_DOWN = pose(quaternion=quaternion_from_euler(np.pi, 0, 0))
"""From the frame of the tip's link, whose z axis points out of the robot, to that of an action's poses."""
HOME = pose((0.487, ASIDE, CARRY))
"""The tip's pose in a new scene: above the middle of the table, as in the original, too high for height maps."""
FORCE = (300.0, 300.0, 300.0, 80.0, 80.0, 80.0)
"""Newton meters, about twice the real arm's, so that no load bends a path."""
FASTEST = 3.1
"""Largest speed of a joint in radians per second, as in the real arm."""
STEP = 0.001 * 480
"""Highest speed of a descent in meters per second: the original's steps of a millimeter, at 480 Hz."""
WAYPOINT = 0.01
"""Distance in meters, or tenths of a radian, between a path's poses that are solved exactly."""
PEAK = 1.875
"""Ratio of the highest to the mean speed of a minimum-jerk motion."""
REACHED = 0.003
"""Largest error of a joint at the end of a motion, in radians."""
PATIENCE = 0.5
"""Seconds to wait for that."""


class Robot:
    """The arm with a tool, in a world. Poses are the tip's, with z up when the tool points down (see `Action`)."""

    def __init__(self, world: World, tool: str, assets: Path = ASSETS) -> None:
        self.world, self.client = world, world.client
        self.solves = 0
        """Number of calls of the inverse kinematics."""
        self.body = pybullet.loadURDF(joined(assets, tool), BASE, useFixedBase=True, physicsClientId=self.client)
        links = range(pybullet.getNumJoints(self.body, physicsClientId=self.client))
        self.tip = next(link for link in links if pybullet.getJointInfo(self.body, link, physicsClientId=self.client)[12] == b"tip")
        self.rest = self.angles(HOME[0][None], HOME[1][None], np.zeros(JOINTS))[0]
        self.wanted, self.at = self.rest, HOME
        """The joint angles (6,) and the tip's pose that were commanded last."""
        for joint, angle in enumerate(self.rest):
            pybullet.resetJointState(self.body, joint, angle, physicsClientId=self.client)
        self.command(self.rest, np.zeros(JOINTS))
        self.show()

    def show(self) -> None:
        """Add the links' meshes to the scene."""
        for data in pybullet.getVisualShapeData(self.body, physicsClientId=self.client):
            _, link, kind, size, file, position, quaternion, rgba = data[:8]
            if kind != pybullet.GEOM_MESH:
                kinds = {pybullet.GEOM_BOX: ("box", size), pybullet.GEOM_CYLINDER: ("cylinder", (2 * size[1], 2 * size[1], size[0]))}
                file = mesh_file(Solid(*kinds[kind], position, quaternion).mesh()).encode()
            self.world.scene.looks.append(Look(self.body, link, file.decode(), rgba[:3]))

    def links(self) -> dict[int, Pose]:
        """The poses of the links' frames; -1 is the base."""
        numbers = list(range(pybullet.getNumJoints(self.body, physicsClientId=self.client)))
        states = pybullet.getLinkStates(self.body, numbers, computeForwardKinematics=1, physicsClientId=self.client)
        return {-1: pose(BASE), **{link: (np.array(state[4]), np.array(state[5])) for link, state in zip(numbers, states, strict=True)}}

    def angles(self, positions: np.ndarray, quaternions: np.ndarray, near: np.ndarray) -> np.ndarray:
        """Continuous joint angles (N, 6) for the tip at positions (N, 3) and quaternions (N, 4).

        Raises:
            ReachError: when a pose is out of reach.
        """
        found, behind = self.solve(positions, quaternions, near)
        if not behind.max() <= TOO_FAR:  # `not <=` instead of `>`, so that NaN is out of reach too
            raise ReachError(f"{behind.max() * 100:.1f} cm out of reach")
        return found

    def solve(self, positions: np.ndarray, quaternions: np.ndarray, near: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Joint angles (N, 6) near `near` for the tip's poses, and by how many meters each is out of reach (N,)."""
        self.solves += 1
        flanges = positions + matrix(quaternions) @ TIP_TO_FLANGE[0]
        return solve(flanges - BASE, product(quaternions, TIP_TO_FLANGE[1]), near)

    def reaches(self, poses: Sequence[Pose]) -> bool:
        """Whether the tip can reach all of these poses."""
        try:
            self.angles(np.array([position for position, _ in poses]), np.array([quaternion for _, quaternion in poses]), self.rest)
        except ReachError:
            return False
        return True

    def above(self, where: Pose, height: float) -> Pose:
        """The pose `height` meters behind another one along the tool's axis, or as far behind as the arm reaches.

        Raises:
            ReachError: when the pose itself is out of reach.
        """
        end = multiply(where, pose((0, 0, height)))
        shares = np.linspace(0, 1, int(np.ceil(height / WAYPOINT)) + 1)
        reached = self.within_reach(*between(where, end, shares))
        if not reached:
            raise ReachError("the pose is out of reach")
        return between(where, end, shares[:reached])[0][-1], where[1]

    def within_reach(self, positions: np.ndarray, quaternions: np.ndarray) -> int:
        """How many of the first poses (N, 3), (N, 4) of a path the tip can reach."""
        behind = self.solve(positions, quaternions, self.rest)[1]
        beyond = np.flatnonzero(~(behind <= TOO_FAR))  # `not <=` instead of `>`, so that NaN is out of reach too
        return int(beyond[0]) if len(beyond) else len(behind)

    def command(self, angles: np.ndarray, speeds: np.ndarray) -> None:
        pybullet.setJointMotorControlArray(
            self.body,
            range(JOINTS),
            pybullet.POSITION_CONTROL,
            targetPositions=angles.tolist(),
            targetVelocities=speeds.tolist(),
            forces=FORCE,
            positionGains=[0.3] * JOINTS,
            velocityGains=[1.0] * JOINTS,
            physicsClientId=self.client,
        )
        self.wanted = angles

    def pose(self) -> Pose:
        """The tip's current pose."""
        state = pybullet.getLinkState(self.body, self.tip, computeForwardKinematics=1, physicsClientId=self.client)
        return multiply((np.array(state[4]), np.array(state[5])), TIP_DOWN)

    def swing(self, end: Pose, speed: float) -> None:
        """Turn all joints at once to reach a pose; `speed` is their mean speed together in radians per second.

        Raises:
            ReachError: when the pose is out of reach; nothing has moved.
            BlockedError: when something is in the way; the arm stays where it is.
        """
        goal = self.angles(end[0][None], end[1][None], np.zeros(JOINTS))[0]
        turn = goal - self.wanted
        count = self.count(max(float(np.linalg.norm(turn)) / speed, np.abs(turn).max() * PEAK / FASTEST))
        self.follow(self.wanted + eased(count)[:, None] * turn)
        self.at = end

    def line(self, end: Pose, speed: float) -> None:
        """Move the tip on a straight line to `end`, rotating evenly; `speed` is the joints' mean speed together in radians per second.

        Raises:
            ReachError: when a pose is out of reach; nothing has moved.
            BlockedError: when something is in the way; the arm stays where it is.
        """
        shares, knots = self.path(end)
        if not len(shares):
            return
        turns = np.diff(knots, axis=0)
        steepest = np.abs(turns).max() / shares[1]  # radians per whole path
        count = self.count(max(float(np.linalg.norm(turns, axis=1).sum()) / speed, steepest * PEAK / FASTEST))
        self.follow(interpolated(eased(count), shares, knots))
        self.at = end

    def descend(self, end: Pose, speed: float, until: Callable[[], bool]) -> None:
        """Move the tip evenly on a straight line towards `end` until `until` is true, which is checked before and after every step.

        Args:
            speed: the highest of the joints together in radians per second; the tip's is at most STEP.

        Raises:
            ReachError: when neither a contact nor anything beyond can be reached.
            BlockedError: when something is in the way; the arm stays where it is.
        """
        if until():
            return
        start = self.at
        shares, knots = self.path(end, whole=False)
        if not len(shares):
            raise ReachError("there is nothing to touch")
        length = float(np.linalg.norm(end[0] - start[0])) * shares[-1]
        count = self.count(max(length / STEP, float(np.linalg.norm(np.diff(knots, axis=0), axis=1).sum()) / speed))
        when = shares[-1] * np.arange(1, count + 1) / count
        stopped = self.follow(interpolated(when, shares, knots), until)
        positions, quaternions = between(start, end, when[[stopped - 1 if stopped else -1]])
        self.at = positions[0], quaternions[0]
        if not stopped:
            raise ReachError("there is nothing to touch")

    def path(self, end: Pose, whole: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """Shares (N,) of the straight path to `end` and the joint angles (N, 6) there; none if the tip is there already.

        Args:
            whole: otherwise the path may end where the arm's reach does.

        Raises:
            ReachError: when a pose of the whole path is out of reach.
        """
        length = float(np.linalg.norm(end[0] - self.at[0])) + 0.1 * angle_between(self.at[1], end[1])
        # Solve every WAYPOINT and interpolate the joints in between: one vectorized solve instead of one per simulation step.
        shares = np.linspace(0, 1, int(np.ceil(length / WAYPOINT)) + 1)
        if not whole:
            shares = shares[: self.within_reach(*between(self.at, end, shares))]
        if length < 1e-6 or len(shares) < 2:
            return np.empty(0), np.empty((0, JOINTS))
        return shares, self.angles(*between(self.at, end, shares), self.wanted)

    def count(self, seconds: float) -> int:
        return max(1, round(seconds * self.world.hz))

    def follow(self, path: np.ndarray, until: Callable[[], bool] | None = None) -> int | None:
        """Command joint angles (N, 6), one row per step, then wait up to `PATIENCE` seconds for the arm to arrive.

        Returns:
            The number of rows commanded when `until` became true; None if it did not.

        Raises:
            BlockedError: when the arm does not arrive.
        """
        # Speeds as well as positions: with positions alone the motors would trail behind a moving target.
        speeds = np.diff(path, axis=0, prepend=self.wanted[None]) * self.world.hz
        for row, (angles, speed) in enumerate(zip(path, speeds, strict=True), 1):
            self.command(angles, speed)
            self.world.step()
            if until and until():
                self.command(angles, np.zeros(JOINTS))
                return row
        self.command(path[-1], np.zeros(JOINTS))
        for _ in range(self.count(PATIENCE)):
            if np.abs(self.measured() - self.wanted).max() < REACHED:
                return None
            self.world.step()
            if until and until():
                return len(path)
        self.command(self.measured(), np.zeros(JOINTS))  # so that it does not keep pressing
        self.at = self.pose()
        raise BlockedError("something is in the arm's way")

    def measured(self) -> np.ndarray:
        """The actual joint angles (6,)."""
        states = pybullet.getJointStates(self.body, range(JOINTS), physicsClientId=self.client)
        return np.array([state[0] for state in states])


def between(start: Pose, end: Pose, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions (N, 3) and quaternions (N, 4) at shares (N,) of the straight path from one pose to another."""
    return start[0] + shares[:, None] * (end[0] - start[0]), slerp(start[1], end[1], shares)


def interpolated(when: np.ndarray, shares: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Joint angles (M, 6) at shares (M,) of a path, given those (N, 6) at `shares` (N,)."""
    return np.stack([np.interp(when, shares, joint) for joint in knots.T], 1)


def eased(count: int) -> np.ndarray:
    """Shares of a path after each of `count` equal times, with minimum jerk (Flash, Hogan: The Coordination of Arm Movements, 1985)."""
    t = np.arange(1, count + 1) / count
    return t**3 * (10 + t * (6 * t - 15))


def joined(assets: Path, tool: str) -> str:
    """The path of a URDF file that combines the arm with a tool on its flange.

    Raises:
        AssetError: when a file is missing.
    """
    files = [assets / "ur5.urdf", assets / f"{tool}.urdf"]
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        raise AssetError(f"the robot's files are missing: {', '.join(missing)}")
    arm, added = (ET.parse(file).getroot() for file in files)
    arm.extend(part for part in added if part.tag != "material")
    colors = {material.get("name"): material.find("color") for root in (arm, added) for material in root.findall("material")}
    for material in arm.iter("material"):
        color = colors[material.get("name")]
        if material.find("color") is None and color is not None:
            material.append(color)
    for mesh in arm.iter("mesh"):
        mesh.set("filename", str((assets / mesh.get("filename", "")).resolve()))
    return written(ET.tostring(arm, encoding="unicode"), ".urdf")
