"""Poses, against PyBullet's arithmetic, and pixels."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pybullet
import pytest

from cliport.sim import poses
from cliport.sim.constants import BOUNDS, IMAGE_SHAPE, PIXEL
from cliport.sim.pixels import pixel_to_position, position_to_pixel


def draw(rng: np.random.Generator) -> poses.Pose:
    return poses.pose(rng.normal(size=3), rng.normal(size=4))


def close(a: poses.Pose, b: tuple[object, object]) -> bool:
    same = np.allclose(a[1], b[1], atol=1e-9) or np.allclose(a[1], -np.asarray(b[1]), atol=1e-9)
    return same and np.allclose(a[0], b[0], atol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_products_inverses_and_angles_are_pybullets(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b, angles = draw(rng), draw(rng), rng.uniform(-1.5, 1.5, 3)
    assert close(poses.multiply(a, b), pybullet.multiplyTransforms(*a, *b))
    assert close(poses.inverse(a), pybullet.invertTransform(*a))
    turned = poses.from_euler((0, 0, 0), *angles)
    assert close(turned, ((0, 0, 0), pybullet.getQuaternionFromEuler(angles.tolist())))
    assert np.allclose(poses.euler_of(poses.matrix(turned[1])), angles)
    assert poses.yaw_of(poses.pose((0, 0, 0), poses.quaternion_zxy(*angles))) == pytest.approx(angles[2])


def test_a_pose_carries_points_and_its_inverse_brings_them_back() -> None:
    a, points = draw(np.random.default_rng(0)), np.random.default_rng(1).normal(size=(4, 5, 3))
    moved = poses.apply(a, points)
    assert moved.shape == points.shape
    assert not np.allclose(moved, points)
    assert np.allclose(poses.apply(poses.inverse(a), moved), points)


def test_turning_goes_the_short_way_evenly() -> None:
    start, end = poses.quaternion_from_euler(0, 0, 3.0), poses.quaternion_from_euler(0, 0, -3.0)
    way = poses.slerp(start, end, np.linspace(0, 1, 5))
    steps = [poses.angle_between(a, b) for a, b in pairwise(way)]
    assert steps == pytest.approx([(2 * np.pi - 6) / 4] * 4)
    assert poses.angle_between(way[-1], end) == pytest.approx(0, abs=1e-7)
    assert np.allclose(poses.slerp(start, start, np.linspace(0, 1, 3)), start)


def test_angles_between_rotations_are_exact_for_tiny_and_for_half_turns() -> None:
    for angle in (0, 1e-6, 1e-3, 1, np.pi - 1e-6, np.pi):
        turned = poses.quaternion_from_euler(0, 0, angle)
        assert poses.angle_between(np.array(poses.UPRIGHT), turned) == pytest.approx(angle, abs=1e-9)
        assert poses.angle_between(np.array(poses.UPRIGHT), -turned) == pytest.approx(angle, abs=1e-9)


def test_every_pixel_stands_for_a_point_that_falls_into_it() -> None:
    heights = np.random.default_rng(0).uniform(0, 0.2, IMAGE_SHAPE)
    for row, column in [(0, 0), (319, 159), (17, 120), (200, 3)]:
        point = pixel_to_position((row, column), heights)
        assert point[2] == heights[row, column]
        for offset in (-0.49, 0, 0.49):
            assert position_to_pixel(np.add(point, [offset * PIXEL, -offset * PIXEL, 0])) == (row, column)
    assert pixel_to_position((0, 0), heights)[:2] == pytest.approx(BOUNDS[:2, 0])


def test_points_outside_the_workspace_belong_to_its_border() -> None:
    assert position_to_pixel((0, -2, 0)) == (0, 0)
    assert position_to_pixel((2, 2, 0)) == (319, 159)
