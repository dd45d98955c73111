"""Tasks that insert an L-shaped block into its fixture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cliport.sim.poses import Pose, from_euler, multiply, pose, quaternion_from_euler
from cliport.sim.shapes import MARK_COLOR, Shape, ell, ell_fixture, shape
from cliport.sim.shapes.geometry import box_solid

from . import language
from .goal import Goal, Piece
from .task import Task

if TYPE_CHECKING:
    from cliport.sim.environment import Environment

SIZE = (0.1, 0.1, 0.04)  # meters
FIXED_TURN = np.pi / 2


class BlockInsertion(Task):
    """Put the L into the fixture."""

    max_steps = 3

    def build(self, env: Environment) -> None:
        block = env.add(ell(SIZE), self.block_pose(env))
        target = self.add_fixture(env)
        self.goals.append(Goal([Piece(block)], [target], np.ones((1, 1), bool), 1.0, language.BLOCK_INSERTION))

    def add_fixture(self, env: Environment) -> Pose:
        """Add the fixture, and return the block's pose in it."""
        middle = self.turn(self.free_pose(env, (SIZE[0] + 0.03, SIZE[1] + 0.03, SIZE[2])))
        env.add(ell_fixture(SIZE), multiply(middle, pose((0, 0, -SIZE[2] / 4))), "fixed")
        return middle

    def block_pose(self, env: Environment) -> Pose:
        return self.turn(self.free_pose(env, SIZE))

    def turn(self, drawn: Pose) -> Pose:
        """The pose to use for a drawn one; unchanged in this task."""
        return drawn


class BlockInsertionTranslation(BlockInsertion):
    """Block and fixture always have the same yaw: only a translation is needed."""

    def turn(self, drawn: Pose) -> Pose:
        return from_euler(drawn[0], yaw=FIXED_TURN)


class BlockInsertionEasy(BlockInsertionTranslation):
    """In addition, the block is always at the same place."""

    def block_pose(self, env: Environment) -> Pose:
        return from_euler((0.5, 0.0, SIZE[2] / 2), yaw=FIXED_TURN)


class BlockInsertionNoFixture(BlockInsertion):
    """Without walls: the place is only marked on the table, so nothing guides the block."""

    def add_fixture(self, env: Environment) -> Pose:
        middle = self.free_pose(env, SIZE)
        mark = ell((SIZE[0], SIZE[1], 0.002))
        env.add(shape("mark", [], mark.meshes, color=MARK_COLOR), pose(middle[0] * [1, 1, 0], middle[1]), "fixed")
        return middle


class BlockInsertionSixDof(BlockInsertion):
    """The fixture floats above the table and is tilted, so the tool has to tilt as well."""

    sixdof = True
    position_tolerance = 0.02

    def add_fixture(self, env: Environment) -> Pose:
        drawn = self.free_pose(env, (SIZE[0] + 0.06, SIZE[1] + 0.06, SIZE[2]))
        roll, pitch, height = env.rng.uniform([-np.pi / 12, -np.pi / 12, 0.05], [np.pi / 12, np.pi / 12, 0.1])
        tilt = quaternion_from_euler(roll, pitch, 0.0)
        middle = multiply(pose((*drawn[0][:2], height), tilt), pose(quaternion=drawn[1]))
        env.add(tray(SIZE), multiply(middle, pose((0, 0, -SIZE[2] / 4))), "fixed")
        return middle


def tray(size: Sequence[float]) -> Shape:
    """A fixture with a floor, in the fixture's frame."""
    fixture = ell_fixture(size)
    floor = box_solid((fixture.size[0], fixture.size[1], 0.004), (0, 0, -fixture.size[2] / 2 - 0.002))
    return shape("tray", [*fixture.solids, floor], [*fixture.meshes, floor.mesh()], mass=0.5, color=fixture.color)
