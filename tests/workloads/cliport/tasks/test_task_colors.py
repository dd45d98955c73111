"""Which colours and shapes are shown when."""

from __future__ import annotations

import numpy as np
import pytest

from cliport.sim.shapes.kits import ROUND, TURNS, figure
from cliport.tasks import TaskError
from cliport.tasks.colors import ALL, COLORS, EVALUATION, TRAIN, draw, palette
from cliport.tasks.kits import NAMES, shapes, symmetry


def test_the_splits_are_the_benchmarks() -> None:
    assert set(TRAIN) == {"blue", "red", "green", "yellow", "brown", "gray", "cyan"}
    assert set(EVALUATION) == {"blue", "red", "green", "orange", "purple", "pink", "white"}
    assert set(ALL) == set(TRAIN) | set(EVALUATION) <= set(COLORS)


def test_unseen_colours_appear_only_after_training() -> None:
    assert palette("seen", "train") == palette("seen", "test") == palette("unseen", "train") == TRAIN
    assert palette("unseen", "val") == palette("unseen", "test") == EVALUATION
    assert palette("full", "train") == palette("full", "test") == ALL


def test_a_draw_depends_on_its_generator_alone_and_leaves_the_lists_alone() -> None:
    before = tuple(ALL)
    assert draw(np.random.default_rng(3), ALL, 5) == draw(np.random.default_rng(3), ALL, 5)
    assert len(set(draw(np.random.default_rng(4), ALL, len(ALL)))) == len(ALL)
    assert before == ALL


def test_an_unknown_split_is_answered_with_the_list() -> None:
    with pytest.raises(TaskError, match="unseen"):
        palette("sen", "train")


def test_kits_show_six_other_shapes_after_training() -> None:
    assert len(NAMES) == 20
    assert len(shapes("train")) == 14
    assert shapes("val") == shapes("test")
    assert not set(shapes("train")) & set(shapes("test"))


def test_symmetries_are_those_of_the_outlines() -> None:
    rng = np.random.default_rng(0)
    for name in NAMES:
        polygons = figure(name, 1.0)
        points = rng.uniform(-0.6, 0.6, (4000, 2))
        turn = 0.7 if name in ROUND else symmetry(name)
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        differing = inside(polygons, points) != inside(polygons, points @ rotation)
        assert differing.mean() < 0.03, name
        if name not in ROUND:
            half = np.array([[np.cos(turn / 2), -np.sin(turn / 2)], [np.sin(turn / 2), np.cos(turn / 2)]])
            assert (inside(polygons, points) != inside(polygons, points @ half)).mean() > 0.03, name
    assert set(TURNS) | set(ROUND) < set(NAMES)


def inside(polygons: tuple[np.ndarray, ...], points: np.ndarray) -> np.ndarray:
    """Whether points (N, 2) are in a union of convex counter-clockwise polygons."""
    found = np.zeros(len(points), bool)
    for polygon in polygons:
        sides = np.roll(polygon, -1, axis=0) - polygon
        offsets = points[:, None] - polygon
        found |= (sides[:, 0] * offsets[..., 1] - sides[:, 1] * offsets[..., 0] >= -1e-9).all(1)
    return found
