"""Oracles choose sensible actions, and the actions solve every task."""

from __future__ import annotations

import pytest
from task_table import Table

from cliport.sim.action import Action
from cliport.sim.pixels import position_to_pixel
from cliport.sim.poses import inverse, multiply
from cliport.tasks import make


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


def test_there_is_nothing_to_do_when_all_is_done_or_nothing_is_seen() -> None:
    task, table = make("place-red-in-green"), Table()
    task.reset(table)
    table.objects["rigid"] = []
    assert task.oracle(table).act() is None
    for piece, target in zip(task.goals[0].pieces, task.goals[0].targets, strict=False):
        table.poses[piece.body] = target
    task.reward()
    assert task.oracle(table).act() is None
