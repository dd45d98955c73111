"""The rules of the rope tasks, typed from what cliport/cliport at 2be5c47 says: tasks/manipulating_rope.py, tasks/align_rope.py and the
square's template in google-research/ravens (assets/square/square-template.urdf).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from task_table import Table

from cliport.sim.environment import Environment
from cliport.sim.poses import apply, from_euler, inverse, yaw_of
from cliport.tasks import make
from cliport.tasks.colors import COLORS
from cliport.tasks.oracle_table import play
from cliport.tasks.task import Task

LENGTH = 0.2828427
LINES = {
    "front left tip to front right tip": ((0.5, 0.5), (-0.5, 0.5)),
    "front right tip to back right corner": ((0.5, 0.5), (0.5, -0.5)),
    "front left tip to back left corner": ((-0.5, 0.5), (-0.5, -0.5)),
    "back right corner to back left corner": ((-0.5, -0.5), (0.5, -0.5)),
}


@pytest.fixture(scope="module")
def env() -> Iterator[Environment]:
    with Environment(renderer="tiny") as made:
        yield made


def scene(name: str, seed: int) -> tuple[Task, Table]:
    task, table = make(name), Table(seed=seed)
    task.reset(table)
    return task, table


def beads(table: Table) -> list[int]:
    return table.objects["deformable"]


def in_square(task: Task, table: Table) -> np.ndarray:
    """The targets (20, 2) in the square's frame."""
    (square,) = table.objects["fixed"]
    return apply(inverse(table.poses[square]), [target[0] for target in task.goals[0].targets])[:, :2]


def line(start: tuple[float, float], end: tuple[float, float]) -> np.ndarray:
    """20 evenly spaced points: half of a pitch of 0.01414 in from the corners."""
    a, b = np.array(start) * LENGTH, np.array(end) * LENGTH
    return a + (np.arange(20)[:, None] + 0.5) / 20 * (b - a)


def test_the_rope_is_a_stack_of_twenty_boxes_that_look_like_balls() -> None:
    for seed in range(20):
        _, table = scene("manipulating-rope", seed)
        assert len(beads(table)) == 20
        at = np.array([table.poses[body][0] for body in beads(table)])
        np.testing.assert_allclose(np.diff(at, axis=0), [[0, 0, 0.0141421]] * 19, atol=1e-6)
        assert at[0, 2] == pytest.approx(0.05 + 0.0141421)
        shapes = [table.shapes[body] for body in beads(table)]
        assert {shape.mass for shape in shapes} == {0.1}
        assert {(shape.solids[0].kind, shape.solids[0].size) for shape in shapes} == {("box", (0.01, 0.01, 0.01))}
        np.testing.assert_allclose(shapes[0].size, 0.015, atol=1e-4)
        colors = [table.colors[body] for body in beads(table)]
        assert set(colors[1:-1]) == {COLORS["red"]}
        assert min(*colors[0], *colors[-1]) > 0.8


def test_the_square_has_three_lines_and_is_open_at_its_upper_side() -> None:
    for seed in range(20):
        _, table = scene("manipulating-rope", seed)
        (square,) = table.objects["fixed"]
        shape = table.shapes[square]
        assert not shape.solids  # painted
        assert shape.color == (0, 1, 0)
        np.testing.assert_allclose(shape.size[:2], LENGTH, atol=1e-6)
        upper = shape.vertices[shape.vertices[:, 1] > LENGTH / 2 - 0.02]
        assert (np.abs(upper[:, 0]) >= LENGTH / 2 - 0.01 - 1e-9).all()
        lower = shape.vertices[shape.vertices[:, 1] < -LENGTH / 2 + 0.02]
        assert np.ptp(lower[:, 0]) == pytest.approx(LENGTH)


def test_manipulating_rope_completes_the_square() -> None:
    for seed in range(20):
        task, table = scene("manipulating-rope", seed)
        np.testing.assert_allclose(in_square(task, table), line((0.5, 0.5), (-0.5, 0.5)), atol=1e-6)
        assert task.lang_goals == ["manipulate the rope to complete the square"]
        assert task.max_steps == 20
        assert task.position_tolerance == 0.02


def test_align_rope_asks_for_one_of_four_lines_with_even_chance() -> None:
    asked: Counter[str] = Counter()
    for seed in range(200):
        task, table = scene("align-rope", seed)
        words = task.language().removeprefix("align the rope from ")
        np.testing.assert_allclose(in_square(task, table), line(*LINES[words]), atol=1e-6)
        asked[words] += 1
    assert set(asked) == set(LINES)
    assert min(asked.values()) > 30  # of 50 on average; the standard deviation is 6


def test_a_bead_counts_at_its_point_from_either_end_each_for_itself() -> None:
    task, table = scene("align-rope", 0)
    (goal,) = task.goals
    assert (goal.replace, goal.rotations) == (False, False)
    for body in beads(table):
        table.poses[body] = from_euler((0, 0, 0))
    for bead, point in ((3, 3), (4, 15), (5, 14), (6, 7), (7, 9), (8, 12)):
        table.poses[beads(table)[bead]] = from_euler(goal.targets[point][0] + [0, 0, 0.1], yaw=2.0, roll=1.0)
    # 3 at 3, 4 at 15 = 19 - 4 and 5 at 14 = 19 - 5 are in place; 7 beside 6 is 0.0141 away, within 0.02; 7 at 9 is 0.0283 away, and
    # 8 at 12 is one from 11 = 19 - 8.
    assert task.reward()[0] == pytest.approx(5 / 20)


def test_the_rope_falls_into_a_heap_and_holds_together(env: Environment) -> None:
    for seed in range(4):
        task = make("manipulating-rope")
        env.reset(task, seed, observe=False)
        at = np.array([env.pose(body)[0] for body in env.objects["deformable"]])
        assert env.info["settled"]
        assert env.world.steps >= 480
        assert np.ptp(at[:, :2], axis=0).max() < 0.15  # it is 0.27 long
        assert at[:, 2].max() > 0.012  # and lies on itself
        assert (at[:, 2] > 0.003).all()
        np.testing.assert_allclose(np.linalg.norm(np.diff(at, axis=0), axis=1), 0.0141421, atol=0.003)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["manipulating-rope", "align-rope"])
def test_the_oracle_lays_the_rope_within_its_steps(env: Environment, name: str) -> None:
    """Slow: ten seconds an episode."""
    task = make(name, "test")
    episode = play(env, task, 0)
    assert episode.solved
    assert episode.actions <= 20


def test_the_oracle_places_with_yaw_0(env: Environment) -> None:
    task = make("align-rope")
    env.reset(task, 1, observe=False)
    action = task.oracle(env).act()
    assert action is not None
    assert yaw_of(action.place) == 0
    assert task.lift == 0.02
