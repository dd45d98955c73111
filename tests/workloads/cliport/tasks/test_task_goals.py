"""What goals are worth: rewards follow from poses alone."""

from __future__ import annotations

import numpy as np
import pytest
from task_table import Table

from cliport.errors import NoRoomError
from cliport.sim.poses import from_euler
from cliport.sim.shapes import box
from cliport.tasks import TaskError, make, names
from cliport.tasks.goal import Goal, Piece
from cliport.tasks.hanoi import moves
from cliport.tasks.task import Task


class Scene(Task):
    """One block and its place."""

    def build(self, env: Table) -> None:  # type: ignore[override]
        piece, target = Piece(env.add(box(), from_euler((0.3, 0.0, 0.02)))), from_euler((0.5, 0.2, 0.02))
        self.goals.append(Goal([piece], [target], np.ones((1, 1), bool), 1.0, "put the block"))


def test_a_scene_that_does_not_fit_is_cleared_and_drawn_again() -> None:
    class Tight(Scene):
        def build(self, env: Table) -> None:  # type: ignore[override]
            super().build(env)
            env.room += 1
            if env.rng.uniform() < 0.8:
                raise NoRoomError("full")

    table, task = Table(seed=3), Tight("tight", "train", "")
    task.reset(table)
    assert len(task.goals) == 1
    assert sum(map(len, table.objects.values())) == 1


def test_a_scene_that_never_fits_is_an_error() -> None:
    task = make("stack-block-pyramid")
    with pytest.raises(TaskError, match="stack-block-pyramid: none of 20 scenes drawn with seed 5 fits on the table"):
        task.reset(Table(seed=5, room=3))


@pytest.mark.parametrize("name", names())
def test_every_task_says_what_it_wants_and_pays_one_in_all(name: str) -> None:
    task, table = make(name, "test"), Table(seed=1)
    task.reset(table)
    assert all(task.lang_goals)
    assert not any("{" in words for words in task.lang_goals)
    assert task.ee == ("spatula" if "piles" in name else "suction")
    for goal in task.goals:
        assert goal.matches.shape == (len(goal.pieces), len(goal.targets))
        assert goal.matches.any(1).all()
        assert all(piece.body in table.poses for piece in goal.pieces)
    if name != "palletizing-boxes":  # its goals come one by one
        assert sum(goal.reward for goal in task.goals) == pytest.approx(1)
    assert not task.done()


@pytest.mark.parametrize("name", names())
def test_a_scene_is_a_function_of_its_seed(name: str) -> None:
    def made(seed: int, before: int = 0) -> list[object]:
        for other in range(before):
            make(name).reset(Table(seed=100 + other))
        task, table = make(name), Table(seed=seed)
        task.reset(table)
        return [task.lang_goals, table.colors, [np.round(np.concatenate(p), 9).tolist() for p in table.poses.values()]]

    assert made(1) == made(1, before=2)
    assert made(1) != made(2)


def test_unseen_tasks_show_training_colours_in_training_only() -> None:
    def said(name: str, mode: str) -> set[str]:
        found: set[str] = set()
        for seed in range(12):
            task = make(name, mode)
            task.reset(Table(seed=seed))
            found |= {word for words in task.lang_goals for word in words.replace(",", "").split()}
        return found

    new = {"orange", "purple", "pink", "white"}
    for family in ("put-block-in-bowl", "stack-block-pyramid-seq", "separating-piles", "towers-of-hanoi-seq", "assembling-kits-seq"):
        assert not said(f"{family}-seen-colors", "test") & new
        assert not said(f"{family}-unseen-colors", "train") & new
        assert said(f"{family}-unseen-colors", "test") & new


def test_instructions_read_like_the_benchmarks() -> None:
    def first(name: str) -> str:
        task = make(name)
        task.reset(Table(seed=0))
        return task.language()

    assert first("stack-block-pyramid") == "make the bottom row with the green, blue and purple blocks"
    assert first("stack-block-pyramid-seq-seen-colors").endswith(" block on the lightest brown block")
    assert first("towers-of-hanoi-seq-full").endswith(" ring to the darker brown side")
    assert first("align-rope").startswith("align the rope from ")
    assert first("separating-piles-full").startswith("push the pile of ")
    assert first("packing-seen-google-objects-group").endswith(" objects in the brown box")


def test_hanoi_is_solved_in_seven_legal_moves() -> None:
    towers = [[0, 1, 2], [], []]
    solution = list(moves(3, 0, 2))
    for ring, rod in solution:
        tower = next(tower for tower in towers if ring in tower)
        assert tower.pop() == ring
        assert all(below < ring for below in towers[rod])
        towers[rod].append(ring)
    assert len(solution) == 7
    assert towers == [[], [], [0, 1, 2]]
