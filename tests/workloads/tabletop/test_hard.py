"""The hard form: finding what stands out in colour is no longer enough, and labels stay exact."""

from __future__ import annotations

import numpy as np
import pytest

from tabletop.camera import Camera
from tabletop.clutter import BOARDS, PATTERNS, PIECES, Pattern, draw_pieces
from tabletop.dataset import client
from tabletop.scene import Scene, make_scene
from tabletop.shapes import COLOURS, SHAPES


def scenes(hard: bool) -> list[Scene]:
    size = {"objects": (3, 6), "camera": (96, 2), "aspect": 4 / 3, "shapes": tuple(SHAPES), "varied": True}
    return [make_scene(client(), [4, seed], heldout=False, hard=hard, **size) for seed in range(10)]


def colour_threshold(scene: Scene) -> float:
    """Intersection over union of the objects and of what has another chromaticity than the border of the image, at the best threshold."""
    image = scene.photograph.image.astype(float)
    hue = image / image.sum(2, keepdims=True).clip(1)
    border = np.concatenate([hue[0], hue[-1], hue[:, 0], hue[:, -1]])
    distance = np.abs(hue - np.median(border, 0)).sum(2)
    objects = scene.photograph.mask > 0
    found = [distance > limit for limit in np.linspace(0.01, 0.5, 30)]
    return max(float((each & objects).sum() / (each | objects).sum()) for each in found)


def test_colour_finds_the_objects_of_plain_scenes_only() -> None:
    assert np.mean([colour_threshold(scene) for scene in scenes(hard=False)]) > 0.9
    assert np.mean([colour_threshold(scene) for scene in scenes(hard=True)]) < 0.75


def test_clutter_is_seen_but_belongs_to_no_class() -> None:
    for hard, plain in zip(scenes(hard=True), scenes(hard=False), strict=True):
        numbers = {thing.number for thing in hard.things}
        assert set(np.unique(hard.photograph.mask)) == {0, *numbers}
        assert plain.camera.pattern is None
        assert hard.camera.pattern is not None


def test_objects_are_hidden_by_boards_in_part() -> None:
    """The same poses without clutter show more of some objects, and no less of any."""
    import pybullet

    from tabletop.scene import drop, empty_world

    shares = []
    for scene in scenes(hard=True):
        table = empty_world(client())
        bodies = {}
        for thing in scene.things:
            body = drop(client(), thing.kind, np.array(thing.position), 0.0, False, COLOURS[thing.kind.colour])
            pybullet.resetBasePositionAndOrientation(body, thing.position, thing.orientation, physicsClientId=client())
            bodies[body] = thing.number
        pybullet.removeBody(table, physicsClientId=client())
        free = scene.camera.photograph(client(), bodies).mask
        shares += [(scene.photograph.mask == number).sum() / (free == number).sum() for number in bodies.values()]
    assert max(shares) == pytest.approx(1, abs=0.02)
    assert min(shares) < 0.9


def test_pieces_and_boards_keep_apart_from_everything() -> None:
    reach = np.array([0.2, 0.17])
    taken = [(0.0, 0.0, 0.06), (0.1, 0.1, 0.03)]
    counts = []
    for seed in range(20):
        pieces = draw_pieces(np.random.default_rng(seed), taken, reach)
        circles = [*taken, *((*piece.place[:2], np.hypot(*piece.size[:2]) / 2) for piece in pieces)]
        for number, (x, y, radius) in enumerate(circles):
            assert all(np.hypot(x - left, y - top) > radius + other for left, top, other in circles[:number])
        counts.append(len(pieces))
    assert min(counts) >= PIECES[0]
    assert max(counts) <= PIECES[1] + BOARDS[1]


@pytest.mark.parametrize("kind", PATTERNS)
def test_a_pattern_mixes_two_colours(kind: str) -> None:
    points = np.stack(np.meshgrid(np.linspace(-0.3, 0.3, 120), np.linspace(-0.3, 0.3, 120)), -1)
    share = Pattern(kind, (1.0, 0.0, 0.0), 0.05, 0.3).share(points)
    assert share.shape == (120, 120)
    assert 0 <= share.min() < 0.1
    assert 0.9 < share.max() <= 1
    assert 0.1 < share.mean() < 0.9


def test_every_kind_of_pattern_is_drawn() -> None:
    drawn = [Camera.draw(np.random.default_rng(seed), 32, 1, patterned=True).pattern for seed in range(40)]
    assert {pattern.kind for pattern in drawn if pattern} == set(PATTERNS)
