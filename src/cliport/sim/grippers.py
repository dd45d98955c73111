"""The suction gripper. The other tool, the spatula, only pushes; see `primitives.push`."""

from __future__ import annotations

import numpy as np
import pybullet

from .robot import Robot

TOUCH = 0.0005
"""Distance in meters below which bodies touch."""
HOLD = 50.0
"""Force of the suction in newtons."""


class Suction:
    """Holds one body by a fixed constraint at the point where it touched the cup."""

    def __init__(self, robot: Robot) -> None:
        self.robot, self.client = robot, robot.client
        self.held: int | None = None
        self.constraint: int | None = None

    def touching(self) -> bool:
        """Whether the cup touches anything."""
        return bool(self.touched())

    def touched(self) -> list[int]:
        """The bodies that touch the cup, the one nearest to its center first."""
        points = pybullet.getContactPoints(bodyA=self.robot.body, linkIndexA=self.robot.tip, physicsClientId=self.client)
        middle = self.robot.pose()[0] if points else np.zeros(3)
        near = sorted((float(np.linalg.norm(middle - point[6])), point[2]) for point in points if point[8] < TOUCH)
        return [body for _, body in near]

    def grasp(self) -> bool:
        """Hold the body that touches the cup, nearest to its center if there are several; returns whether that body is movable."""
        movable = {*self.robot.world.objects["rigid"], *self.robot.world.objects["deformable"]}
        body = next(iter(self.touched()), None)
        if body not in movable:
            return False
        state = pybullet.getLinkState(self.robot.body, self.robot.tip, computeForwardKinematics=1, physicsClientId=self.client)
        there = pybullet.getBasePositionAndOrientation(body, physicsClientId=self.client)
        here = pybullet.multiplyTransforms(*pybullet.invertTransform(state[0], state[1]), *there)
        self.constraint = pybullet.createConstraint(
            self.robot.body,
            self.robot.tip,
            body,
            -1,
            pybullet.JOINT_FIXED,
            [0, 0, 0],
            here[0],
            [0, 0, 0],
            here[1],
            physicsClientId=self.client,
        )
        pybullet.changeConstraint(self.constraint, maxForce=HOLD, physicsClientId=self.client)
        self.held = body
        return True

    def release(self) -> None:
        if self.constraint is not None:
            pybullet.removeConstraint(self.constraint, physicsClientId=self.client)
        self.held = self.constraint = None

    def landed(self) -> bool:
        """Whether the held object touches anything but the robot, no matter from which side."""
        points = pybullet.getContactPoints(bodyA=self.held, physicsClientId=self.client)
        return any(point[2] != self.robot.body and point[8] < TOUCH for point in points)
