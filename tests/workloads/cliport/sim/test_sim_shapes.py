"""Shapes: closed surfaces, and solids that are what is seen."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pybullet
import pytest

from cliport.sim import shapes
from cliport.sim.environment import Environment
from cliport.sim.poses import pose
from cliport.sim.shapes.geometry import Mesh, hull_mesh, hull_solid, prism, triangulated
from cliport.sim.shapes.table import ell_outline, offset_outline
from cliport.tasks.hanoi import PITCH, stand

SOLID = [
    shapes.box(),
    shapes.cylinder(0.05, 0.1),
    shapes.sphere(0.05),
    shapes.bowl(),
    shapes.plate(),
    shapes.hanoi_disk(),
    *(shapes.letter(name) for name in ("square", "circle", "letter L shape", "ring")),
]


def volume(mesh: Mesh) -> float:
    """Of a closed mesh, by the divergence theorem; positive when its facets look outwards."""
    a, b, c = (mesh.vertices[mesh.triangles[:, corner]] for corner in range(3))
    return float((np.cross(a, b) * c).sum() / 6)


def is_closed(mesh: Mesh) -> bool:
    """Whether every edge is walked once in each direction."""
    _, names = np.unique(np.round(mesh.vertices, 7), axis=0, return_inverse=True)
    corners = names.ravel()[mesh.triangles]
    kept = corners[(corners != np.roll(corners, 1, 1)).all(1)]
    edges = Counter((int(a), int(b)) for triangle in kept for a, b in zip(triangle, np.roll(triangle, -1), strict=True))
    return all(edges[b, a] == count for (a, b), count in edges.items())


@pytest.mark.parametrize("shape", SOLID, ids=lambda shape: shape.name)
def test_surfaces_are_closed_and_look_outwards(shape: shapes.Shape) -> None:
    for mesh in shape.meshes:
        assert is_closed(mesh)
        assert volume(mesh) > 0
        a, b, c = (mesh.vertices[mesh.triangles[:, corner]] for corner in range(3))
        facing = (np.cross(b - a, c - a) * mesh.normals[mesh.triangles[:, 0]]).sum(1)
        assert (facing > -1e-12).all()
        assert np.linalg.norm(mesh.normals, axis=1) == pytest.approx(1)


def test_volumes_are_the_formulas() -> None:
    assert volume(shapes.box((0.1, 0.2, 0.3)).meshes[0]) == pytest.approx(0.006)
    round_share = 32 / 2 / np.pi * np.sin(2 * np.pi / 32)  # of a circle, that a polygon of 32 corners covers
    assert volume(shapes.cylinder(0.2, 0.1).meshes[0]) == pytest.approx(np.pi * 0.01 * 0.1 * round_share)
    assert volume(shapes.sphere(0.2).meshes[0]) == pytest.approx(4 / 3 * np.pi * 0.001, rel=0.02)
    assert volume(prism(ell_outline(), 0.04)) == pytest.approx((0.08 * 0.03 + 0.05 * 0.03) * 0.04)
    assert volume(shapes.ell().meshes[0]) == pytest.approx((0.08 * 0.03 + 0.05 * 0.03) * 0.04)


def test_a_polygon_is_filled_exactly() -> None:
    for outline in (ell_outline(), np.array([[0, 0], [4, 0], [4, 3], [2, 1], [0, 3]], float)):
        a, b, c = (outline[triangulated(outline)[:, corner]] for corner in range(3))
        areas = ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]) / 2
        x, y = outline.T
        assert (areas > 0).all()
        assert areas.sum() == pytest.approx((x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def test_a_hull_holds_points_that_lie_inside_and_on_its_faces() -> None:
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 2) for z in (0, 3)], float)
    more = np.concatenate([corners, [[0.5, 1, 1.5], [0.5, 1, 3], [0.5, 0, 0]]])
    mesh = hull_mesh(more)
    assert volume(mesh) == pytest.approx(6)
    assert is_closed(hull_mesh(corners))
    assert hull_solid(corners).size == (1, 2, 3)


@pytest.mark.parametrize("name", list(shapes.LETTERS))
def test_a_piece_and_its_outline_on_the_board_are_one_figure_of_the_originals_size(name: str) -> None:
    """0.06 m, but for diamond and rectangle; their other sides from the original's meshes 06 and 08."""
    piece, mark = shapes.letter(name), shapes.decal(name)
    assert piece.size[:2] == pytest.approx(mark.size[:2])
    assert max(piece.size[:2]) == pytest.approx({"diamond": 0.075, "rectangle": 0.075}.get(name, 0.06))
    if name in ("diamond", "rectangle"):
        assert min(piece.size[:2]) == pytest.approx({"diamond": 0.06, "rectangle": 0.045}[name])
    assert (piece.size[2], mark.size[2], piece.mass) == pytest.approx((0.02, 0.002, 0.1))
    assert piece.vertices.mean(0)[2] == pytest.approx(0)


def test_a_piece_lies_flat_on_its_outline_which_stands_out_of_the_board(env: Environment) -> None:
    """The board is 5 mm high; outlines of 2 mm begin 1.4 mm above its middle, so they end at 5.9 mm."""
    env.add(shapes.kit_board(), pose((0.5, 0, 0.0025)), "fixed")
    for number, name in enumerate(("ring", "letter V shape", "plus", "flower")):
        at = 0.5 - 0.09 + 0.06 * number
        env.add(shapes.decal(name), pose((at, 0, 0.0025 + 0.0014 + 0.001)), "fixed")
        piece = env.add(shapes.letter(name), pose((at, 0, 0.02)))
        assert env.settle()
        assert env.pose(piece)[0] == pytest.approx([at, 0, 0.0059 + 0.01], abs=3e-4), name


def test_twenty_different_figures() -> None:
    assert len({shapes.letter(name).meshes[0].vertices.tobytes() for name in shapes.LETTERS}) == 20


def test_an_offset_outline_runs_parallel() -> None:
    moved = offset_outline(ell_outline(), 0.01)
    assert moved.min(0) == pytest.approx([-0.025, -0.025])
    assert moved.max(0) == pytest.approx([0.075, 0.075])
    assert moved[3] == pytest.approx([0.025, 0.025])  # the inner corner too


@pytest.mark.parametrize(
    "shape", [*SOLID, shapes.ell(), shapes.container((0.2, 0.15, 0.08)), shapes.pallet()], ids=lambda shape: shape.name
)
def test_what_is_touched_is_as_large_as_what_is_seen(env: Environment, shape: shapes.Shape) -> None:
    """Lying still, the thing's middle is half its height above the table, and rays from all sides meet it where it is seen."""
    body = env.add(shape, pose((0.5, 0, shape.size[2] / 2 + 0.001)))
    assert env.settle()
    assert env.pose(body)[0][2] == pytest.approx(shape.size[2] / 2, abs=4e-4)
    low, high = (np.array(side) for side in pybullet.getAABB(body, physicsClientId=env.client))
    rays = []
    for axis in (0, 1):
        for sign in (-1, 1):
            across = np.linspace(low[1 - axis] + 0.001, high[1 - axis] - 0.001, 60)
            starts = np.zeros((60, 3))
            starts[:, axis], starts[:, 1 - axis], starts[:, 2] = 0.5 * (1 - axis) + sign * 0.4, across, shape.size[2] * 0.7
            ends = starts.copy()
            ends[:, axis] -= sign * 0.8
            hits = pybullet.rayTestBatch(starts.tolist(), ends.tolist(), physicsClientId=env.client)
            met = [hit[3][axis] for hit in hits if hit[0] == body]
            rays.append(sign * (max(met) if sign > 0 else min(met)) - sign * env.pose(body)[0][axis])
    vertices = shape.vertices
    seen = vertices[vertices[:, 2] > 0.15 * shape.size[2]] if shape.name in ("bowl", "plate") else vertices
    expected = [seen[:, 0].max(), seen[:, 1].max()]
    if shape.name not in ("sphere", "bowl", "plate"):  # their widest place is not at the height of the rays
        assert (rays[1], rays[3]) == pytest.approx(expected, abs=1.2e-3)


def test_a_mark_is_seen_and_not_touched(env: Environment) -> None:
    mark = env.add(shapes.zone((0.2, 0.2)), pose((0.5, 0, 0)), "fixed")
    block = env.add(shapes.box(), pose((0.5, 0, 0.02)))
    env.settle()
    assert env.pose(block)[0][2] == pytest.approx(0.02, abs=2e-4)
    _, bodies = env.look_down()
    assert mark not in bodies
    assert (np.stack(env.observe().segmentation) == mark).any()


def test_the_fixture_is_a_channel_around_the_block_as_in_the_original() -> None:
    """Its file insertion/fixture.urdf: walls of 2 mm along x = -0.025, 0.025, 0.075 and y = -0.025, 0.025, 0.075, 0.04 m high."""
    fixture = shapes.ell_fixture()
    assert fixture.size == pytest.approx((0.102, 0.102, 0.04))
    assert sorted(round(min(wall.size[:2]), 6) for wall in fixture.solids) == [0.002] * 6 + [0.02]
    lines = {round(wall.position[0 if wall.size[0] < wall.size[1] else 1], 6) for wall in fixture.solids[:6]}
    assert lines == {-0.025, 0.025, 0.075}


def test_the_block_fits_its_fixture_and_no_other_way(env: Environment) -> None:
    env.add(shapes.ell_fixture(), pose((0.5, 0, 0.02)), "fixed")
    right = env.add(shapes.ell(), pose((0.5, 0, 0.05)))
    env.settle()
    assert env.pose(right)[0] == pytest.approx([0.5, 0, 0.02], abs=0.001)
    env.set_pose(right, pose((0.5, 0, 0.07), (0, 0, 1, 0)))
    env.settle()
    assert env.pose(right)[0][2] > 0.03


def test_a_fixture_in_the_air_bears_the_block_by_its_pad(env: Environment) -> None:
    env.add(shapes.ell_fixture(), pose((0.5, 0, 0.1)), "fixed")
    block = env.add(shapes.ell(), pose((0.5, 0, 0.12)))
    env.settle()
    assert env.pose(block)[0] == pytest.approx([0.5, 0, 0.1], abs=0.01)


def test_a_ring_goes_over_a_rod(env: Environment) -> None:
    env.add(stand(), pose((0.5, 0, 0.005)), "fixed")
    disk = env.add(shapes.hanoi_disk(), pose((0.5, PITCH, 0.12)))
    assert env.settle()
    assert env.pose(disk)[0][:2] == pytest.approx([0.5, PITCH], abs=0.01)
    assert env.pose(disk)[0][2] == pytest.approx(0.015, abs=5e-4)


def test_a_block_dropped_into_a_bowl_comes_to_rest_at_its_middle(env: Environment) -> None:
    bowl = shapes.bowl()
    assert bowl.size == pytest.approx((0.114, 0.114, 0.035), abs=1e-3)
    env.add(bowl, pose((0.5, 0, bowl.size[2] / 2)), "fixed")
    block = env.add(shapes.box(), pose((0.512, 0.01, 0.09)))
    assert env.settle()
    assert np.linalg.norm(env.pose(block)[0][:2] - [0.5, 0]) < 0.01
    assert env.pose(block)[0][2] == pytest.approx(0.024, abs=2e-3)


def test_many_parts_are_one_body(env: Environment) -> None:
    """PyBullet takes 16 primitive parts in one shape; more become hulls."""
    rungs = [shapes.box_solid((0.1, 0.02, 0.01), (0, 0.03 * number, 0)) for number in range(-10, 11)]
    ladder = env.add(shapes.shape("ladder", rungs), pose((0.5, 0, 0.005)))
    env.settle()
    assert env.pose(ladder)[0][2] == pytest.approx(0.005, abs=3e-4)
    _, bodies = env.look_down()
    assert (bodies == ladder).sum() * 0.003125**2 == pytest.approx(21 * 0.1 * 0.02, rel=0.15)
