"""What is concluded from a scene follows from where its things are."""

from __future__ import annotations

import numpy as np
import pybullet
import pytest

from tabletop.camera import Camera, Photograph
from tabletop.dataset import client
from tabletop.deduction import observations
from tabletop.scene import Kind, Scene, Thing, make_scene
from tabletop.shapes import SHAPES, SIZES

UPRIGHT = (0.0, 0.0, 0.0, 1.0)
FALLEN = (np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5))
INVERTED = (1.0, 0.0, 0.0, 0.0)
CAMERA = Camera(0.0, -45.0, 0.8, (0.0, 0.0, 1.6), (0.5, 0.5, 0.5), 64, 1)


def scene(*things: tuple[str, str, tuple[float, float, float], tuple[float, ...]], size: str = "small") -> Scene:
    """A scene of (colour, shape, position, orientation)."""
    blank = Photograph(np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.uint8))
    return Scene(tuple(Thing(n, Kind(c, s, size), place, turn) for n, (c, s, place, turn) in enumerate(things, 1)), CAMERA, blank)


def told(of: Scene) -> dict[str, str]:
    return {each.clue: each.inference for each in observations(of)}


def standing(shape: str) -> float:
    return SHAPES[shape].height * SIZES["small"] / 2


def test_what_is_stacked_was_put_down_later() -> None:
    unit = SIZES["small"]
    found = observations(scene(("blue", "cube", (0, 0, unit / 2), UPRIGHT), ("red", "cone", (0, 0, unit + standing("cone")), UPRIGHT)))
    both = [each for each in found if each.things == (2, 1)]
    assert {each.clue for each in both} == {"a red cone on top of a blue cube"}
    assert {each.inference for each in both} == {
        "Someone has stacked the red cone on the blue cube.",
        "The red cone was put down after the blue cube.",
    }
    assert "a blue cube with nothing on it" not in {each.clue for each in found}


def test_what_lies_in_a_bowl_was_put_away() -> None:
    found = told(scene(("green", "bowl", (0, 0, 0.015), UPRIGHT), ("red", "ball", (0.005, 0, 0.04), UPRIGHT)))
    assert found["a red ball in a green bowl"].startswith("The green bowl has to be emptied")
    assert "a green bowl with nothing in it" not in found
    assert "a red ball with nothing beside it" not in found


@pytest.mark.parametrize(
    ("shape", "turn", "inference"),
    [
        ("bottle", UPRIGHT, "The red bottle would fall over if the table were bumped."),
        ("bottle", FALLEN, "The red bottle has fallen over."),
        ("cup", INVERTED, "Someone has left the red cup on the table."),
        ("cylinder", FALLEN, "The red cylinder has fallen over."),
        ("cup", UPRIGHT, "The red cup could be filled."),
        ("ball", INVERTED, "The red ball would roll away if it were pushed."),
        ("cube", FALLEN, "Someone has left the red cube on the table."),
        ("star", UPRIGHT, "The red star would not roll away if it were pushed."),
    ],
)
def test_one_thing_by_itself(shape: str, turn: tuple[float, ...], inference: str) -> None:
    assert list(told(scene(("red", shape, (0, 0, 0.03), turn))).values()) == [inference]


def test_things_of_one_name_are_told_together_only() -> None:
    places = ((-0.1, 0.0, 0.03), (0.1, 0.0, 0.03))
    found = observations(scene(*(("red", "cross", place, UPRIGHT) for place in places)))
    assert [(each.things, each.clue) for each in found] == [((1, 2), "two red crosses")]


def test_the_nearest_thing_is_told_only_when_it_is_clearly_nearest() -> None:
    def nearest(depth: float) -> list[str]:
        things = (("red", "ball", (-0.1, depth, 0.03), UPRIGHT), ("blue", "ball", (0.1, 0.0, 0.03), UPRIGHT))
        return [clue for clue in told(scene(*things)) if "in front" in clue]

    assert nearest(-0.1) == ["a red ball in front of everything else"]
    assert nearest(0.1) == ["a blue ball in front of everything else"]
    assert nearest(-0.03) == []


def test_the_largest_thing_is_told_only_when_it_is_clearly_the_largest() -> None:
    def largest(*shapes: str) -> list[str]:
        things = (
            (colour, shape, (0.2 * place, 0.0, 0.03), UPRIGHT)
            for place, (colour, shape) in enumerate(zip(("red", "blue"), shapes, strict=False))
        )
        return [inference for clue, inference in told(scene(*things)).items() if "larger" in clue]

    assert largest("ball", "plate") == ["The blue plate takes up the most room."]
    assert largest("ball", "ball") == largest("cube", "plate") == largest("ball") == []


def test_only_what_rests_on_the_table_was_left_on_it() -> None:
    unit = SIZES["small"]
    found = told(scene(("blue", "cube", (0, 0, unit / 2), UPRIGHT), ("red", "cube", (0.004, 0, 1.5 * unit), UPRIGHT)))
    assert found["a blue cube"] == "Someone has left the blue cube on the table."
    assert "a red cube" not in found


@pytest.mark.parametrize("turn", [UPRIGHT, FALLEN, INVERTED, (0.1, -0.5, 0.7, 0.5)])
@pytest.mark.parametrize("shape", ["bowl", "bottle", "star"])
def test_the_lowest_point_is_that_of_the_turned_mesh(shape: str, turn: tuple[float, ...]) -> None:
    """By PyBullet's own transformation of every corner."""
    thing = Thing(1, Kind("red", shape, "large"), (0.1, -0.2, 0.3), turn)
    corners = thing.kind.form.mesh.vertices * thing.kind.unit
    heights = [pybullet.multiplyTransforms(thing.position, turn, corner.tolist(), UPRIGHT)[0][2] for corner in corners]
    assert thing.bottom == pytest.approx(min(heights), abs=1e-6)  # single precision


@pytest.mark.parametrize("seed", range(8))
def test_something_is_told_of_every_scene_and_every_region_is_named_once(seed: int) -> None:
    made = make_scene(client(), [9, seed], heldout=False, objects=(1, 6), camera=(48, 1), shapes=tuple(SHAPES), varied=True)
    found = observations(made)
    assert found
    names = {thing.number: f"{thing.kind.colour} {thing.kind.shape}" for thing in made.things}
    for each in found:
        alike = [number for number, name in names.items() if name == names[each.things[0]]]
        assert len(alike) == 1 or set(alike) == set(each.things)
