"""A demonstration as CLIPort's own code makes it: the arm's way in millimetres, each solved iteratively; views pickled as they are.

Scene, physics, tool and renderer are ours. The robot moves by PyBullet's inverse kinematics of 100 iterations, and by steps of 0.01
radians, with a rope 0.001, towards its solution; it comes down in millimetres until something touches. The oracle looks at a picture
from above before each action. An episode keeps the three views of each step as pickles.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pybullet

from cliport.sim import environment
from cliport.sim.cameras import Camera
from cliport.sim.environment import Environment
from cliport.sim.observation import Observation
from cliport.sim.poses import Pose, inverse, multiply
from cliport.sim.robot import JOINTS, TIP_DOWN, Robot
from cliport.sim.studio import studio
from cliport.tasks import make

from . import fusion

ABOVE = Camera((0.5, 0.0, 1000.0), (0.0, np.pi, -np.pi / 2), focal=630_000.0, near=999.7, far=1001.0)
"""What the oracle sees: as good as parallel rays."""
MILLIMETRE = 0.001
CLOSE = 0.01
"""Radians: a joint that near has arrived."""
PATIENCE = 2400
"""Steps for one motion: five seconds of the simulation."""
UP = 2 * np.pi


class SteppingRobot(Robot):
    """Moves as the original's robot does."""

    def joints(self, pose: Pose) -> np.ndarray:
        """Joint angles (6,) by PyBullet, for the tip at `pose`."""
        self.solves += 1
        link = multiply(pose, inverse(TIP_DOWN))
        found = pybullet.calculateInverseKinematics(
            self.body,
            self.tip,
            targetPosition=link[0].tolist(),
            targetOrientation=link[1].tolist(),
            lowerLimits=[-UP] * JOINTS,
            upperLimits=[UP] * JOINTS,
            jointRanges=[2 * UP] * JOINTS,
            restPoses=self.rest.tolist(),
            maxNumIterations=100,
            residualThreshold=1e-5,
            physicsClientId=self.client,
        )
        return np.array(found[:JOINTS])

    def towards(self, goal: np.ndarray, speed: float, until: Callable[[], bool] | None = None) -> bool:
        """Go to joint angles in straight strides."""
        for _ in range(PATIENCE):
            away = goal - self.measured()
            if (np.abs(away) < CLOSE).all():
                return False
            stride = self.measured() + away / np.linalg.norm(away) * speed / self.world.hz
            pybullet.setJointMotorControlArray(
                self.body,
                range(JOINTS),
                pybullet.POSITION_CONTROL,
                targetPositions=stride.tolist(),
                positionGains=[1.0] * JOINTS,
                physicsClientId=self.client,
            )
            self.world.step()
            if until and until():
                return True
        return False

    def swing(self, end: Pose, speed: float) -> None:
        self.towards(self.joints(end), speed)
        self.at = end

    def line(self, end: Pose, speed: float) -> None:
        """To the end in one motion."""
        self.swing(end, speed)

    def descend(self, end: Pose, speed: float, until: Callable[[], bool]) -> None:
        """Down in millimetres."""
        start, length = self.at, float(np.linalg.norm(end[0] - self.at[0]))
        for share in np.linspace(0, 1, max(2, round(length / MILLIMETRE) + 1))[1:]:
            if until():
                return
            position = start[0] + share * (end[0] - start[0])
            self.towards(self.joints((position, end[1])), speed, until)
            self.at = position, end[1]


class SteppingEnvironment(Environment):
    """An environment with such a robot."""

    def reset(self, *arguments: Any, **options: Any) -> Observation:
        ours = environment.Robot
        environment.Robot = SteppingRobot  # type: ignore[misc]
        try:
            return super().reset(*arguments, **options)
        finally:
            environment.Robot = ours  # type: ignore[misc]

    def look_from_above(self) -> None:
        """What the oracle does before each action."""
        self.arrange()
        color, depth, _ = studio(self.renderer).photograph(ABOVE)
        fusion.height_map(fusion.cloud(ABOVE, depth), color)


def demonstrate(env: SteppingEnvironment, task_name: str, seed: int, folder: Path) -> float:
    """Make one demonstration and store it; returns its reward."""
    task = make(task_name)
    observation, reward, total = env.reset(task, seed), 0.0, 0.0
    info = dict(env.info)
    oracle, kept = task.oracle(env), []
    for _ in range(task.max_steps):
        env.look_from_above()
        action = oracle.act(observation)
        if action is None:
            break
        kept.append((observation, action, reward, info))
        observation, reward, done, info = env.step(action)
        total += reward
        if done:
            break
    store(folder, seed, [*kept, (observation, None, reward, dict(info))])
    return total


def store(folder: Path, seed: int, kept: list[tuple[Observation, Any, float, dict[str, Any]]]) -> None:
    """One pickle per kind, in a folder of its own."""
    parts = {
        "color": np.uint8([step[0].color for step in kept]),
        "depth": np.float32([step[0].depth for step in kept]),
        "action": [step[1] and {"pose0": step[1].pick, "pose1": step[1].place} for step in kept],
        "reward": [step[2] for step in kept],
        "info": [step[3] for step in kept],
    }
    for name, content in parts.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / f"000000-{seed}.pkl").write_bytes(pickle.dumps(content))
