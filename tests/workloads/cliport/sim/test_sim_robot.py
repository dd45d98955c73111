"""The arm: closed-form inverse kinematics and the paths made with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pybullet
import pytest
from sim_scenes import Scene

from cliport.errors import AssetError, BlockedError, ReachError
from cliport.sim import kinematics
from cliport.sim.constants import BOUNDS
from cliport.sim.environment import Environment
from cliport.sim.poses import Pose, angle_between, from_euler, pose
from cliport.sim.primitives import CARRY, Visit
from cliport.sim.robot import HOME, PATIENCE, joined


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


def test_a_line_is_straight_and_level(env: Environment) -> None:
    start, end = from_euler((0.3, -0.4, CARRY), yaw=-2), from_euler((0.7, 0.4, CARRY), yaw=1)
    env.robot.swing(start)
    seen: list[Pose] = []
    solved = env.robot.solves
    assert not env.robot.line(end, 1.0, lambda: bool(seen.append(env.robot.pose())))
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
    env.robot.swing(pose((0.5, 0, 0.3)))
    began = env.world.steps
    assert env.robot.line(pose((0.5, 0.3, 0.3)), 0.5, lambda: env.world.steps == began + 40)
    assert env.world.steps == began + 40
    stopped = env.robot.pose()[0]
    assert stopped == pytest.approx(env.robot.at[0], abs=0.01)
    assert 0 < stopped[1] < 0.2


def test_out_of_reach_nothing_moves(env: Environment) -> None:
    env.robot.swing(pose((0.5, 0, 0.3)))
    steps, before = env.world.steps, env.robot.pose()[0]
    with pytest.raises(ReachError, match=r"cm out of reach"):
        env.robot.line(pose((1.5, 0, 0.3)), 0.5)
    assert env.world.steps == steps
    assert env.robot.pose()[0] == pytest.approx(before)


def test_a_blocked_motion_ends(env: Environment) -> None:
    """A wall on the way: the arm gives up after its patience, and says so."""
    from cliport.sim.shapes import box

    env.add(box((0.3, 0.1, 0.6)), pose((0.5, 0.2, 0.3)), "fixed")
    env.robot.swing(pose((0.5, 0, 0.25)))
    began = env.world.steps
    with pytest.raises(BlockedError):
        env.robot.line(pose((0.5, 0.45, 0.25)), 0.5)
    assert env.robot.at[0] == pytest.approx(env.robot.pose()[0])
    assert env.world.steps - began < 410 + PATIENCE
    assert env.robot.pose()[0][1] < 0.2


def test_the_wrist_never_winds_up(env: Environment) -> None:
    """Many turns the same way: every pick starts from an angle within its limits."""
    for number in range(8):
        env.robot.swing(from_euler((0.5, 0, 0.3), yaw=2.5 * number))
        env.robot.line(from_euler((0.5, 0.2, 0.3), yaw=2.5 * number + 3), 1.0)
        assert abs(env.robot.wanted).max() <= 2 * np.pi
        assert angle_between(env.robot.pose()[1], from_euler((0, 0, 0), yaw=2.5 * number + 3)[1]) < 0.01


def test_it_rests_out_of_the_cameras_sight(env: Environment) -> None:
    assert env.robot.pose()[0] == pytest.approx(HOME[0], abs=1e-3)
    assert (np.stack(env.observe().segmentation) == env.robot.body).any()
    from cliport.sim.fusion import fuse

    assert not (fuse(env.observe()).mask == env.robot.body).any()


def test_missing_files_are_named(tmp_path: object) -> None:
    with pytest.raises(AssetError, match=r"ur5\.urdf, .*suction\.urdf"):
        Environment(assets=str(tmp_path)).reset(Scene(), 0)


def test_colours_and_meshes_of_the_joined_robot_are_found() -> None:
    from cliport.sim.robot import ASSETS

    text = Path(joined(ASSETS, "spatula")).read_text()
    assert str(ASSETS / "forearm.stl") in text
    assert text.count("<color") >= 10


def test_a_tilted_visit_comes_along_the_tools_axis() -> None:
    tilted = from_euler((0.5, 0, 0.05), roll=0.5)
    visit = Visit(tilted)
    axis = visit.near[0] - tilted[0]
    assert axis / np.linalg.norm(axis) == pytest.approx([0, -np.sin(0.5), np.cos(0.5)])
    assert visit.top[0][:2] == pytest.approx(visit.near[0][:2])
    assert visit.top[0][2] >= CARRY
