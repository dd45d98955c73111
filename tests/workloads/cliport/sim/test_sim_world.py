"""What lies on the table: physics that comes to rest, ropes, and the view from above without a renderer."""

from __future__ import annotations

import numpy as np
import pytest
from sim_scenes import BLUE, RED, Scene, bits

from cliport.sim import shapes
from cliport.sim.action import Action
from cliport.sim.constants import IMAGE_SHAPE, PIXEL
from cliport.sim.environment import SETTLE, Environment
from cliport.sim.overhead import free_pixels
from cliport.sim.pixels import position_to_pixel
from cliport.sim.poses import from_euler, pose


def test_a_stack_stands(env: Environment) -> None:
    blocks = [env.add(shapes.box(), from_euler((0.5, 0, 0.02 + 0.04 * level), yaw=0.1 * level)) for level in range(4)]
    assert env.settle()
    for _ in range(1000):
        env.world.step()
    for level, block in enumerate(blocks):
        assert env.pose(block)[0] == pytest.approx([0.5, 0, 0.02 + 0.04 * level], abs=5e-4)


def test_waiting_ends_when_things_rest_and_at_the_limit_when_they_do_not(env: Environment) -> None:
    env.add(shapes.box(), pose((0.5, 0, 0.02)))
    before = env.world.steps
    assert env.settle()
    assert env.world.steps - before < 50
    env.add(shapes.box(), pose((0.5, 0.2, 5.0)))  # falls for a second
    before = env.world.steps
    assert not env.settle(60)
    assert env.world.steps - before == 60
    assert env.settle(SETTLE)


def test_a_ball_comes_to_rest(env: Environment) -> None:
    env.add(shapes.sphere(0.04), pose((0.5, 0, 0.1)))
    env.add(shapes.cylinder(0.03, 0.08), from_euler((0.5, 0.2, 0.03), roll=np.pi / 2))
    assert env.settle()


def test_things_dropped_into_each_other_do_not_fly_away(env: Environment) -> None:
    """Overlapping by a centimetre at first, everything stays on the table."""
    bodies = [env.add(shapes.letter(name), pose((0.5 + 0.01 * i, 0, 0.03 + 0.01 * i))) for i, name in enumerate(list(shapes.LETTERS)[:8])]
    env.settle()
    places = np.array([env.pose(body)[0] for body in bodies])
    assert abs(places - [0.5, 0, 0]).max() < 0.4
    assert (places[:, 2] > 0).all()


def rope(env: Environment) -> list[int]:
    points = np.column_stack([np.full(20, 0.5), np.linspace(-0.133, 0.133, 20), np.full(20, 0.005)])
    return env.add_rope(points, 0.005, [BLUE] * 20)


@pytest.mark.parametrize("lift", [0.02, None])
def test_a_rope_stays_whole_when_it_is_pulled(shared: Environment, lift: float | None) -> None:
    task = Scene(rope)
    task.lift = lift
    shared.reset(task, 0, observe=False)
    assert shared.info["settled"]
    assert shared.objects["deformable"] == task.built
    end = shared.pose(task.built[-1])[0]
    _, _, _, info = shared.step(Action(pose((*end[:2], 0.01)), pose((0.35, 0.15, 0.01))), observe=False)
    assert info["grasped"]
    assert info["settled"]
    places = np.array([shared.pose(bead)[0] for bead in task.built])
    gaps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    assert (gaps > 0.0095).all()
    assert (gaps < 0.0145).all()
    assert np.linalg.norm(places[-1][:2] - [0.35, 0.15]) < (0.01 if lift else 0.04)
    assert (places[:, 2] < 0.03).all()


def test_categories_masses_and_removal(env: Environment) -> None:
    still = env.add(shapes.box(), pose((0.5, 0, 0.2)), "fixed")
    loose = env.add(shapes.box(), pose((0.5, 0.2, 0.02)), mass=0.5)
    env.settle()
    assert env.pose(still)[0][2] == 0.2
    assert env.objects == {"rigid": [loose], "fixed": [still], "deformable": []}
    env.remove(loose)
    assert env.objects["rigid"] == []
    assert not (np.stack(env.observe().segmentation) == loose).any()
    with pytest.raises(ValueError, match="'liquid' is not one of rigid, fixed, deformable"):
        env.add(shapes.box(), pose(), "liquid")


def test_colours_are_the_things_own_unless_others_are_given(env: Environment) -> None:
    from dataclasses import replace

    own = shapes.shape("flag", [shapes.box_solid((0.08, 0.08, 0.02))], color=RED)
    flag = env.add(own, pose((0.5, 0, 0.01)))
    top = replace(own, meshes=(own.meshes[0], shapes.box_mesh((0.04, 0.04, 0.02)).moved((0, 0, 0.002)).painted(BLUE)))
    two = env.add(top, pose((0.5, 0.25, 0.01)), color=(0.9, 0.9, 0.1))

    def hue(y: float, x: float = 0.5) -> str:
        from cliport.sim.fusion import fuse

        red, green, blue = fuse(env.observe()).color[position_to_pixel((x, y))].astype(int)
        return "red" if red > 2 * green else "blue" if blue > 2 * red else "yellow" if green > 2 * blue else "?"

    assert [hue(0), hue(0.25), hue(0.25, 0.53)] == ["red", "blue", "yellow"]
    env.set_color(flag, BLUE)
    assert [hue(0), hue(0.25, 0.53)] == ["blue", "yellow"]
    assert env.size(two) == pytest.approx((0.08, 0.08, 0.02))


def test_looking_down_sees_the_highest_thing_exactly(env: Environment) -> None:
    low = env.add(shapes.box((0.2, 0.2, 0.05)), pose((0.5, 0, 0.025)), "fixed")
    high = env.add(shapes.box((0.05, 0.05, 0.05)), pose((0.5, 0, 0.075)), "fixed")
    heights, bodies = env.look_down()
    assert (heights.dtype, bodies.dtype) == (np.float32, np.int32)
    assert heights.shape == bodies.shape == IMAGE_SHAPE
    for place, height, body in (((0.5, 0), 0.1, high), ((0.56, 0), 0.05, low), ((0.7, 0), 0, env.world.table)):
        assert heights[position_to_pixel(place)] == pytest.approx(height, abs=1e-5)
        assert bodies[position_to_pixel(place)] == body
    assert (bodies == low).sum() + (bodies == high).sum() == pytest.approx((0.2 / PIXEL) ** 2, rel=0.03)


def test_looking_down_needs_no_picture(env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cliport.sim.environment.studio", None)
    env.add(shapes.bowl(), pose((0.5, 0, 0.0175)), "fixed")
    heights, _ = env.look_down()
    assert heights.max() == pytest.approx(0.035, abs=1e-3)


def test_occupied_is_where_things_are_marks_included(env: Environment) -> None:
    assert not env.occupied().any()
    env.add(shapes.zone((0.1, 0.2)), from_euler((0.5, 0, 0), yaw=0.5), "fixed")
    env.add(shapes.box((0.06, 0.06, 0.06)), pose((0.65, 0.3, 0.03)))
    taken = env.occupied()
    assert taken.sum() * PIXEL**2 == pytest.approx(0.1 * 0.2 + 0.06**2, rel=0.05)
    assert taken[position_to_pixel((0.5 - 0.09 * np.sin(0.5), 0.09 * np.cos(0.5)))]
    assert not taken[position_to_pixel((0.5 + 0.09 * np.sin(0.5), 0.09 * np.cos(0.5)))]


def test_a_covered_pixel_shows_a_body_from_above_so_the_inside_of_an_outline_is_free(env: Environment) -> None:
    """The original looks at what its camera above shows. An open side, a hole or the inside of a fixture is not covered."""
    env.add(shapes.square_outline((0.2, 0.2), sides="new"), pose((0.5, 0, 0)), "fixed")
    env.add(shapes.container((0.1, 0.1, 0.05)), pose((0.4, 0.3, 0.025)), "fixed")
    taken = env.occupied()
    assert taken[position_to_pixel((0.6, 0.05))]
    assert not taken[position_to_pixel((0.5, 0))]
    assert not taken[position_to_pixel((0.5, -0.1))]
    assert taken[position_to_pixel((0.4, 0.3))]  # the container's floor


def test_what_was_moved_or_removed_no_longer_covers_its_place(env: Environment) -> None:
    block = env.add(shapes.box(), pose((0.5, 0, 0.02)))
    assert env.occupied()[position_to_pixel((0.5, 0))]
    env.set_pose(block, pose((0.5, 0.2, 0.02)))
    taken = env.occupied()
    assert not taken[position_to_pixel((0.5, 0))]
    assert taken[position_to_pixel((0.5, 0.2))]
    env.remove(block)
    assert not env.occupied().any()


@pytest.mark.parametrize("width", [1, 2, 5, 8])
def test_a_pixel_is_free_if_the_square_around_it_is(width: int) -> None:
    """Source: cliport/cliport at 2be5c47: the border is blocked, and free pixels are eroded by a square of ones with as many pixels.

    OpenCV's erosion: a pixel keeps the least value under the square, whose pixel number width // 2 is on it; nothing outside counts.
    """
    taken = np.zeros((40, 30), bool)
    taken[20, 15] = taken[5, 23] = True
    blocked = taken.copy()
    blocked[0], blocked[-1], blocked[:, 0], blocked[:, -1] = True, True, True, True
    expected = []
    for row in range(40):
        for column in range(30):
            first_row, first_column = row - width // 2, column - width // 2
            square = blocked[max(first_row, 0) : first_row + width, max(first_column, 0) : first_column + width]
            expected += [] if square.any() else [[row, column]]
    assert free_pixels(taken, width * PIXEL).tolist() == expected


def test_random_poses_keep_half_a_diagonal_away_and_no_more(env: Environment) -> None:
    size = (0.06, 0.04, 0.03)
    half = np.hypot(0.06, 0.04) / 2
    wall = env.add(shapes.box((0.5, 0.5, 0.1)), pose((0.5, -0.25, 0.05)), "fixed")
    places = []
    for _ in range(200):
        place = env.random_pose(size)
        assert place is not None
        assert place[0][2] == 0.015
        places.append([*place[0][:2], 2 * np.arctan2(place[1][2], place[1][3])])
    points = np.array(places)
    low, high = points.min(0), points.max(0)
    assert low == pytest.approx([0.25 + half, half, 0], abs=0.02)
    assert high == pytest.approx([0.75 - half, 0.5 - half, 2 * np.pi], abs=0.05)
    assert (low[:2] > [0.25 + half - PIXEL, half - PIXEL]).all()
    assert (high[:2] < [0.75 - half + PIXEL, 0.5 - half + PIXEL]).all()
    env.remove(wall)


def test_where_there_is_no_room_there_is_no_pose(env: Environment) -> None:
    assert env.random_pose((0.5, 0.5, 0.1)) is None
    env.add(shapes.zone((0.45, 0.9)), pose((0.5, 0, 0)), "fixed")
    assert env.random_pose((0.1, 0.1, 0.1)) is None


def test_rendering_does_not_change_the_physics(env: Environment) -> None:
    env.add(shapes.letter("star"), pose((0.5, 0, 0.1)))
    env.settle()
    before = bits(env)
    env.observe()
    assert bits(env) == before
