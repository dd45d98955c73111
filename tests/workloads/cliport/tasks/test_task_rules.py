"""The rules of all tasks: how goals are scored, when an episode ends, and what the oracle does.

Expectations are the original's, read from cliport/cliport at commit 2be5c47: tasks/task.py and environments/environment.py.
"""

from __future__ import annotations

import numpy as np
import pytest
from task_table import Table

from cliport.sim.pixels import position_to_pixel
from cliport.sim.poses import Pose, apply, from_euler, inverse, multiply, pose, quaternion_zxy, yaw_of
from cliport.sim.shapes import box
from cliport.tasks.goal import ORIGIN, Goal, Piece, Zone, any_to_any, box_points, remainder
from cliport.tasks.task import Task

NOWHERE = (np.full(3, np.nan), np.full(4, np.nan))


class Scene(Task):
    """Two blocks and two places, then a third block and a zone."""

    def build(self, env: Table) -> None:  # type: ignore[override]
        self.blocks = [env.add(box(), from_euler((0.3, 0.1 * number, 0.02))) for number in range(3)]
        self.targets = [from_euler((0.5, y, 0.02)) for y in (-0.2, 0.2)]
        pieces = [Piece(body, np.pi / 2) for body in self.blocks[:2]]
        self.goals.append(Goal(pieces, self.targets, any_to_any(pieces, self.targets), 0.5, "put two blocks"))
        zone = Zone(from_euler((0.6, 0, 0), yaw=np.pi / 4), (0.2, 0.1))
        points = {self.blocks[2]: np.array([[-0.01, 0, 0], [0.01, 0, 0]])}
        self.goals.append(
            Goal([Piece(self.blocks[2])], [zone.middle], np.ones((1, 1), bool), 0.5, "push one block", zone=zone, points=points)
        )


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture
def scene(table: Table) -> Scene:
    made = Scene("scene", "train", "")
    made.reset(table)
    return made


def shifted(target: Pose, x: float = 0.0, y: float = 0.0, z: float = 0.0, yaw: float = 0.0, roll: float = 0.0) -> Pose:
    return from_euler(target[0] + [x, y, z], yaw=yaw, roll=roll)


def test_a_goal_pays_by_its_pieces_in_place_and_the_next_instruction_follows(scene: Scene, table: Table) -> None:
    assert scene.reward() == (0.0, {"goals": 0})
    assert scene.language() == "put two blocks"
    table.poses[scene.blocks[0]] = scene.targets[1]
    assert scene.reward()[0] == 0.25
    table.poses[scene.blocks[1]] = scene.targets[0]
    assert scene.reward() == (0.25, {"goals": 1})
    assert scene.language() == "push one block"
    assert not scene.done()
    table.poses[scene.blocks[2]] = from_euler((0.6, 0.0, 0.02))
    assert scene.reward()[0] == 0.5
    assert scene.done()
    assert scene.goal is None
    assert scene.language() == "task completed."
    assert scene.lang_goals == ["put two blocks", "push one block"]
    assert scene.reward() == (0.0, {"goals": 2})


def test_one_goal_completes_at_most_and_the_next_is_scored_in_the_next_step(scene: Scene, table: Table) -> None:
    for body, target in zip(scene.blocks, [*scene.targets, from_euler((0.6, 0.0, 0.02))], strict=True):
        table.poses[body] = target
    assert scene.reward() == (0.5, {"goals": 1})
    assert not scene.done()
    assert scene.reward() == (0.5, {"goals": 2})
    assert scene.done()


def test_what_is_undone_is_paid_back_until_its_goal_is_complete(scene: Scene, table: Table) -> None:
    table.poses[scene.blocks[0]] = scene.targets[0]
    assert scene.reward()[0] == 0.25
    table.poses[scene.blocks[0]] = from_euler((0.3, 0.3, 0.02))
    assert scene.reward()[0] == -0.25
    for body, target in zip(scene.blocks, scene.targets, strict=False):
        table.poses[body] = target
    assert scene.reward() == (0.5, {"goals": 1})
    table.poses[scene.blocks[0]] = from_euler((0.3, 0.3, 0.02))
    assert scene.reward() == (0.0, {"goals": 1})


def test_several_pieces_count_at_one_target(scene: Scene, table: Table) -> None:
    for body in scene.blocks[:2]:
        table.poses[body] = scene.targets[0]
    assert scene.reward() == (0.5, {"goals": 1})


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ({"x": 0.009}, True),
        ({"x": 0.011}, False),
        ({"x": 0.006, "y": 0.006}, True),
        ({"x": 0.008, "y": 0.008}, False),  # each is within 0.01, but not the distance
        ({"z": 0.3}, True),
        ({"z": -0.3}, True),
        ({"roll": np.pi}, True),
        ({"yaw": np.radians(14)}, True),
        ({"yaw": np.radians(16)}, False),
        ({"yaw": np.radians(90 + 14)}, True),
        ({"yaw": np.radians(180 - 14)}, True),
        ({"yaw": np.radians(45)}, False),
    ],
)
@pytest.mark.parametrize("sixdof", [False, True])
def test_a_piece_is_at_a_target_by_distance_and_yaw_alone(
    scene: Scene, table: Table, change: dict[str, float], counts: bool, sixdof: bool
) -> None:
    scene.sixdof = sixdof
    table.poses[scene.blocks[0]] = shifted(scene.targets[0], **change)
    assert (scene.reward()[0] > 0) == counts


def test_a_turn_is_counted_up_to_its_symmetry() -> None:
    assert remainder(np.radians(350), 2 * np.pi) == pytest.approx(np.radians(-10))
    assert remainder(np.radians(100), np.pi / 2) == pytest.approx(np.radians(10))
    assert remainder(1.2, 0.0) == 0.0


def test_tolerances_are_the_tasks(scene: Scene, table: Table) -> None:
    scene.position_tolerance, scene.angle_tolerance = 0.05, float(np.radians(30))
    table.poses[scene.blocks[0]] = shifted(scene.targets[0], x=0.04, yaw=np.radians(29))
    assert scene.reward()[0] == 0.25


@pytest.mark.parametrize(("reward", "inside", "complete"), [(1.0, 98, False), (1.0, 100, True), (1 / 6, 95, True), (1 / 6, 93, False)])
def test_a_goal_is_complete_within_a_hundredth_of_its_reward_however_small_that_is(
    table: Table, reward: float, inside: int, complete: bool
) -> None:
    """So 94.1 % of a goal of 1/6 are enough, and 98 % of one of 1 are not."""
    body = table.add(box(), from_euler((0.5, 0, 0)))
    points = {body: np.array([[0.0, 0, 0]] * inside + [[0.3, 0, 0]] * (100 - inside))}
    zone = Zone(pose((0.5, 0, 0)), (0.1, 0.1))
    made = Scene("scene", "train", "")
    made.env = table
    made.goals = [Goal([Piece(body)], [zone.middle], np.ones((1, 1), bool), reward, "", zone=zone, points=points)] * 2
    assert made.reward() == (pytest.approx(reward * inside / 100), {"goals": int(complete)})
    if complete:  # it is then paid as a whole, with the next step
        table.poses[body] = from_euler((0.3, 0.4, 0))
        assert made.reward()[0] == pytest.approx(reward - reward * inside / 100)


def test_an_episode_ends_above_99_hundredths_also_with_a_goal_left(scene: Scene, table: Table) -> None:
    scene.earned, scene.finished = 0.75, 1
    table.poses[scene.blocks[2]] = from_euler((0.6, 0.0, 0.02))
    scene.goals.append(scene.goals[0])
    scene.reward()
    assert scene.goal is not None
    assert scene.paid > 0.99
    assert scene.done()


def test_a_zone_is_turned_with_its_pose_and_ends_at_its_sides_and_its_top() -> None:
    zone = Zone(from_euler((0.5, 0.0, 0.0), yaw=np.pi / 2), (0.2, 0.1), top=0.08)
    points = np.array([[0.5, 0.09, 0.07], [0.5, 0.09, 0.09], [0.5, 0.09, -9.0], [0.59, 0.0, 0.0], [0.54, 0.0, 0.0], [0.5, 0.11, 0.0]])
    assert zone.holds(points).tolist() == [True, False, True, False, True, False]
    raised = Zone(pose((0.5, 0, 0.05)), (0.2, 0.2), top=0.08)
    assert raised.holds(np.array([[0.5, 0, 0.12], [0.5, 0, 0.14]])).tolist() == [True, False]
    assert Zone(pose(), (1, 1)).holds(np.array([[0, 0, 0.29], [0, 0, 0.31], [0.5, 0, 0], [0, -0.5, 0]])).tolist() == [True, *[False] * 3]


def test_half_of_the_points_in_the_zone_is_half_of_the_reward(scene: Scene, table: Table) -> None:
    for body, target in zip(scene.blocks, scene.targets, strict=False):
        table.poses[body] = target
    scene.reward()
    zone = scene.goals[1].zone
    assert zone is not None
    table.poses[scene.blocks[2]] = multiply(zone.middle, pose((0.1, 0, 0)))
    assert scene.reward()[0] == 0.25


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((0.01, 0.01, 0.01), [[-0.005, -0.005, -0.005]]),
        ((0.04, 0.01, 0.01), [[-0.02, -0.005, -0.005], [0.0, -0.005, -0.005]]),
        ((0.01, 0.05, 0.01), [[-0.005, -0.025, -0.005], [-0.005, -0.005, -0.005], [-0.005, 0.015, -0.005]]),
    ],
)
def test_the_points_of_a_box_start_at_its_lower_corner_and_leave_its_upper_faces_out(
    size: tuple[float, float, float], expected: list[list[float]]
) -> None:
    np.testing.assert_allclose(box_points(size), expected, atol=1e-12)
    assert ORIGIN.tolist() == [[0, 0, 0]]


def test_a_body_whose_pose_is_no_number_is_nowhere(scene: Scene, table: Table) -> None:
    for body in scene.blocks:
        table.poses[body] = NOWHERE
    assert scene.reward() == (0.0, {"goals": 0})
    for body, target in zip(scene.blocks, scene.targets, strict=False):
        table.poses[body] = target
    scene.reward()
    assert scene.reward() == (0.0, {"goals": 1})
    for symmetry in (0.0, np.pi):
        assert not scene.in_place(NOWHERE, scene.targets[0], symmetry)
    assert not scene.in_place((scene.targets[0][0], NOWHERE[1]), scene.targets[0], np.pi)


def test_a_goal_without_pieces_or_points_is_refused() -> None:
    with pytest.raises(ValueError, match="a goal needs pieces, and with a zone points of them"):
        Goal([], [pose()], np.ones((0, 1), bool), 1.0, "pack nothing")
    with pytest.raises(ValueError, match="pack it"):
        Goal([Piece(1)], [pose()], np.ones((1, 1), bool), 1.0, "pack it", zone=Zone(pose(), (1, 1)), points={1: np.zeros((0, 3))})


# The oracle


def test_the_oracle_moves_the_piece_that_is_farthest_from_its_nearest_free_target(scene: Scene, table: Table) -> None:
    near, far = scene.blocks[:2]
    table.poses[near], table.poses[far] = from_euler((0.5, 0.1, 0.02)), from_euler((0.3, -0.4, 0.02))
    goal = scene.goals[0]
    moves = scene.oracle(table).moves(goal)
    assert [piece.body for piece, _ in moves] == [far, near]
    assert [target[0].tolist() for _, target in moves] == [scene.targets[0][0].tolist(), scene.targets[1][0].tolist()]
    table.poses[near] = shifted(scene.targets[0], x=0.005)  # in place, so that target is taken
    ((piece, target),) = scene.oracle(table).moves(goal)
    assert (piece.body, target[0].tolist()) == (far, scene.targets[1][0].tolist())


def test_with_shared_targets_the_oracle_also_moves_what_is_in_place(scene: Scene, table: Table) -> None:
    pieces = [Piece(body, 0.0) for body in scene.blocks[:2]]
    table.poses[scene.blocks[0]] = shifted(scene.targets[0], x=0.005)
    goal = Goal(pieces, scene.targets[:1], any_to_any(pieces, scene.targets[:1]), 1.0, "", replace=True)
    assert [piece.body for piece, _ in scene.oracle(table).moves(goal)] == [scene.blocks[1], scene.blocks[0]]


def test_the_oracle_takes_the_first_piece_that_can_be_seen_and_gives_up_if_there_is_none(scene: Scene, table: Table) -> None:
    near, far = scene.blocks[:2]
    table.poses[near], table.poses[far] = from_euler((0.5, 0.1, 0.02)), from_euler((0.3, -0.4, 0.02))
    table.objects["rigid"].remove(far)  # so that `look_down` does not show it
    action = scene.oracle(table).act()
    assert action is not None
    assert np.abs(action.pick[0][:2] - table.pose(near)[0][:2]).max() < 0.015
    table.objects["rigid"].remove(near)
    assert scene.oracle(table).act() is None


def test_any_visible_pixel_of_the_piece_is_equally_likely(scene: Scene, table: Table) -> None:
    """The stand-in for the simulator shows it as 9 x 9 pixels."""
    near, far = scene.blocks[:2]
    table.poses[near] = from_euler((0.5, 0.1, 0.02))
    table.poses[far] = from_euler((0.3, -0.4, 0.02))
    middle = position_to_pixel((0.3, -0.4))
    oracle = scene.oracle(table)
    counts = np.zeros((9, 9), int)
    for _ in range(800):
        action = oracle.act()
        assert action is not None
        row, column = position_to_pixel(action.pick[0])
        counts[row - middle[0] + 4, column - middle[1] + 4] += 1
    assert counts.min() > 0
    assert counts.max() < 30


@pytest.mark.parametrize("rotations", [True, False])
def test_the_place_keeps_the_piece_as_it_is_held_and_turns_it_by_its_yaw_alone(scene: Scene, table: Table, rotations: bool) -> None:
    here, target = pose((0.3, 0.1, 0.02), quaternion_zxy(0.3, 0.0, 1.0)), from_euler((0.5, 0.2, 0.02), yaw=-2.5)
    table.poses[scene.blocks[0]] = here
    tip = np.array([0.31, 0.09, 0.04])
    action = scene.oracle(table).carry(Piece(scene.blocks[0], np.pi / 2), target, tip, rotations)
    level = from_euler(here[0], yaw=1.0)
    expected = apply(multiply(target, inverse(level)), tip)  # also for a square, for which a smaller turn would do
    assert action.place[0] == pytest.approx(expected)
    assert yaw_of(action.place) == pytest.approx(remainder(-3.5, 2 * np.pi) if rotations else 0.0)
    assert action.pick[0] == pytest.approx(tip)
    assert action.pick[1] == pytest.approx([0, 0, 0, 1])


def test_in_six_degrees_of_freedom_the_place_has_the_whole_rotation(scene: Scene, table: Table) -> None:
    scene.sixdof = True
    here, target = from_euler((0.3, 0.1, 0.02), yaw=1.0), from_euler((0.5, 0.2, 0.1), roll=0.4, pitch=-0.3, yaw=-2.5)
    table.poses[scene.blocks[0]] = here
    action = scene.oracle(table).carry(Piece(scene.blocks[0]), target, np.array([0.31, 0.09, 0.04]))
    moved = multiply(action.place, multiply(inverse(action.pick), here))
    assert moved[0] == pytest.approx(target[0])
    assert abs(moved[1] @ target[1]) == pytest.approx(1)
