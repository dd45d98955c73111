"""The UR5: its files, its joints, and the paths that its tool's tip takes."""

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
"""Metres. From a pedestal the arm reaches every corner of the workspace, also at the height at which it carries things."""
JOINTS = 6
"""The first ones of the robot's file."""
TOO_FAR = 0.002
"""Metres that the arm may stay behind a pose."""
TIP_TO_FLANGE = pose((0, 0, 0.16), quaternion_from_euler(np.pi, 0, 0))
"""The flange in the frame of the tool's tip."""
TIP_DOWN = pose(quaternion=quaternion_from_euler(np.pi, 0, 0))
"""From the tip's link, whose z axis points out of the robot, to poses as actions state them."""
HOME = pose((0.2, ASIDE, 0.5))
"""The tip at rest: the arm is folded back above its base, out of the cameras' sight of the workspace."""
FORCE = (300.0, 300.0, 300.0, 80.0, 80.0, 80.0)
"""Newton metres, about twice the real arm's: no load bends a path."""
FASTEST = 3.1
"""Radians per second of any joint, as the real arm's."""
WAYPOINT = 0.01
"""Metres, or tenths of a radian, between the poses of a path that are solved exactly."""
PEAK = 1.875
"""Highest over mean speed of a minimum-jerk motion."""
REACHED = 0.003
"""Radians that a joint may be off at the end of a motion."""
PATIENCE = 120
"""Steps to wait for that."""


class Robot:
    """The arm with a tool, standing in a world. Poses are the tip's, with z up when the tool points down (see `Action`)."""

    def __init__(self, world: World, tool: str, assets: Path = ASSETS) -> None:
        self.world, self.client = world, world.client
        self.solves = 0
        """Calls of the inverse kinematics."""
        self.body = pybullet.loadURDF(joined(assets, tool), BASE, useFixedBase=True, physicsClientId=self.client)
        links = range(pybullet.getNumJoints(self.body, physicsClientId=self.client))
        self.tip = next(link for link in links if pybullet.getJointInfo(self.body, link, physicsClientId=self.client)[12] == b"tip")
        self.rest = self.angles(HOME[0][None], HOME[1][None], np.zeros(JOINTS))[0]
        self.wanted, self.at = self.rest, HOME
        """The joints' angles (6,) and the tip's pose that were commanded last."""
        for joint, angle in enumerate(self.rest):
            pybullet.resetJointState(self.body, joint, angle, physicsClientId=self.client)
        self.command(self.rest, np.zeros(JOINTS))
        self.show()

    def show(self) -> None:
        """Tell the scene what the links look like."""
        for data in pybullet.getVisualShapeData(self.body, physicsClientId=self.client):
            _, link, kind, size, file, position, quaternion, rgba = data[:8]
            if kind != pybullet.GEOM_MESH:
                kinds = {pybullet.GEOM_BOX: ("box", size), pybullet.GEOM_CYLINDER: ("cylinder", (2 * size[1], 2 * size[1], size[0]))}
                file = mesh_file(Solid(*kinds[kind], position, quaternion).mesh()).encode()
            self.world.scene.looks.append(Look(self.body, link, file.decode(), rgba[:3]))

    def links(self) -> dict[int, Pose]:
        """Where the links' frames are; -1 is the base."""
        numbers = list(range(pybullet.getNumJoints(self.body, physicsClientId=self.client)))
        states = pybullet.getLinkStates(self.body, numbers, computeForwardKinematics=1, physicsClientId=self.client)
        return {-1: pose(BASE), **{link: (np.array(state[4]), np.array(state[5])) for link, state in zip(numbers, states, strict=True)}}

    def angles(self, positions: np.ndarray, quaternions: np.ndarray, near: np.ndarray) -> np.ndarray:
        """Joint angles (N, 6), continuous, for the tip at (N, 3), (N, 4).

        Raises:
            ReachError: when the arm is too short.
        """
        self.solves += 1
        flanges = positions + matrix(quaternions) @ TIP_TO_FLANGE[0]
        found, behind = solve(flanges - BASE, product(quaternions, TIP_TO_FLANGE[1]), near)
        if not behind.max() <= TOO_FAR:  # nor if it is no number
            raise ReachError(f"{behind.max() * 100:.1f} cm out of reach")
        return found

    def reaches(self, poses: Sequence[Pose]) -> bool:
        """Whether the tip can take all of these poses."""
        try:
            self.angles(np.array([position for position, _ in poses]), np.array([quaternion for _, quaternion in poses]), self.rest)
        except ReachError:
            return False
        return True

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
        """Where the tip is."""
        state = pybullet.getLinkState(self.body, self.tip, computeForwardKinematics=1, physicsClientId=self.client)
        return multiply((np.array(state[4]), np.array(state[5])), TIP_DOWN)

    def swing(self, end: Pose) -> None:
        """Turn all joints at once to a pose.

        Raises:
            ReachError: when the arm is too short; nothing has moved then.
            BlockedError: when something is in the way; the arm stays where it got to.
        """
        goal = self.rest if end is HOME else self.angles(end[0][None], end[1][None], np.zeros(JOINTS))[0]
        turn = goal - self.wanted
        count = self.count(np.abs(turn).max() * PEAK / FASTEST)
        self.follow(self.wanted + eased(count)[:, None] * turn)
        self.at = end

    def line(self, end: Pose, speed: float, until: Callable[[], bool] | None = None, ease: bool = True) -> bool:
        """Move the tip straight to `end`, turning evenly; `speed` is its highest, in metres per second.

        Args:
            until: looked at after every step; the arm stops where it is once it is true.
            ease: start and end softly; otherwise the speed is constant.

        Returns:
            Whether `until` came true.

        Raises:
            ReachError: when the arm is too short; nothing has moved then.
            BlockedError: when something is in the way; the arm stays where it got to.
        """
        start = self.at
        length = float(np.linalg.norm(end[0] - start[0])) + 0.1 * angle_between(start[1], end[1])
        if length < 1e-6:
            return False
        shares = np.linspace(0, 1, int(np.ceil(length / WAYPOINT)) + 1)
        knots = self.angles(*between(start, end, shares), self.wanted)
        steepest = np.abs(np.diff(knots, axis=0)).max() / shares[1]  # radians per whole path
        count = self.count(max(length / speed, steepest / FASTEST) * (PEAK if ease else 1))
        when = eased(count) if ease else np.arange(1, count + 1) / count
        stopped = self.follow(np.stack([np.interp(when, shares, joint) for joint in knots.T], 1), until)
        positions, quaternions = between(start, end, when[[stopped - 1 if stopped else -1]])
        self.at = positions[0], quaternions[0]
        return stopped is not None

    def count(self, seconds: float) -> int:
        return max(1, round(seconds * self.world.hz))

    def follow(self, path: np.ndarray, until: Callable[[], bool] | None = None) -> int | None:
        """Go through joint angles (N, 6), one row a step, and wait for the arm to be there, `PATIENCE` steps at most.

        Returns:
            The number of rows gone through when `until` came true; None when it did not.

        Raises:
            BlockedError: when the arm does not get there.
        """
        speeds = np.diff(path, axis=0, prepend=self.wanted[None]) * self.world.hz
        for row, (angles, speed) in enumerate(zip(path, speeds, strict=True), 1):
            self.command(angles, speed)
            self.world.step()
            if until and until():
                self.command(angles, np.zeros(JOINTS))
                return row
        self.command(path[-1], np.zeros(JOINTS))
        for _ in range(PATIENCE):
            if np.abs(self.measured() - self.wanted).max() < REACHED:
                return None
            self.world.step()
            if until and until():
                return len(path)
        self.command(self.measured(), np.zeros(JOINTS))  # not to press on
        self.at = self.pose()
        raise BlockedError("something is in the arm's way")

    def measured(self) -> np.ndarray:
        """The joints' angles (6,) as they are."""
        states = pybullet.getJointStates(self.body, range(JOINTS), physicsClientId=self.client)
        return np.array([state[0] for state in states])


def between(start: Pose, end: Pose, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions (N, 3) and quaternions (N, 4) at shares (N,) of the straight way from one pose to another."""
    return start[0] + shares[:, None] * (end[0] - start[0]), slerp(start[1], end[1], shares)


def eased(count: int) -> np.ndarray:
    """Shares of a way after each of `count` equal times, with minimum jerk (Flash, Hogan: The Coordination of Arm Movements, 1985)."""
    t = np.arange(1, count + 1) / count
    return t**3 * (10 + t * (6 * t - 15))


def joined(assets: Path, tool: str) -> str:
    """A file of the arm with a tool on its flange.

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
