"""The rules of the pile tasks, typed from what cliport/cliport at 2be5c47 says: tasks/sweeping_piles.py and tasks/separating_piles.py."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from task_table import Table

from cliport.sim.environment import Environment
from cliport.sim.poses import UPRIGHT, apply, from_euler, inverse, multiply, pose, yaw_of
from cliport.tasks import make
from cliport.tasks.colors import COLORS
from cliport.tasks.oracle_table import play
from cliport.tasks.task import Task

TRAIN_COLORS = {"blue", "red", "green", "yellow", "brown", "gray", "cyan"}
EVAL_COLORS = {"blue", "red", "green", "orange", "purple", "pink", "white"}


@pytest.fixture(scope="module")
def env() -> Iterator[Environment]:
    with Environment(renderer="tiny") as made:
        yield made


def scene(name: str, seed: int, mode: str = "train") -> tuple[Task, Table]:
    task, table = make(name, mode), Table(seed=seed)
    task.reset(table)
    return task, table


def color_of(table: Table, body: int) -> tuple[float, float, float]:
    color = table.colors[body] or table.shapes[body].color
    return color[0], color[1], color[2]


def named(table: Table, body: int) -> str:
    return next(name for name, other in COLORS.items() if other == color_of(table, body))


@pytest.mark.parametrize("name", ["sweeping-piles", "separating-piles-full"])
def test_fifty_blocks_are_strewn_over_the_middle(name: str) -> None:
    places = []
    for seed in range(20):
        task, table = scene(name, seed)
        blocks = table.objects["rigid"]
        assert len(blocks) == 50
        for body in blocks:
            assert table.shapes[body].size == (0.01, 0.01, 0.01)
            assert table.shapes[body].mass == 0.001
            assert table.poses[body][0][2] == 0.01
            places.append([*table.poses[body][0][:2], yaw_of(table.poses[body])])
        assert task.max_steps == 20
        assert task.ee == "spatula"
        (goal,) = task.goals
        assert [piece.body for piece in goal.pieces] == blocks
        assert (goal.replace, goal.rotations, goal.reward) == (True, False, 1)
    low, high = np.min(places, axis=0), np.max(places, axis=0)
    assert (low[:2] >= [0.4, -0.1]).all()
    assert (high[:2] <= [0.6, 0.1]).all()
    np.testing.assert_allclose(low, [0.4, -0.1, -np.pi], atol=0.02)  # of a thousand draws
    np.testing.assert_allclose(high, [0.6, 0.1, np.pi], atol=0.02)
    np.testing.assert_allclose(np.mean(places, axis=0)[:2], [0.5, 0.0], atol=0.01)


def test_sweeping_piles_has_one_green_square_and_red_blocks() -> None:
    for seed in range(20):
        task, table = scene("sweeping-piles", seed)
        (square,) = table.objects["fixed"]
        assert color_of(table, square) == (0, 1, 0)
        np.testing.assert_allclose(table.shapes[square].size[:2], 0.12)
        assert {named(table, body) for body in table.objects["rigid"]} == {"red"}
        zone = task.goals[0].zone
        assert zone is not None
        assert (zone.sides, zone.top) == ((0.12, 0.12), 0.3)
        assert task.lang_goals == ["push the pile of blocks into the green square"]


@pytest.mark.parametrize(
    ("split", "mode", "colors"),
    [
        ("seen-colors", "test", TRAIN_COLORS),
        ("unseen-colors", "train", TRAIN_COLORS),
        ("unseen-colors", "test", EVAL_COLORS),
        ("full", "val", TRAIN_COLORS | EVAL_COLORS),
    ],
)
def test_separating_piles_has_one_pile_and_two_squares(split: str, mode: str, colors: set[str]) -> None:
    seen, first_wanted = set(), 0
    for seed in range(60):
        task, table = scene(f"separating-piles-{split}", seed, mode)
        squares = table.objects["fixed"]
        assert len(squares) == 2
        middles = [table.poses[body][0] for body in squares]
        assert np.linalg.norm(middles[0] - middles[1]) >= 0.2
        shown = [named(table, body) for body in squares]
        (block,) = {named(table, body) for body in table.objects["rigid"]}
        assert len({*shown, block}) == 3
        zone = task.goals[0].zone
        assert zone is not None
        wanted = next(number for number, body in enumerate(squares) if zone.middle is table.poses[body])
        assert zone.sides == (0.15, 0.15)
        np.testing.assert_allclose(table.shapes[squares[0]].size[:2], 0.12)
        assert task.lang_goals == [f"push the pile of {block} blocks into the {shown[wanted]} square"]
        seen |= {*shown, block}
        first_wanted += wanted == 0
    assert seen == colors
    assert 15 < first_wanted < 45  # 30 on average; the standard deviation is 4


def test_a_block_counts_by_its_lower_corner() -> None:
    task, table = scene("separating-piles-full", 0)
    (goal,) = task.goals
    assert goal.zone is not None
    for body in table.objects["rigid"]:
        table.poses[body] = from_euler((0, 0, 0))
    for number, (x, y) in enumerate(((0.0795, 0), (0.0805, 0), (0, 0.0795), (-0.0695, 0), (-0.0705, 0))):
        table.poses[table.objects["rigid"][number]] = multiply(goal.zone.middle, pose((x, y, 0.005)))
    assert task.reward()[0] == pytest.approx(3 / 50)  # the corner is 0.005 lower in x and y, and the side ends at 0.075


@pytest.mark.parametrize(("name", "share"), [("sweeping-piles", 0.05), ("separating-piles-full", 0.09)])
def test_some_blocks_are_inside_before_anything_is_done(env: Environment, name: str, share: float) -> None:
    """The shares are those of the original's rule, by other code, when it was read: 5% and 9% on average over scenes.

    300 scenes without physics; squares are placed as in the simulator, on an empty table. The standard errors are about 0.006 and 0.009.
    """
    empty = np.zeros((320, 160), bool)

    class Empty(Table):
        def random_pose(self, size: tuple[float, float, float]) -> object:  # type: ignore[override]
            from cliport.sim.overhead import random_pose

            return random_pose(self.rng, empty, size)

    found = []
    for seed in range(300):
        task, table = make(name), Empty(seed=seed)
        task.reset(table)
        found.append(task.reward()[0])
    assert np.mean(found) == pytest.approx(share, abs=3 * np.std(found) / 300**0.5)
    assert np.std(found) / 300**0.5 < 0.012


def test_overlapping_blocks_come_to_rest_where_they_were_strewn(env: Environment) -> None:
    for seed in range(2):
        env.reset(make("sweeping-piles"), seed, observe=False)
        assert env.info["settled"]
        at = np.array([env.pose(body)[0] for body in env.objects["rigid"]])
        assert (np.abs(at[:, :2] - [0.5, 0.0]) < 0.15).all()  # pushed apart, not thrown
        assert ((at[:, 2] > 0.003) & (at[:, 2] < 0.03)).all()


def test_the_oracle_pushes_from_the_farthest_block_to_the_squares_middle(env: Environment) -> None:
    task = make("sweeping-piles")
    env.reset(task, 2, observe=False)
    (goal,) = task.goals
    square = goal.targets[0]
    away = {piece.body: float(np.linalg.norm(env.pose(piece.body)[0] - square[0])) for piece in goal.pieces}
    farthest = max(away, key=away.__getitem__)
    action = task.oracle(env).act()
    assert action is not None
    assert np.linalg.norm(action.pick[0][:2] - env.pose(farthest)[0][:2]) < 0.0075  # half a block's diagonal, and half a pixel
    assert np.linalg.norm(action.place[0][:2] - square[0][:2]) < 0.0075
    np.testing.assert_array_equal(action.place[1], UPRIGHT)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sweeping-piles", "separating-piles-full"])
def test_the_oracle_brings_all_blocks_into_the_square(env: Environment, name: str) -> None:
    """Slow: ten seconds an episode."""
    task = make(name, "test")
    episode = play(env, task, 0)
    assert episode.solved
    assert episode.actions <= 20
    square = task.goals[0].targets[0]
    inside = [np.abs(apply(inverse(square), env.pose(body)[0])[:2]).max() < 0.09 for body in env.objects["rigid"]]
    assert all(inside)
