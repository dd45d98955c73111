"""The arm: closed-form inverse kinematics and the paths made with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pybullet
import pytest
from sim_scenes import Scene

from cliport.errors import AssetError, BlockedError, ReachError
from cliport.sim import kinematics
from cliport.sim.constants import BOUNDS
from cliport.sim.environment import Environment
from cliport.sim.fusion import fuse
from cliport.sim.poses import Pose, angle_between, from_euler, pose, quaternion_from_euler
from cliport.sim.primitives import FAST, lowest
from cliport.sim.robot import BASE, CARRY, HOME, PATIENCE, TIP_TO_FLANGE, TOO_FAR, joined


def flange(env: Environment, angles: np.ndarray) -> Pose:
    """Where PyBullet's forward kinematics has the flange, in the base's frame."""
    robot = env.robot
    for joint, angle in enumerate(angles):
        pybullet.resetJointState(robot.body, joint, angle, physicsClientId=env.client)
    links = {
        pybullet.getJointInfo(robot.body, link, physicsClientId=env.client)[12]: place for link, place in robot.links().items() if link >= 0
    }
    position, quaternion = links[b"flange"]
    return position - robot.links()[-1][0], quaternion


def test_inverse_kinematics_undoes_pybullets_forward_kinematics(env: Environment) -> None:
    rng = np.random.default_rng(0)
    for angles in rng.uniform([-1.5, -2.2, 0.3, -2.5, -2.6, -3], [1.5, -0.3, 2.4, -0.8, -0.5, 3], (50, 6)):
        there = flange(env, angles)
        if np.hypot(*there[0][:2]) < 0.25:  # behind the wrist the arm would reach over its own head
            continue
        found, behind = kinematics.solve(there[0][None], there[1][None], angles)
        again = flange(env, found[0])
        assert behind[0] == pytest.approx(0, abs=1e-6)
        assert again[0] == pytest.approx(there[0], abs=1e-6)
        assert angle_between(again[1], there[1]) < 1e-6


def test_a_whole_path_is_one_call_and_does_not_jump() -> None:
    shares = np.linspace(0, 1, 200)[:, None]
    points = (1 - shares) * [0.3, -0.4, 0.3] + shares * [0.6, 0.4, 0.3]
    down = np.repeat(pose(quaternion=(1, 0, 0, 0))[1][None], len(points), 0)
    near = np.array([0, 0, 0, 0, 0, 2 * np.pi])
    angles, behind = kinematics.solve(points, down, near)
    assert angles.shape == (200, 6)
    assert behind.max() == 0
    assert abs(np.diff(angles, axis=0)).max() < 0.05
    assert abs(angles[0, 5] - near[5]) <= np.pi


def test_what_is_too_far_is_said_to_be_too_far() -> None:
    _, behind = kinematics.solve(np.array([[2.0, 0, 0.3]]), np.array([[1.0, 0, 0, 0]]), np.zeros(6))
    assert behind[0] == pytest.approx(2.0 - kinematics.WRIST_1 - 0.817, abs=0.02)
    _, behind = kinematics.solve(np.array([[0.05, 0, 0.3]]), np.array([[1.0, 0, 0, 0]]), np.zeros(6))
    assert behind[0] >= kinematics.ASIDE - 0.05


def test_the_gripper_reaches_all_of_the_workspace_when_it_points_down(env: Environment) -> None:
    for x in np.linspace(*BOUNDS[0], 4):
        for y in np.linspace(*BOUNDS[1], 5):
            for z in (0, 0.15, 0.25):
                for yaw in (-3, -1, 1, 3):
                    assert env.reaches(from_euler((x, y, z), yaw=yaw)), (x, y, z, yaw)
    assert env.reaches(from_euler((0.5, 0, 0.05), roll=0.7))
    assert not env.reaches(pose((1.4, 0, 0.05)))


def watched(env: Environment, move: Callable[[], None]) -> list[Pose]:
    """The tip's poses after every step of a motion."""
    seen: list[Pose] = []
    env.world.stepped = lambda: seen.append(env.robot.pose())
    try:
        move()
    finally:
        env.world.stepped = env.stepped
    return seen


def test_a_line_is_straight_and_level(env: Environment) -> None:
    start, end = from_euler((0.3, -0.4, CARRY), yaw=-2), from_euler((0.7, 0.4, CARRY), yaw=1)
    env.robot.swing(start, FAST)
    solved = env.robot.solves
    seen = watched(env, lambda: env.robot.line(end, FAST))
    assert env.robot.solves == solved + 1
    points = np.array([place[0] for place in seen])
    way = end[0] - start[0]
    along = (points - start[0]) @ way / (way @ way)
    off = points - start[0] - along[:, None] * way
    assert np.linalg.norm(off, axis=1).max() < 0.002
    assert np.all(np.diff(along) > -1e-4)
    assert points[-1] == pytest.approx(end[0], abs=0.002)
    assert angle_between(seen[-1][1], end[1]) < 0.01


def test_it_stops_at_once_when_told_to(env: Environment) -> None:
    env.robot.swing(pose((0.5, 0, 0.3)), FAST)
    began = env.world.steps
    env.robot.descend(pose((0.5, 0, 0.0)), FAST, lambda: env.world.steps == began + 40)
    assert env.world.steps == began + 40
    assert env.robot.at[0] == pytest.approx([0.5, 0, 0.26], abs=0.002)
    assert env.robot.pose()[0] == pytest.approx(env.robot.at[0], abs=0.005)


def test_out_of_reach_nothing_moves(env: Environment) -> None:
    env.robot.swing(pose((0.5, 0, 0.3)), FAST)
    steps, before = env.world.steps, env.robot.pose()[0]
    with pytest.raises(ReachError, match=r"cm out of reach"):
        env.robot.line(pose((1.5, 0, 0.3)), FAST)
    assert env.world.steps == steps
    assert env.robot.pose()[0] == pytest.approx(before)


def test_a_blocked_motion_ends(env: Environment) -> None:
    """A wall on the way: the arm gives up after its patience, and says so."""
    from cliport.sim.shapes import box

    env.add(box((0.3, 0.1, 0.6)), pose((0.5, 0.2, 0.3)), "fixed")
    env.robot.swing(pose((0.5, 0, 0.25)), FAST)
    began = env.world.steps
    with pytest.raises(BlockedError):
        env.robot.line(pose((0.5, 0.45, 0.25)), FAST)
    assert env.robot.at[0] == pytest.approx(env.robot.pose()[0])
    assert env.world.steps - began < 480 * (1 + PATIENCE)
    assert env.robot.pose()[0][1] < 0.2


def test_the_wrist_never_winds_up(env: Environment) -> None:
    """Many turns the same way: every pick starts from an angle within its limits."""
    for number in range(8):
        env.robot.swing(from_euler((0.5, 0, 0.3), yaw=2.5 * number), FAST)
        env.robot.line(from_euler((0.5, 0.2, 0.3), yaw=2.5 * number + 3), FAST)
        assert abs(env.robot.wanted).max() <= 2 * np.pi
        assert angle_between(env.robot.pose()[1], from_euler((0, 0, 0), yaw=2.5 * number + 3)[1]) < 0.01


def test_in_a_new_scene_it_is_above_the_table_and_too_high_for_height_maps(env: Environment) -> None:
    """As the original's joints (-1, -0.5, 0.5, -0.5, -0.5, 0) * pi have it, whose flange is at x = 0.487 and y = 0.109."""
    assert env.robot.pose()[0] == pytest.approx([0.487, 0.109, CARRY], abs=1e-3)
    assert env.robot.pose()[0] == pytest.approx(HOME[0], abs=1e-3)
    assert (np.stack(env.observe().segmentation) == env.robot.body).any()
    assert not (fuse(env.observe()).mask == env.robot.body).any()


def test_missing_files_are_named(tmp_path: object) -> None:
    with pytest.raises(AssetError, match=r"ur5\.urdf, .*suction\.urdf"):
        Environment(assets=str(tmp_path)).reset(Scene(), 0)


def test_colours_and_meshes_of_the_joined_robot_are_found() -> None:
    from cliport.sim.robot import ASSETS

    text = Path(joined(ASSETS, "spatula")).read_text()
    assert str(ASSETS / "forearm.stl") in text
    assert text.count("<color") >= 10


def test_it_leaves_a_pose_along_the_tools_axis(env: Environment) -> None:
    tilted = from_euler((0.5, 0, 0.05), roll=0.5)
    above = env.robot.above(tilted, CARRY)
    assert above[0] - tilted[0] == pytest.approx(CARRY * np.array([0, -np.sin(0.5), np.cos(0.5)]))
    assert above[1] == pytest.approx(tilted[1])


def test_where_it_cannot_go_so_high_it_goes_as_high_as_it_can(env: Environment) -> None:
    tall = pose((0.75, 0.5, 0.28))
    above = env.robot.above(tall, CARRY)
    assert tall[0][2] < above[0][2] < tall[0][2] + CARRY
    assert env.reaches(above)
    assert not env.reaches(pose((0.75, 0.5, above[0][2] + 0.02)))
    with pytest.raises(ReachError):
        env.robot.above(pose((1.4, 0, 0.05)), CARRY)


def test_from_the_tables_level_the_arm_could_not_carry_to_the_corners() -> None:
    """Which is why it stands on a pedestal."""
    corner = np.array([[0.75, 0.5, CARRY]]) - TIP_TO_FLANGE[0] * [[0, 0, -1]]
    down = quaternion_from_euler(np.pi, 0, 0)[None]
    for base, reached in ((np.zeros(3), False), (np.array(BASE), True)):
        assert (kinematics.solve(corner - base, down, np.zeros(6))[1][0] < TOO_FAR) == reached


@pytest.mark.parametrize("roll", [0.0, 0.7, -2.0, np.pi])
def test_a_descent_ends_below_the_table_or_after_a_metre(roll: float) -> None:
    start = from_euler((0.5, 0, 0.1), roll=roll)
    end = lowest(start)
    assert np.linalg.norm(end[0] - start[0]) <= 1 + 1e-9
    assert end[0][2] == pytest.approx(-0.01) if np.cos(roll) > 0 else end[0][2] > start[0][2]
