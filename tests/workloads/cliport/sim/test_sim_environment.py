"""The environment as a whole: repeatable, independent of its neighbours, and rendering only when asked to."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pybullet
import pytest
from sim_scenes import BLUE, RED, Scene, bits, block_and_bowl, onto

from cliport.errors import DisplayError, RendererError
from cliport.sim import shapes
from cliport.sim.action import Action
from cliport.sim.constants import CAMERA_SHAPE
from cliport.sim.environment import Environment
from cliport.sim.fusion import fuse
from cliport.sim.observation import Observation
from cliport.sim.pixels import position_to_pixel
from cliport.sim.poses import pose


def play(env: Environment, seed: int, observe: bool = True) -> tuple[bytes, bytes]:
    """A block into a bowl, and out again: the bits of where everything lies, and of the last images."""
    task = Scene(block_and_bowl)
    env.reset(task, seed, observe=False)
    block, basin = task.built
    x, y, _ = env.pose(basin)[0]
    env.step(onto(env, block, (x, y, 0.05)), observe=False)
    seen = env.step(onto(env, block, (0.5, -0.1, 0.04), yaw=1.0), observe)[0]
    return bits(env), b"".join(image.tobytes() for part in (seen.color, seen.depth, seen.segmentation) for image in part)


def test_a_seed_gives_the_same_poses_and_images_to_the_last_bit(shared: Environment) -> None:
    """After other episodes, in another environment beside it, and with nothing rendered."""
    first = play(shared, 5)
    other = play(shared, 6)
    assert first[0] != other[0]
    assert first[1] != other[1]
    with Environment() as beside:
        assert play(beside, 5) == first
        assert play(shared, 6) == other
        assert play(beside, 5, observe=False)[0] == first[0]
    assert play(shared, 5) == first


def test_another_process_gives_the_same_bits(shared: Environment) -> None:
    script = """
import hashlib
from test_sim_environment import Environment, play
with Environment() as env:
    print(*(hashlib.sha256(part).hexdigest() for part in play(env, 5)))
"""
    here = os.fspath(Path(__file__).parent)
    path = os.pathsep.join([here, *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, check=True
    )
    assert done.stdout.split() == [hashlib.sha256(part).hexdigest() for part in play(shared, 5)]  # and standard output holds nothing else


def test_the_scene_is_drawn_from_the_episodes_generator_alone(shared: Environment) -> None:
    task = Scene(block_and_bowl)
    np.random.seed(1)
    shared.reset(task, 9, observe=False)
    one = bits(shared)
    np.random.seed(2)
    shared.rng.uniform(size=100)
    shared.reset(task, 9, observe=False)
    assert bits(shared) == one


def test_two_environments_take_turns_without_mixing(shared: Environment) -> None:
    red, blue = (
        Scene(lambda env, color=color: env.add(shapes.box((0.1, 0.1, 0.1)), pose((0.5, 0, 0.05)), color=color)) for color in (RED, BLUE)
    )
    shared.reset(red, 0)
    with Environment() as beside:
        beside.reset(blue, 0)
        for _ in range(2):
            for env, (most, least) in ((shared, (0, 2)), (beside, (2, 0))):
                middle = fuse(env.observe()).color[position_to_pixel((0.5, 0))].astype(int)
                assert middle[most] > 2 * middle[least]
    middle = fuse(shared.observe()).color[position_to_pixel((0.5, 0))].astype(int)
    assert middle[0] > 2 * middle[2]


def test_an_observation_has_three_views_in_the_stated_form(env: Environment) -> None:
    block = env.add(shapes.box(), pose((0.5, 0, 0.02)))
    seen = env.observe()
    for color, depth, bodies in zip(seen.color, seen.depth, seen.segmentation, strict=True):
        assert (color.shape, color.dtype) == ((*CAMERA_SHAPE, 3), np.uint8)
        assert (depth.shape, depth.dtype) == (CAMERA_SHAPE, np.float32)
        assert (bodies.shape, bodies.dtype) == (CAMERA_SHAPE, np.int32)
        assert {env.world.table, env.robot.body, block} <= set(np.unique(bodies)) <= {-1, env.world.table, env.robot.body, block}
        assert 0.5 < depth[bodies == block].min() < depth[bodies == block].max() < 1.1
    assert len(seen.color) == 3


def test_nothing_is_rendered_unasked(shared: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("rendered")

    monkeypatch.setattr("cliport.sim.environment.studio", refuse)
    task = Scene(block_and_bowl)
    assert shared.reset(task, 0, observe=False) == Observation()
    seen, _, _, _ = shared.step(onto(shared, task.built[0], (0.5, 0.1, 0.04)), observe=False)
    assert seen == Observation((), (), ())
    with pytest.raises(AssertionError, match="rendered"):
        shared.reset(task, 0)


def test_info_says_what_happened(shared: Environment) -> None:
    task = Scene(block_and_bowl)
    shared.reset(task, 4, observe=False)
    assert shared.info == {
        "renderer": shared.renderer, "task": "scene", "seed": 4, "lang_goal": "do as you like", "settled": True
    }  # fmt: skip
    info = shared.step(onto(shared, task.built[0], (0.5, 0.1, 0.04)), observe=False)[3]
    assert info is shared.info
    assert set(info) == {"renderer", "task", "seed", "lang_goal", "settled", "grasped", "timed_out", "steps", "ik", "fact"}


def test_a_task_is_asked_in_order_when_everything_rests(shared: Environment) -> None:
    """With no action there is nothing to score (cliport/cliport at 2be5c47, environment)."""
    asked: list[str] = []

    class Listening(Scene):
        def reward(self) -> tuple[float, dict[str, Any]]:
            asked.append("reward" if shared.world.at_rest() else "moving")
            return super().reward()

        def scored(self, env: Environment) -> None:
            asked.append("scored")

        def done(self) -> bool:
            asked.append("done")
            return True

    task = Listening(block_and_bowl)
    shared.reset(task, 0, observe=False)
    assert asked == []
    assert shared.step(onto(shared, task.built[0], (0.5, 0.1, 0.04)), observe=False)[1:3] == (0.25, True)
    assert asked == ["reward", "scored", "done"]
    assert shared.step(None, observe=False)[1:3] == (0, True)
    assert asked[3:] == ["done"]


def test_an_unknown_tool_is_refused(shared: Environment) -> None:
    with pytest.raises(ValueError, match=r"scene\.ee: 'tongs' is not one of suction, spatula"):
        shared.reset(Scene(ee="tongs"), 0)


def test_frames_of_a_recording_come_at_even_times_and_change_nothing(shared: Environment) -> None:
    frames: list[np.ndarray] = []
    task = Scene(block_and_bowl)

    def act(env: Environment) -> bytes:
        env.reset(task, 3, observe=False)
        env.step(Action(pose((0.5, 0.1, 0.0)), pose((0.5, 0.2, 0.0))), observe=False)
        return bits(env)

    with Environment(record=frames.append) as recorded:
        places = act(recorded)
        steps = recorded.info["steps"]
    assert places == act(shared)
    assert len(frames) == pytest.approx(steps / 24, abs=5)
    assert frames[0].shape == (*CAMERA_SHAPE, 3)
    assert frames[0].dtype == np.uint8
    moved = [abs(a.astype(int) - b.astype(int)).max() > 50 for a, b in zip(frames[:-1:5], frames[1::5], strict=False)]
    assert np.mean(moved) > 0.8  # the arm is in the picture and moves


@pytest.mark.parametrize(("display", "reason"), [(None, r"DISPLAY is not set"), (":4711", "display :4711 does not respond")])
def test_a_window_needs_a_display(monkeypatch: pytest.MonkeyPatch, display: str | None, reason: str) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    if display:
        monkeypatch.setenv("DISPLAY", display)
    with pytest.raises(DisplayError, match=f"{reason}.*: use disp=False"):
        Environment(disp=True)


def test_an_unknown_renderer_is_refused() -> None:
    with pytest.raises(RendererError, match="'vulkan' is not one of auto, egl, tiny"):
        Environment(renderer="vulkan")


def test_closing_twice_is_allowed() -> None:
    """And closes no other environment, also one that has taken over the client's number."""
    env = Environment(renderer="tiny")
    assert pybullet.isConnected(env.client)
    env.close()
    assert not pybullet.isConnected(env.client)
    with Environment(renderer="tiny") as other:
        env.close()
        assert pybullet.isConnected(other.client)


def test_a_second_has_480_steps_or_as_many_as_wanted(shared: Environment) -> None:
    """The original makes and evaluates demonstrations at 480 Hz."""
    with Environment(renderer="tiny", hz=240) as coarse:
        fallen = []
        for env, steps in ((shared, 96), (coarse, 48)):
            env.reset(Scene(), 0, observe=False)
            ball = env.add(shapes.sphere(0.02), pose((0.5, 0, 1.0)))
            before = env.world.steps
            env.simulate(steps)
            assert env.world.steps == before + steps
            fallen.append(1.0 - env.pose(ball)[0][2])
    assert fallen == pytest.approx([0.5 * 9.8 * 0.2**2] * 2, rel=0.03)


def file_of_a_mesh(_: int) -> str:
    from cliport.sim.studio import mesh_file

    return mesh_file(shapes.box().meshes[0])


def test_a_worker_leaves_no_files_behind() -> None:
    """Workers end without Python's own exit handlers."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        file = Path(pool.submit(file_of_a_mesh, 0).result())
        assert file.exists()
    assert not file.parent.exists()


def test_an_action_is_a_value() -> None:
    action = Action(pose(), pose((1, 2, 3)))
    with pytest.raises(AttributeError):
        action.pick = pose()  # type: ignore[misc]
