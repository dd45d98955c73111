"""The rules of palletizing-boxes, typed from what cliport/cliport at 2be5c47 says: tasks/palletizing_boxes.py, and of the pallet's mesh in
google-research/ravens: assets/pallet.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from task_table import Table

from cliport.sim.action import Action
from cliport.sim.environment import Environment
from cliport.sim.poses import from_euler, multiply, pose, yaw_of
from cliport.tasks import make
from cliport.tasks.colors import COLORS
from cliport.tasks.oracle_table import play
from cliport.tasks.pallet import PalletizingBoxes

BROWN = np.array(COLORS["brown"])


@pytest.fixture(scope="module")
def env() -> Iterator[Environment]:
    with Environment(renderer="tiny") as made:
        yield made


def scene(seed: int) -> tuple[PalletizingBoxes, Table]:
    task, table = make("palletizing-boxes"), Table(seed=seed)
    assert isinstance(task, PalletizingBoxes)
    task.reset(table)
    return task, table


def placed(task: PalletizingBoxes, table: Table, count: int) -> None:
    """Put box after box in its place, scoring each."""
    for _ in range(count):
        goal = task.goals[0]
        table.poses[goal.pieces[-1].body] = goal.targets[-1]
        task.reward()
        task.scored(table)  # type: ignore[arg-type]


def test_the_pallet_is_where_it_always_is() -> None:
    for seed in range(5):
        _, table = scene(seed)
        (pallet,) = table.objects["fixed"]
        np.testing.assert_allclose(table.poses[pallet][0], [0.5, 0.25, 0.02])
        assert yaw_of(table.poses[pallet]) == 0
        np.testing.assert_allclose(table.shapes[pallet].size, [0.3, 0.25, 0.0375], atol=1e-9)


def test_one_box_at_a_time_appears_in_the_right_half() -> None:
    yaws = []
    for seed in range(20):
        task, table = scene(seed)
        (body,) = table.objects["rigid"]
        np.testing.assert_allclose(table.poses[body][0], [0.5, -0.25, 0.1])
        yaws.append(yaw_of(table.poses[body]))
        assert task.lang_goals == ["stack all the boxes on the pallet"]
        assert task.max_steps == 30
        placed(task, table, 1)
        assert len(table.objects["rigid"]) == 2
        np.testing.assert_allclose(table.poses[table.objects["rigid"][1]][0], [0.5, -0.25, 0.1])
    assert max(yaws) - min(yaws) > np.pi


def test_the_next_box_waits_until_none_is_left_in_the_right_half() -> None:
    for y, appears in ((-0.4, False), (-0.001, False), (0.001, True), (-0.51, True)):
        task, table = scene(1)
        (body,) = table.objects["rigid"]
        table.poses[body] = from_euler((0.5, y, 0.03))
        task.reward()
        task.scored(table)  # type: ignore[arg-type]
        assert (len(table.objects["rigid"]) == 2) is appears, y


def test_eighteen_boxes_in_three_layers_crosswise_are_worth_an_eighteenth_each() -> None:
    task, table = scene(2)
    for number in range(18):
        body = task.goals[0].pieces[-1].body
        shape = table.shapes[body]
        np.testing.assert_allclose(sorted(shape.size), [0.0566667, 0.0566667, 0.09], atol=1e-6)
        assert shape.size[0 if number // 6 == 1 else 1] == pytest.approx(0.09)
        assert shape.mass == 0.1
        shade = np.array(table.colors[body]) / BROWN
        np.testing.assert_allclose(shade, shade[0])
        assert 0.5 <= shade[0] <= 1.5
        table.poses[body] = task.goals[0].targets[-1]
        assert task.reward()[0] == pytest.approx(1 / 18)
        task.scored(table)  # type: ignore[arg-type]
    assert task.goal is None
    assert task.done()
    heights = sorted({round(float(place[0][2]), 4) for place in task.places})
    np.testing.assert_allclose(heights, 0.02 + 0.03 + np.array([0.0283, 0.095, 0.1617]), atol=1e-4)
    low = np.min([np.array(place[0]) - np.array(size) / 2 for place, size in zip(task.places, task.sizes, strict=True)], axis=0)
    high = np.max([np.array(place[0]) + np.array(size) / 2 for place, size in zip(task.places, task.sizes, strict=True)], axis=0)
    np.testing.assert_allclose((high - low)[:2], 0.19, atol=1e-9)  # a cube of 0.19, gaps of 0.01 between boxes
    np.testing.assert_allclose(((high + low) / 2)[:2], [0.5, 0.25], atol=1e-9)


def test_a_box_counts_anywhere_over_the_pallet_and_by_its_points() -> None:
    task, table = scene(3)
    body = task.goals[0].pieces[0].body
    for where, share in (((0.5 + 0.09, 0.25 - 0.06), 1.0), ((0.5, 0.25 + 0.2), 0.0)):
        table.poses[body] = from_euler((*where, 0.15))
        task.paid = 0.0
        assert task.reward()[0] == pytest.approx(share / 18)
    table.poses[body] = multiply(pose((0.5, 0.25 + 0.125, 0.1)), pose())
    task.paid = 0.0
    y = np.arange(-0.045, 0.045, 0.02)  # the first layer's boxes are long in y
    assert task.reward()[0] == pytest.approx((y < 0).mean() / 18)
    table.poses[body] = from_euler((0.5, 0.25, 0.02 + 0.3 + 0.03))  # its lowest points are above the limit
    task.paid = 0.0
    assert task.reward()[0] == 0


def test_an_episode_ends_when_the_last_box_has_been_scored_and_something_is_missing() -> None:
    task, table = scene(4)
    first = task.goals[0].pieces[0].body
    placed(task, table, 1)
    table.poses[first] = from_euler((0.3, 0.45, 0.03))  # toppled, but not in the right half
    placed(task, table, 16)
    assert len(table.objects["rigid"]) == 18
    assert not task.done()
    placed(task, table, 1)
    assert task.goal is not None
    assert task.done()
    assert task.paid == pytest.approx(17 / 18)


def test_a_new_box_has_fallen_and_rests_when_it_is_seen(env: Environment) -> None:
    task = make("palletizing-boxes")
    env.reset(task, 0, observe=False)
    assert env.world.steps >= 480
    (first,) = env.objects["rigid"]
    assert env.pose(first)[0][2] == pytest.approx(0.0283, abs=0.003)
    action = task.oracle(env).act()
    assert action is not None
    _, reward, done, _ = env.step(action, observe=False)
    assert reward == pytest.approx(1 / 18)
    assert not done
    _, second = env.objects["rigid"]
    assert env.pose(second)[0][2] == pytest.approx(0.0283, abs=0.003)
    lost = Action(pose((0.3, 0.4, 0.0)), pose((0.3, 0.4, 0.0)))
    env.step(lost, observe=False)
    assert len(env.objects["rigid"]) == 2


@pytest.mark.slow
def test_the_oracle_stacks_all_boxes(env: Environment) -> None:
    """Slow: fifteen seconds."""
    episode = play(env, make("palletizing-boxes", "test"), 0)
    assert episode.solved
    assert episode.actions == 18
