"""Oracles choose sensible actions, and the actions solve every task."""

from __future__ import annotations

import numpy as np
import pytest
from task_table import Table

from cliport.sim.action import Action
from cliport.sim.pixels import position_to_pixel
from cliport.sim.poses import apply, from_euler, inverse, multiply, yaw_of
from cliport.tasks import make
from cliport.tasks.goal import Zone
from cliport.tasks.oracle import Push


def carried(table: Table, body: int, action: Action) -> None:
    """Move a body as a gripper that holds it rigidly would."""
    held = multiply(inverse(action.pick), table.poses[body])
    table.poses[body] = multiply(action.place, held)


@pytest.mark.parametrize("name", ["put-block-in-bowl-full", "assembling-kits", "towers-of-hanoi", "packing-boxes", "align-box-corner"])
def test_actions_carried_out_exactly_solve_the_task(name: str) -> None:
    for seed in range(5):
        task, table = make(name), Table(seed=seed)
        task.reset(table)
        oracle, total = task.oracle(table), 0.0
        while (action := oracle.act()) is not None:
            _, bodies = table.look_down()
            carried(table, int(bodies[position_to_pixel(action.pick[0])]), action)
            total += task.reward()[0]
        assert total == pytest.approx(1)
        assert task.done()


def test_the_pick_is_on_the_piece_and_the_turn_is_the_smallest_that_looks_right() -> None:
    for seed in range(10):
        task, table = make("stack-block-pyramid-seq-full"), Table(seed=seed)
        task.reset(table)
        action = task.oracle(table).act()
        piece = task.goal.pieces[0]
        assert np.abs(action.pick[0] - table.pose(piece.body)[0])[:2].max() < 0.0145
        assert abs(yaw_of(action.place)) <= np.pi / 4 + 1e-9


def test_there_is_nothing_to_do_when_all_is_done_or_nothing_is_seen() -> None:
    task, table = make("place-red-in-green"), Table()
    task.reset(table)
    table.objects["rigid"] = []
    assert task.oracle(table).act() is None
    for piece, target in zip(task.goals[0].pieces, task.goals[0].targets, strict=False):
        table.poses[piece.body] = target
    task.reward()
    assert task.oracle(table).act() is None


def pushing() -> Push:
    task, table = make("sweeping-piles"), Table()
    task.reset(table)
    return task.oracle(table)


def test_the_model_of_a_push_moves_what_is_in_its_way_into_a_row() -> None:
    oracle = pushing()
    ahead = np.array([[0.05, 0.1, 0.11, 0.3, 0.1, -0.1]])
    aside = np.array([[0.0, 0.0, 0.0, 0.0, 0.2, 0.0]])
    moved = oracle.pushed(ahead, aside, np.array([0.2]))
    row = 0.2 + oracle.block * np.array([0.5, 1.5, 2.5])
    np.testing.assert_allclose(moved, [[*row, 0.3, 0.1, -0.1]])


def test_pushes_stay_in_the_workspace_and_begin_behind_the_blocks_in_their_way() -> None:
    oracle = pushing()
    zone = Zone(from_euler((0.6, 0.3, 0), yaw=0.4), (0.12, 0.12))
    outside = np.random.default_rng(0).uniform([0.4, -0.1], [0.6, 0.1], (40, 2))
    starts, ends = oracle.candidates(zone, outside)
    assert len(starts) > 50
    for points in (starts, ends):
        assert ((points > [0.25, -0.5]) & (points < [0.75, 0.5])).all()
    along = (ends - starts) / np.linalg.norm(ends - starts, axis=1, keepdims=True)
    relative = outside[None] - starts[:, None]
    ahead = np.einsum("mnk,mk->mn", relative, along)
    aside = np.einsum("mnk,mk->mn", relative, np.stack([-along[:, 1], along[:, 0]], 1))
    assert ahead[np.abs(aside) < oracle.blade / 2 - 1e-9].min() >= oracle.reach - 1e-9


def test_the_chosen_push_brings_blocks_closer_by_the_model() -> None:
    oracle = pushing()
    goal = oracle.task.goal
    points = np.array([oracle.env.pose(piece.body)[0][:2] for piece in goal.pieces])
    starts, ends = oracle.candidates(goal.zone, points)
    values = oracle.values(goal.zone, points, starts, ends)
    own = apply(inverse(goal.zone.middle), np.column_stack([points, np.zeros(len(points))]))[:, :2]
    now = -np.linalg.norm(np.maximum(np.abs(own) - 0.06 + oracle.block / 2, 0), axis=1).mean()
    assert values.max() > now
