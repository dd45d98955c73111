"""Pick and place, and push."""

from __future__ import annotations

import numpy as np
import pytest
from sim_scenes import Scene, onto

from cliport.sim import shapes
from cliport.sim.action import Action
from cliport.sim.environment import Environment
from cliport.sim.poses import Pose, angle_between, from_euler, inverse, multiply, pose, product, yaw_of
from cliport.sim.primitives import CARRY
from cliport.sim.robot import HOME


def test_a_block_goes_where_it_is_put(env: Environment) -> None:
    block = env.add(shapes.box(), from_euler((0.4, -0.2, 0.02), yaw=0.3))
    _, reward, done, info = env.step(onto(env, block, (0.6, 0.25, 0.04), yaw=0.9), observe=False)
    assert env.pose(block)[0] == pytest.approx([0.6, 0.25, 0.02], abs=1e-3)
    assert yaw_of(env.pose(block)) == pytest.approx(0.3 + 0.9, abs=0.01)
    assert (reward, done) == (0.25, False)
    assert info["grasped"]
    assert not info["timed_out"]
    assert info["settled"]
    assert info["fact"] == 7
    assert env.robot.pose()[0] == pytest.approx(HOME[0], abs=2e-3)


def test_a_pick_and_place_takes_a_dozen_solves_of_the_kinematics(env: Environment) -> None:
    block = env.add(shapes.box(), pose((0.4, -0.2, 0.02)))
    info = env.step(onto(env, block, (0.6, 0.25, 0.04)), observe=False)[3]
    assert info["ik"] <= 12
    assert info["steps"] < 2500


def test_what_is_held_follows_the_tool(env: Environment) -> None:
    """On the way its pose in the tool's frame stays what it was when it was grasped."""
    block = env.add(shapes.box((0.04, 0.1, 0.04)), pose((0.4, -0.2, 0.02)))
    carried: list[Pose] = []

    def watch() -> None:
        if env.suction.held == block:
            carried.append(multiply(inverse(env.robot.pose()), env.pose(block)))

    env.world.stepped = watch
    try:
        env.step(Action(pose((0.4, -0.23, 0.04)), from_euler((0.6, 0.2, 0.04), yaw=2)), observe=False)
    finally:
        env.world.stepped = env.stepped
    places = np.array([place[0] for place in carried])
    assert len(carried) > 200
    assert np.linalg.norm(places - places[0], axis=1).max() < 0.004
    assert max(angle_between(carried[0][1], place[1]) for place in carried) < 0.06


def test_with_nothing_below_it_nothing_is_grasped(env: Environment) -> None:
    block = env.add(shapes.box(), pose((0.4, -0.2, 0.02)))
    env.settle()
    before = env.pose(block)
    info = env.step(Action(pose((0.6, 0.2, 0.0)), pose((0.4, 0, 0.0))), observe=False)[3]
    assert not info["grasped"]
    assert not info["timed_out"]
    assert env.pose(block)[0] == pytest.approx(before[0], abs=1e-4)


def test_what_is_fixed_stays(env: Environment) -> None:
    bowl = env.add(shapes.bowl(), pose((0.4, -0.2, 0.02)), "fixed")
    info = env.step(onto(env, bowl, (0.6, 0.2, 0.04)), observe=False)[3]
    assert not info["grasped"]
    assert env.pose(bowl)[0] == pytest.approx([0.4, -0.2, 0.02])


def test_heights_need_not_be_exact(env: Environment) -> None:
    """An agent says the height that it sees under the pixel: the table's where it places, and pixels of an edge lie."""
    for told in (0.0, 0.04, 0.09):
        block = env.add(shapes.box(), pose((0.4, -0.2, 0.02)))
        action = Action(pose((0.4, -0.2, min(told + 0.01, 0.055))), pose((0.6, 0.2, 0.0)))
        assert env.step(action, observe=False)[3]["grasped"], told
        assert env.pose(block)[0] == pytest.approx([0.6, 0.2, 0.02], abs=3e-3), told
        env.remove(block)


def test_the_upper_one_of_a_stack_is_taken_and_the_lower_one_stays(env: Environment) -> None:
    lower, upper = (env.add(shapes.box(), pose((0.4, -0.2, z))) for z in (0.02, 0.06))
    assert env.step(onto(env, upper, (0.6, 0.2, 0.04)), observe=False)[3]["grasped"]
    assert env.pose(upper)[0] == pytest.approx([0.6, 0.2, 0.02], abs=1e-3)
    assert env.pose(lower)[0] == pytest.approx([0.4, -0.2, 0.02], abs=2e-3)


def test_a_block_is_put_upon_another(env: Environment) -> None:
    lower, upper = (env.add(shapes.box(), pose((x, -0.2, 0.02))) for x in (0.4, 0.6))
    env.step(onto(env, upper, (0.4, -0.2, 0.08)), observe=False)
    assert env.pose(upper)[0] == pytest.approx([0.4, -0.2, 0.06], abs=2e-3)
    assert env.pose(lower)[0] == pytest.approx([0.4, -0.2, 0.02], abs=2e-3)


def test_beside_another_it_goes_down_all_the_way(env: Environment) -> None:
    """A neighbour half a millimetre away is no ground."""
    env.add(shapes.box(), pose((0.6, 0.2, 0.02)), "fixed")
    block = env.add(shapes.box(), pose((0.4, -0.2, 0.02)))
    env.step(onto(env, block, (0.6405, 0.2, 0.04)), observe=False)
    assert env.pose(block)[0] == pytest.approx([0.6405, 0.2, 0.02], abs=2e-3)


def test_a_tall_thing_is_lifted_over_others(env: Environment) -> None:
    wall = env.add(shapes.box((0.5, 0.02, 0.12)), pose((0.5, 0, 0.06)), "fixed")
    pole = env.add(shapes.box((0.05, 0.05, 0.15)), pose((0.5, -0.2, 0.075)))
    info = env.step(onto(env, pole, (0.5, 0.2, 0.15)), observe=False)[3]
    assert not info["timed_out"]
    assert env.pose(pole)[0] == pytest.approx([0.5, 0.2, 0.075], abs=3e-3)
    assert env.pose(wall)[0][1] == 0


def test_a_place_may_be_tilted(env: Environment) -> None:
    """Put upon a slope with the slope's tilt, the block touches it with its whole side."""
    tilt = from_euler((0.5, 0.15, 0.06), roll=0.3)
    env.add(shapes.box((0.2, 0.2, 0.02)), tilt, "fixed")
    block = env.add(shapes.box(), pose((0.5, -0.2, 0.02)))
    target = multiply(tilt, pose((0, 0, 0.03)))
    released: list[Pose] = []
    let_go = env.suction.release

    def release() -> None:
        if env.suction.held is not None:
            released.append(env.pose(block))
        let_go()

    env.suction.release = release  # type: ignore[method-assign]
    env.step(Action(pose((0.5, -0.2, 0.04)), multiply(target, pose((0, 0, 0.02)))), observe=False)
    assert released[0][0] == pytest.approx(target[0], abs=3e-3)
    assert angle_between(released[0][1], product(tilt[1], (0, 0, 0, 1))) < 0.03


@pytest.mark.parametrize(
    "action",
    [
        Action(pose((0.5, 0, 0.04)), pose((2, 0, 0.04))),
        Action(pose((2, 0, 0.04)), pose((0.5, 0, 0.04))),
        Action(pose((0.5, 0, 0.04)), pose((np.nan, 0, 0.04))),
    ],
)
def test_out_of_reach_nothing_is_done(env: Environment, action: Action) -> None:
    block = env.add(shapes.box(), pose((0.5, 0, 0.02)))
    env.settle()
    before = env.pose(block)[0]
    info = env.step(action, observe=False)[3]
    assert info["timed_out"]
    assert not info["grasped"]
    assert env.pose(block)[0] == pytest.approx(before, abs=1e-5)


def test_blocked_on_its_way_it_gives_up_and_goes_home(env: Environment) -> None:
    env.add(shapes.box((0.5, 0.05, 0.9)), pose((0.5, 0, 0.45)), "fixed")
    block = env.add(shapes.box(), pose((0.5, -0.3, 0.02)))
    info = env.step(onto(env, block, (0.5, 0.3, 0.04)), observe=False)[3]
    assert info["timed_out"]
    assert info["steps"] < 6000
    assert env.suction.held is None
    assert env.pose(block)[0][1] < 0
    assert abs(env.robot.measured()).max() < 2 * np.pi


def test_nothing_to_do_is_nothing_done(env: Environment) -> None:
    block = env.add(shapes.box(), pose((0.5, 0, 0.02)))
    _, reward, _, info = env.step(None, observe=False)
    assert reward == 0.25
    assert info["ik"] == 0
    assert env.pose(block)[0] == pytest.approx([0.5, 0, 0.02], abs=1e-4)


def test_dragging_stays_low(env: Environment) -> None:
    task = Scene(lambda env: env.add(shapes.sphere(0.01), pose((0.5, 0, 0.005)), "deformable"))
    task.lift = 0.02
    env.reset(task, 0, observe=False)
    heights: list[float] = []
    env.world.stepped = lambda: heights.append(env.pose(task.built)[0][2])
    try:
        env.step(Action(pose((0.5, 0, 0.01)), pose((0.5, 0.2, 0.01))), observe=False)
    finally:
        env.world.stepped = env.stepped
    assert 0.01 < max(heights) < 0.06 < CARRY
    assert env.pose(task.built)[0][:2] == pytest.approx([0.5, 0.2], abs=0.01)


def pile(env: Environment) -> list[int]:
    size = (0.01, 0.01, 0.01)
    return [env.add(shapes.box(size), pose((0.45 + 0.02 * (i % 4), -0.03 + 0.02 * (i // 4), 0.005))) for i in range(16)]


def test_a_push_moves_a_pile_and_leaves_none_behind(shared: Environment) -> None:
    task = Scene(pile, ee="spatula")
    shared.reset(task, 0, observe=False)
    assert shared.ee == "spatula"
    info = shared.step(Action(pose((0.48, -0.1, 0)), pose((0.48, 0.3, 0))), observe=False)[3]
    assert not info["timed_out"]
    places = np.array([shared.pose(body)[0] for body in task.built])
    assert (places[:, 1] > 0.2).all()
    assert places[:, 1].max() < 0.36
    assert places[:, 2] == pytest.approx(0.005, abs=0.02)


@pytest.mark.parametrize("angle", [0.0, 2.0, 4.0])
def test_the_blade_stands_across_the_way(shared: Environment, angle: float) -> None:
    task = Scene(lambda env: env.add(shapes.box((0.02, 0.02, 0.02)), pose((0.5, 0, 0.01))), ee="spatula")
    shared.reset(task, 0, observe=False)
    way = np.array([np.cos(angle), np.sin(angle)])
    aside = np.array([-way[1], way[0]]) * 0.045  # within the blade's half width
    start, end = np.array([0.5, 0]) - 0.1 * way + aside, np.array([0.5, 0]) + 0.17 * way + aside
    shared.step(Action(pose((*start, 0)), pose((*end, 0))), observe=False)
    moved = shared.pose(task.built)[0][:2] - [0.5, 0]
    assert moved @ way == pytest.approx(0.12 + 0.004 + 0.01, abs=0.02)
    assert abs(moved @ [-way[1], way[0]]) < 0.02


def test_a_push_of_no_length_is_no_push(shared: Environment) -> None:
    shared.reset(Scene(pile, ee="spatula"), 0, observe=False)
    info = shared.step(Action(pose((0.5, 0, 0)), pose((0.5, 0, 0))), observe=False)[3]
    assert not info["grasped"]
    assert not info["timed_out"]
