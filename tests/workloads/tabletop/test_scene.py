"""Scenes are at rest, in view, and described truthfully."""

from __future__ import annotations

import itertools

import numpy as np
import pybullet
import pytest

from tabletop.camera import Camera, Photograph, majority, plane_to_view
from tabletop.dataset import client
from tabletop.language import captions, listing, relations, sizes
from tabletop.scene import Kind, Scene, Thing, empty_world, is_heldout, make_scene, settle
from tabletop.shapes import COLOURS, SHAPES, SIZES

UPRIGHT = (0.0, 0.0, 0.0, 1.0)
BLANK = Photograph(np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.uint8))
CAMERA = Camera(0.0, -45.0, 0.8, (0.0, 0.0, 1.6), (0.5, 0.5, 0.5), 64, 1)


def scene(*things: tuple[str, str, tuple[float, float, float]], yaw: float = 0.0) -> Scene:
    """A scene of (colour, shape, position); what was photographed does not matter."""
    camera = Camera(yaw, -45.0, 0.8, (0.0, 0.0, 1.6), (0.5, 0.5, 0.5), 64, 1)
    numbered = enumerate(things, 1)
    return Scene(tuple(Thing(n, Kind(c, s, "small"), place, UPRIGHT) for n, (c, s, place) in numbered), camera, BLANK)


def said(of: Scene) -> set[str]:
    return {f"{r.subject.kind.colour} {r.name} {r.object.kind.colour}" for r in relations(of)}


@pytest.mark.parametrize("seed", range(6))
def test_a_settled_scene_stays_as_it_is(seed: int) -> None:
    made = make_scene(client(), [5, seed], heldout=False, objects=(2, 4), camera=(64, 1))
    empty_world(client())
    bodies = []
    for thing in made.things:
        shape = thing.kind.form.collision(client(), thing.kind.unit)
        bodies.append(pybullet.createMultiBody(0.1, shape, -1, thing.position, thing.orientation, physicsClientId=client()))
    for _ in range(120):
        pybullet.stepSimulation(physicsClientId=client())
    for body, thing in zip(bodies, made.things, strict=True):
        moved = np.subtract(pybullet.getBasePositionAndOrientation(body, physicsClientId=client())[0], thing.position)
        assert np.linalg.norm(moved) < 0.012, thing


def test_what_never_rests_is_given_up_after_a_bounded_number_of_steps() -> None:
    empty_world(client())
    ball = pybullet.createMultiBody(
        0.1, SHAPES["ball"].collision(client(), 0.06), -1, [2, 0, 1], physicsClientId=client()
    )  # beside the table
    assert not settle(client(), [ball])


@pytest.mark.parametrize("shape", SHAPES.values(), ids=lambda shape: shape.name)
def test_meshes_are_closed_and_face_outwards(shape: object) -> None:
    assert isinstance(shape, type(SHAPES["cube"]))
    corners = shape.mesh.vertices[shape.mesh.triangles]
    faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    volume = float(np.einsum("ij,ij->i", corners[:, 0], faces).sum() / 6)

    assert volume > 0.05
    assert np.abs(faces.sum(0)).max() < 1e-9  # the faces of a closed surface cancel
    assert np.ptp(shape.mesh.vertices[:, 2]) == pytest.approx(shape.height)
    assert np.hypot(*shape.mesh.vertices[:, :2].T).max() == pytest.approx(shape.radius, abs=0.01)
    used = (np.linalg.norm(faces, axis=1) > 1e-9).nonzero()[0]
    assert (np.einsum("tij,tj->ti", shape.mesh.normals[shape.mesh.triangles[used]], faces[used]) > -1e-9).all()


def test_relations_are_the_viewers() -> None:
    flat = (("red", "cube", (-0.1, 0.0, 0.03)), ("blue", "ball", (0.1, 0.02, 0.03)), ("green", "cone", (0.0, -0.15, 0.03)))
    assert {"red left blue", "blue right red", "green front red", "red behind green"} <= said(scene(*flat))
    assert {"red right blue", "blue left red", "green behind red"} <= said(scene(*flat, yaw=180.0))


def test_support_comes_before_sideways_relations() -> None:
    cube, unit = SHAPES["cube"], SIZES["small"]
    on = scene(("red", "cube", (0.0, 0.0, unit / 2)), ("blue", "cone", (0.004, 0.0, unit * (1 + SHAPES["cone"].height / 2))))
    assert said(on) == {"blue on red"}
    inside = scene(("red", "bowl", (0, 0, unit / 4)), ("blue", "ball", (0.005, 0, 0.04)))
    assert said(inside) == {"blue in red"}
    beside = scene(("red", "cube", (0.0, 0.0, unit / 2)), ("blue", "cube", (unit * 1.3, 0.0, unit / 2)))
    assert said(beside) == {"red left blue", "blue right red"}
    assert cube.flat_top


def test_unclear_relations_are_not_stated() -> None:
    assert said(scene(("red", "cube", (0.0, 0.0, 0.03)), ("blue", "cube", (0.02, 0.0, 0.03)))) == set()


def test_the_first_caption_names_everything_from_left_to_right() -> None:
    of = scene(
        ("red", "cube", (0.1, 0, 0)), ("orange", "ball", (-0.1, 0, 0)), ("red", "cube", (0.15, 0.1, 0)), ("white", "bowl", (0.12, 0, 0))
    )
    assert listing(of) == "an orange ball, two red cubes and a white bowl on a table"
    assert listing(scene(("red", "cube", (0, 0, 0)))) == "a red cube on a table"


def test_left_and_right_of_the_list_are_those_of_the_picture() -> None:
    """By the boxes of what is wholly in view: a list by the table's axis is wrong for every sixth pair of neighbours in depth."""
    for seed in range(12):
        made = make_scene(client(), [3, seed], heldout=False, objects=(2, 3), camera=(64, 2), varied=True)
        middles = {thing.number: np.nonzero(made.photograph.mask == thing.number)[1].mean() for thing in made.things}
        order = sorted(made.things, key=lambda thing: made.camera.column(thing.position))
        for one, other in itertools.pairwise(order):
            assert middles[one.number] < middles[other.number] + 4, seed  # pixels by which a covered part moves the middle


def test_only_what_is_clearly_the_largest_or_the_smallest_is_called_so() -> None:
    def of(*kinds: tuple[str, str]) -> str | None:
        return sizes(Scene(tuple(Thing(1, Kind("red", *kind), (0, 0, 0), UPRIGHT) for kind in kinds), CAMERA, BLANK))

    assert of(("ball", "small"), ("ball", "large")) == "a small red ball among two objects"
    assert of(("ball", "large"), ("plate", "small")) is None  # the small plate is wider than the large ball, but not by much
    assert of(("bottle", "large"), ("bowl", "small"), ("bowl", "small")) == "a large red bottle among three objects"
    assert of(("ball", "small"), ("ball", "small")) is None
    assert of(("ball", "small")) is None


def test_what_lies_on_its_side_neither_stands_on_a_thing_nor_carries_one() -> None:
    unit, fallen = SIZES["small"], (np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5))
    cylinder = Thing(1, Kind("red", "cylinder", "small"), (0, 0, 0.45 * unit), fallen)
    ball = Thing(2, Kind("blue", "cube", "small"), (0, 0, 0.45 * unit + 1.1 * unit), UPRIGHT)
    assert list(relations(Scene((cylinder, ball), CAMERA, BLANK))) == []
    standing = Thing(1, cylinder.kind, (0, 0, 0.6 * unit), UPRIGHT)
    assert said(Scene((standing, ball), CAMERA, BLANK)) == {"blue on red"}


def test_captions_are_different_and_name_only_what_is_there() -> None:
    words = set()
    for seed in range(40):
        of = make_scene(client(), [6, seed], heldout=bool(seed % 2), objects=(1, 4), camera=(48, 1))
        lines = captions(of, np.random.default_rng(seed), 4)
        assert len(lines) == len(set(lines)) <= 4
        there = {thing.kind.colour for thing in of.things} | {thing.kind.shape for thing in of.things}
        for line in lines:
            named = {word.rstrip("s,") for word in line.replace(",", "").split()} & {*COLOURS, *SHAPES}
            assert named <= there, line
            words |= set(line.split())
    assert {"left", "right", "behind", "front", "on"} <= words


def test_held_out_combinations_are_a_sixth_whatever_their_order() -> None:
    kinds = [Kind(colour, shape, "small") for colour in COLOURS for shape in SHAPES]
    drawn = [list(three) for three in itertools.combinations(kinds, 3)]
    share = np.mean([is_heldout(three) for three in drawn])
    assert share == pytest.approx(1 / 6, abs=0.02)
    assert all(is_heldout(three) == is_heldout(three[::-1]) for three in drawn)


def test_the_tables_homography_is_the_camera() -> None:
    matrix = np.reshape(CAMERA.projection, (4, 4)).T @ np.reshape(CAMERA.view, (4, 4)).T
    x, y, _, w = matrix @ [0.1, -0.05, 0, 1]
    assert plane_to_view(CAMERA.view, CAMERA.projection) @ [0.1, -0.05, 1] == pytest.approx([x, y, w])


def test_a_pixel_belongs_to_what_covers_most_of_it() -> None:
    label = np.array([[0, 0, 2, 1], [0, 1, 2, 1], [3, 3, 0, 0], [0, 0, 0, 0]], np.uint8)
    assert majority(label, 2, 3).tolist() == [[0, 2], [3, 0]]
