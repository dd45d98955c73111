"""Pick and place, and push."""

from __future__ import annotations

import numpy as np
import pytest
from sim_scenes import Scene, onto

from cliport.sim import shapes
from cliport.sim.action import Action
from cliport.sim.environment import Environment
from cliport.sim.poses import Pose, angle_between, from_euler, inverse, multiply, pose, product, yaw_of
from cliport.sim.robot import CARRY


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


def test_a_pick_and_place_takes_a_dozen_solves_of_the_kinematics(env: Environment) -> None:
    block = env.add(shapes.box(), pose((0.4, -0.2, 0.02)))
    info = env.step(onto(env, block, (0.6, 0.25, 0.04)), observe=False)[3]
    assert info["ik"] <= 14
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


def test_whatever_is_movable_is_held_and_nothing_that_is_fixed(env: Environment) -> None:
    """Of what the cup touches: distractors too, bowls too (cliport/cliport at 2be5c47, grippers)."""
    for category, held in (("rigid", True), ("fixed", False)):
        bowl = env.add(shapes.bowl(), pose((0.4, -0.2, 0.02)), category)
        info = env.step(Action(pose((0.4, -0.2, 0.004)), pose((0.6, 0.2, 0.004))), observe=False)[3]
        assert info["grasped"] == held
        assert (np.linalg.norm(env.pose(bowl)[0][:2] - [0.6, 0.2]) < 0.01) == held
        env.remove(bowl)


def test_the_cup_is_a_pin_that_goes_between_two_blocks(env: Environment) -> None:
    """Its radius is 0.001: between blocks six millimetres apart it reaches the table."""
    for y in (-0.023, 0.023):
        env.add(shapes.box(), pose((0.5, y, 0.02)))
    assert not env.step(Action(pose((0.5, 0, 0.04)), pose((0.6, 0.3, 0.04))), observe=False)[3]["grasped"]


@pytest.mark.parametrize("stated", [0.0, 0.1, 0.28])
def test_the_stated_height_does_not_matter_because_the_cup_goes_down_until_it_touches(env: Environment, stated: float) -> None:
    block = env.add(shapes.box(), pose((0.4, -0.2, 0.02)))
    info = env.step(Action(pose((0.4, -0.2, stated)), pose((0.6, 0.2, stated))), observe=False)[3]
    assert info["grasped"]
    assert env.pose(block)[0] == pytest.approx([0.6, 0.2, 0.02], abs=2e-3)
    env.remove(block)


def test_a_descent_is_in_steps_of_a_millimetre(env: Environment) -> None:
    heights: list[float] = []
    env.world.stepped = lambda: heights.append(float(env.robot.pose()[0][2]))
    try:
        env.step(Action(pose((0.5, 0, 0.0)), pose((0.5, 0.2, 0.0))), observe=False)
    finally:
        env.world.stepped = env.stepped
    lowest = int(np.argmin(heights))
    before = np.diff(heights[lowest - 200 : lowest - 20])
    assert -before.mean() == pytest.approx(0.001, rel=0.05)


def test_what_is_held_is_released_where_it_touches_something_even_with_its_side(env: Environment) -> None:
    """A wall beside the place touches it first: it falls from there, and leans or lies where it fell."""
    env.add(shapes.box((0.02, 0.3, 0.1)), pose((0.6, 0.2, 0.05)), "fixed")
    block = env.add(shapes.box(), pose((0.4, -0.2, 0.02)))
    released: list[float] = []
    let_go = env.suction.release

    def release() -> None:
        if env.suction.held is not None:
            released.append(float(env.pose(block)[0][2]))
        let_go()

    env.suction.release = release  # type: ignore[method-assign]
    env.step(onto(env, block, (0.6 + 0.01 + 0.02 - 0.002, 0.2, 0.04)), observe=False)  # two millimetres of it above the wall
    assert released[0] == pytest.approx(0.12, abs=5e-3)


def test_afterwards_the_arm_stays_above_the_place_and_after_a_failure_above_the_pick(env: Environment) -> None:
    block = env.add(shapes.box(), pose((0.4, -0.2, 0.02)))
    env.step(onto(env, block, (0.6, 0.2, 0.04)), observe=False)
    assert env.robot.pose()[0] == pytest.approx([0.6, 0.2, 0.04 + 0.32], abs=2e-3)
    env.step(Action(pose((0.3, -0.4, 0.0)), pose((0.6, 0.2, 0.0))), observe=False)
    assert env.robot.pose()[0] == pytest.approx([0.3, -0.4, 0.32], abs=2e-3)


def test_what_is_carried_is_32_centimetres_high(env: Environment) -> None:
    block = env.add(shapes.box(), pose((0.5, -0.3, 0.02)))
    heights = {}
    env.world.stepped = lambda: heights.update({round(env.pose(block)[0][1], 1): env.pose(block)[0][2]})
    try:
        env.step(onto(env, block, (0.5, 0.3, 0.04)), observe=False)
    finally:
        env.world.stepped = env.stepped
    assert heights[0.0] == pytest.approx(0.02 + 0.32, abs=5e-3)


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
        Action(pose((np.inf, 0, 0.04)), pose((0.5, 0, 0.04))),
    ],
)
def test_out_of_reach_nothing_is_done(env: Environment, action: Action) -> None:
    block = env.add(shapes.box(), pose((0.5, 0, 0.02)))
    env.settle()
    before = env.pose(block)[0]
    _, reward, done, info = env.step(action, observe=False)
    assert (reward, done) == (0, True)
    assert info["timed_out"]
    assert not info["grasped"]
    assert env.pose(block)[0] == pytest.approx(before, abs=1e-5)


def test_an_action_that_times_out_ends_the_episode_and_is_not_scored(env: Environment) -> None:
    """Source: cliport/cliport at 2be5c47: a step that timed out returns reward 0 and done, and waits for nothing."""
    env.add(shapes.box((0.5, 0.05, 0.9)), pose((0.5, 0, 0.45)), "fixed")
    block = env.add(shapes.box(), pose((0.5, -0.3, 0.02)))
    falling = env.add(shapes.box(), pose((0.3, -0.4, 30.0)))
    _, reward, done, info = env.step(onto(env, block, (0.5, 0.3, 0.04)), observe=False)
    assert (reward, done) == (0, True)
    assert info["timed_out"]
    assert not info["settled"]
    assert "fact" not in info
    assert info["lang_goal"] == "do as you like"
    assert env.pose(falling)[0][2] > 1  # nothing settled
    assert info["steps"] < 3000
    assert env.suction.held is None
    assert env.pose(block)[0][1] < 0
    assert abs(env.robot.measured()).max() < 2 * np.pi


def test_nothing_to_do_is_nothing_done(env: Environment) -> None:
    block = env.add(shapes.box(), pose((0.5, 0, 0.02)))
    _, reward, _, info = env.step(None, observe=False)
    assert reward == 0
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
    return [env.add(shapes.box(size), pose((0.485 + 0.015 * (i % 3), -0.03 + 0.015 * (i // 3), 0.005))) for i in range(12)]


def test_a_push_moves_what_is_as_narrow_as_the_blade_and_leaves_none_behind(shared: Environment) -> None:
    task = Scene(pile, ee="spatula")
    shared.reset(task, 0, observe=False)
    assert shared.ee == "spatula"
    info = shared.step(Action(pose((0.5, -0.1, 0)), pose((0.5, 0.3, 0))), observe=False)[3]
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
    aside = np.array([-way[1], way[0]]) * 0.02  # within the blade's half width
    start, end = np.array([0.5, 0]) - 0.1 * way + aside, np.array([0.5, 0]) + 0.17 * way + aside
    shared.step(Action(pose((*start, 0)), pose((*end, 0))), observe=False)
    moved = shared.pose(task.built)[0][:2] - [0.5, 0]
    assert moved @ way == pytest.approx(0.12 + 0.0025 + 0.01, abs=0.02)
    assert abs(moved @ [-way[1], way[0]]) < 0.02


def test_a_push_of_no_length_is_no_push(shared: Environment) -> None:
    shared.reset(Scene(pile, ee="spatula"), 0, observe=False)
    info = shared.step(Action(pose((0.5, 0, 0)), pose((0.5, 0, 0))), observe=False)[3]
    assert not info["grasped"]
    assert not info["timed_out"]


@pytest.mark.parametrize(("length", "last"), [(0.3, 0.25), (0.04, -0.01)])
def test_a_push_starts_two_centimetres_before_and_ends_five_short(shared: Environment, length: float, last: float) -> None:
    """Source: cliport/cliport at 2be5c47, primitives: the blade is 0.05 wide, at 0.005, and lifts to 0.31 where it ends."""
    shared.reset(Scene(ee="spatula"), 0, observe=False)
    tips: list[np.ndarray] = []
    shared.world.stepped = lambda: tips.append(shared.robot.pose()[0])
    try:
        shared.step(Action(pose((0.5, 0, 0.1)), pose((0.5, length, 0.2))), observe=False)
    finally:
        shared.world.stepped = shared.stepped
    low = np.array([tip for tip in tips if tip[2] < 0.006])
    assert low[0] == pytest.approx([0.5, -0.02, 0.005], abs=2e-3)
    assert low[-1][1] == pytest.approx(last, abs=2e-3)
    assert shared.robot.pose()[0] == pytest.approx([0.5, last, 0.31], abs=2e-3)


def test_the_blade_is_five_centimetres_wide(shared: Environment) -> None:
    """What is 3.5 cm beside its way stays."""
    across, size = (-0.035, -0.02, 0.02, 0.035), (0.01, 0.01, 0.01)
    task = Scene(lambda env: [env.add(shapes.box(size), pose((0.5 + x, 0, 0.005))) for x in across], ee="spatula")
    shared.reset(task, 0, observe=False)
    shared.step(Action(pose((0.5, -0.1, 0)), pose((0.5, 0.2, 0))), observe=False)
    assert [shared.pose(body)[0][1] > 0.1 for body in task.built] == [False, True, True, False]
