"""Tasks that insert an L-shaped block into its fixture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cliport.sim.poses import Pose, from_euler, pose, quaternion_from_euler
from cliport.sim.shapes import ell, ell_fixture
from cliport.sim.shapes.table import CHANNEL, ELL_ARM, ELL_HEIGHT, ELL_WIDTH, WALL

from . import language
from .goal import FULL_TURN, Goal, Piece
from .task import Task

if TYPE_CHECKING:
    from cliport.sim.environment import Environment

SIZE = (0.1, 0.1, ELL_HEIGHT)  # meters: what is kept free for the block and the fixture
FIXED_TURN = np.pi / 2
FIXED_PLACE = (0.5, 0.0, ELL_HEIGHT / 2)  # meters
TILT = np.pi / 4  # radians: largest roll and pitch of a fixture in the air
LIFT = (0.03, 0.13)  # meters: how far it is lifted

BLOCK = f"one L-shaped block: two bars {ELL_ARM} x {ELL_WIDTH} x {ELL_HEIGHT} m that share a corner, movable, 0.1 kg, red"
FIXTURE = f"one fixture: gray walls {ELL_HEIGHT} m high and {WALL} m thick along a channel {CHANNEL} m wide, open above and below, fixed"


class BlockInsertion(Task):
    """Put the L into the fixture."""

    max_steps = 3
    scene: tuple[str, ...] = (f"{BLOCK}, anywhere", f"{FIXTURE}, anywhere")
    aim: tuple[str, ...] = ("1: the block at the fixture's pose",)
    templates = (language.BLOCK_INSERTION,)

    def build(self, env: Environment) -> None:
        block = env.add(ell(), self.block_pose(env))
        target = self.fixture_pose(env)
        self.add_fixture(env, target)
        self.goals.append(Goal([Piece(block)], [target], np.ones((1, 1), bool), 1.0, language.BLOCK_INSERTION))

    def block_pose(self, env: Environment) -> Pose:
        return self.free_pose(env, SIZE)

    def fixture_pose(self, env: Environment) -> Pose:
        return self.free_pose(env, SIZE)

    def add_fixture(self, env: Environment, where: Pose) -> None:
        env.add(ell_fixture(), where, "fixed")


class BlockInsertionTranslation(BlockInsertion):
    """Block and fixture always have the same yaw: only a translation is needed."""

    scene = (f"{BLOCK}, anywhere, yaw 90 degrees", f"{FIXTURE}, anywhere, yaw 90 degrees")

    def block_pose(self, env: Environment) -> Pose:
        return from_euler(super().block_pose(env)[0], yaw=FIXED_TURN)

    def fixture_pose(self, env: Environment) -> Pose:
        return from_euler(super().fixture_pose(env)[0], yaw=FIXED_TURN)


class BlockInsertionEasy(BlockInsertionTranslation):
    """In addition, the block is always at the same place."""

    scene = (f"{BLOCK}, at {FIXED_PLACE}, yaw 90 degrees", f"{FIXTURE}, anywhere, yaw 90 degrees")

    def block_pose(self, env: Environment) -> Pose:
        return from_euler(FIXED_PLACE, yaw=FIXED_TURN)


class BlockInsertionNoFixture(BlockInsertion):
    """Without a fixture: the place is not to be seen. Only a goal image shows it."""

    scene = (f"{BLOCK}, anywhere", "no fixture: the target is anywhere, and not to be seen")
    aim = ("1: the block at the target's pose",)

    def add_fixture(self, env: Environment, where: Pose) -> None:
        """Nothing is added."""


class BlockInsertionSixDof(BlockInsertion):
    """The fixture floats above the table and is tilted, so the tool has to tilt as well."""

    sixdof = True
    position_tolerance = 0.02
    scene = (
        f"{BLOCK}, anywhere",
        f"{FIXTURE}, its middle {ELL_HEIGHT / 2 + LIFT[0]:g} to {ELL_HEIGHT / 2 + LIFT[1]:g} m above the table, any yaw, "
        f"roll and pitch up to {np.degrees(TILT):g} degrees each way",
    )

    def fixture_pose(self, env: Environment) -> Pose:
        x, y, z = self.free_pose(env, SIZE)[0].tolist()
        lift, roll, pitch, yaw = env.rng.uniform([LIFT[0], -TILT, -TILT, 0], [LIFT[1], TILT, TILT, FULL_TURN]).tolist()
        return pose((x, y, z + lift), quaternion_from_euler(roll, pitch, yaw))
