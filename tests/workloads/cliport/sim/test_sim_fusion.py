"""Cameras and the height map made of their views."""

from __future__ import annotations

import numpy as np
import pytest
from naive_fusion import cloud, naive_fuse
from sim_scenes import BLUE, RED, Scene, block_and_bowl

from cliport.sim.cameras import CAMERAS, FRONT, PRESENTATION, Camera, looking
from cliport.sim.constants import BOUNDS, IMAGE_SHAPE
from cliport.sim.environment import Environment
from cliport.sim.fusion import fuse
from cliport.sim.observation import Observation
from cliport.sim.pixels import position_to_pixel
from cliport.sim.poses import from_euler, pose
from cliport.sim.shapes import box


def seen_at(camera: Camera, point: np.ndarray) -> tuple[float, float, float]:
    """Row, column and OpenGL's depth of a point, by the matrices that the renderer gets."""
    view, projection = (np.reshape(part, (4, 4)).T for part in (camera.view, camera.projection))
    x, y, z, w = projection @ view @ np.append(point, 1)
    rows, columns = camera.shape
    return (1 - y / w) / 2 * rows, (x / w + 1) / 2 * columns, (z / w + 1) / 2


@pytest.mark.parametrize("camera", [*CAMERAS, PRESENTATION])
def test_rays_and_matrices_describe_the_same_camera(camera: Camera) -> None:
    for pixel in (0, 639, 200 * 640 + 77, 479 * 640):
        point = np.array(camera.position) + 1.3 * camera.rays[:, pixel].astype(float)
        row, column, depth = seen_at(camera, point)
        assert (row, column) == pytest.approx((pixel // 640 + 0.5, pixel % 640 + 0.5), abs=1e-3)
        assert camera.depth(np.array([depth])) == pytest.approx(1.3, abs=1e-4)


@pytest.mark.parametrize("camera", CAMERAS)
def test_the_cameras_see_the_middle_of_the_workspace(camera: Camera) -> None:
    row, column, _ = seen_at(camera, BOUNDS.mean(1))
    assert 100 < row < 380
    assert 150 < column < 490


def test_a_camera_that_looks_at_a_point_has_it_in_the_middle_and_is_level() -> None:
    camera = looking((1.2, 0.7, 0.9), (0.4, -0.1, 0.1), 500)
    assert seen_at(camera, np.array((0.4, -0.1, 0.1)))[:2] == pytest.approx((240, 320))
    assert camera.rotation[2, 0] == pytest.approx(0)
    assert camera.rotation[2, 1] < 0  # the image's y goes down


def hills(seed: int) -> Observation:
    """Views of a bumpy table: each pixel's depth is where its ray meets a random height, the table, or what is outside the workspace."""
    rng, depths = np.random.default_rng(seed), []
    for camera in CAMERAS:
        down = camera.rays[2].reshape(camera.shape)
        heights = rng.choice([-0.02, -0.003, -0.001, 1, 1], camera.shape)
        heights[heights > 0] = rng.uniform(0.001, 0.35, (heights > 0).sum())
        depths.append(((heights - camera.position[2]) / np.minimum(down, -0.05)).astype(np.float32))
    colors = tuple(rng.integers(0, 256, (*camera.shape, 3), np.uint8) for camera in CAMERAS)
    bodies = tuple(rng.integers(-1, 9, camera.shape).astype(np.int32) for camera in CAMERAS)
    return Observation(colors, tuple(depths), bodies)


@pytest.mark.slow
def test_the_height_map_is_the_plain_ones() -> None:
    """Slow: the plain one goes point by point. Points at a cell's border may fall to either side in float32."""
    observation = hills(seed=0)
    fast, plain = fuse(observation), naive_fuse(observation)
    assert (fast.height > 0.2).any()
    for ours, theirs in ((fast.mask, plain.mask), (fast.color, plain.color)):
        assert ours.shape == theirs.shape
        assert ours.dtype == theirs.dtype
        assert (ours == theirs).mean() > 0.995
    assert (abs(fast.height - plain.height) < 1e-5).mean() > 0.998


def test_a_rendered_scene_has_the_heights_and_bodies_of_what_is_there(env: Environment) -> None:
    task = Scene(block_and_bowl)
    view = fuse(env.reset(task, 3))
    block, basin = task.built
    for shape, kind, part in (
        (IMAGE_SHAPE, np.float32, view.height),
        (IMAGE_SHAPE, np.int32, view.mask),
        ((*IMAGE_SHAPE, 3), np.uint8, view.color),
    ):
        assert part.shape == shape
        assert part.dtype == kind
    middle = position_to_pixel(env.pose(block)[0])
    assert view.height[middle] == pytest.approx(0.04, abs=5e-4)
    assert view.mask[middle] == block
    red, green, blue = view.color[middle].astype(int)
    assert red > 3 * max(green, blue)
    area = (view.mask == block).sum() * 0.003125**2
    assert area == pytest.approx(0.04**2, rel=0.25)
    heights, mask = env.look_down()
    agreeing = view.mask == mask
    assert agreeing.mean() > 0.98
    assert np.median(abs(view.height - heights)[agreeing & (mask == basin)]) < 2e-3
    assert abs(view.height - heights)[agreeing & (mask == 0)].max() < 2e-3


def test_the_workspace_is_covered_up_to_its_border(env: Environment) -> None:
    view = fuse(env.observe())
    assert (view.mask == env.world.table).mean() > 0.999
    brightness = view.color[view.mask >= 0].max(-1)
    assert brightness.max() < 2 * np.median(brightness)


def test_a_thing_turned_in_its_place_shows_it_in_the_map(env: Environment) -> None:
    long = env.add(box((0.16, 0.04, 0.03)), from_euler((0.5, 0.1, 0.015), yaw=np.pi / 2), color=BLUE)
    rows, columns = np.nonzero(fuse(env.observe()).mask == long)
    assert np.ptp(rows) * 0.003125 == pytest.approx(0.16, abs=0.01)
    assert np.ptp(columns) * 0.003125 == pytest.approx(0.04, abs=0.01)


def test_without_segmentation_the_mask_is_unknown(env: Environment) -> None:
    env.add(box(), pose((0.5, 0, 0.02)), color=RED)
    observation = env.observe()
    view = fuse(Observation(observation.color, observation.depth))
    assert (view.mask == -1).all()
    assert (view.height == fuse(observation).height).all()


def test_what_stands_out_of_the_workspace_is_left_out(env: Environment) -> None:
    env.add(box((0.05, 0.05, 0.4)), pose((0.5, 0, 0.2)), "fixed")
    env.add(box((0.1, 0.1, 0.1)), pose((0.85, 0, 0.05)), "fixed")
    assert fuse(env.observe()).height.max() < BOUNDS[2, 1]


def test_points_of_a_view_are_where_the_depth_says(env: Environment) -> None:
    env.add(box(), pose((0.5, 0, 0.02)), color=RED)
    depth = env.observe().depth[0]
    points = cloud(FRONT, depth)
    near = abs(points[..., :2] - [0.5, 0]).max(-1) < 0.018
    assert points[near][:, 2].max() == pytest.approx(0.04, abs=5e-4)
