"""Cameras of one's own: from pixels to the height map and back to poses, against the pinhole's formula in float64 and the simulator."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sim_scenes import Scene, block_and_bowl

from cliport.own.camera import PinholeCamera
from cliport.own.recording import problems_of_entry
from cliport.own.scene import GOAL, requests_in, sight
from cliport.own.view import View, height_map
from cliport.own.workspace import Workspace
from cliport.sim.cameras import CAMERAS, Camera
from cliport.sim.constants import BOUNDS, IMAGE_SHAPE, PIXEL
from cliport.sim.environment import Environment
from cliport.sim.fusion import fuse
from cliport.sim.observation import HeightMap
from cliport.sim.poses import quaternion_from_euler
from harness.errors import DataError, ParameterError

PLANE = np.array([0.05, 0.03, -0.02])
"""z = a + b x + c y"""


def transform_of(camera: PinholeCamera) -> np.ndarray:
    """The matrix (4, 4) from camera to frame, by the textbook's formula of a quaternion's rotation v + 2 w (q x v) + 2 q x (q x v)."""
    *vector, w = np.array(camera.quaternion) / np.linalg.norm(camera.quaternion)
    turn = np.stack([v + 2 * w * np.cross(vector, v) + 2 * np.cross(vector, np.cross(vector, v)) for v in np.eye(3)], 1)
    whole = np.eye(4)
    whole[:3, :3], whole[:3, 3] = turn, camera.position
    return whole


def looking_down(rng: np.random.Generator, height: int = 120, width: int = 200) -> PinholeCamera:
    """A camera above the workspace whose axes are turned anyhow about its line of sight, which is up to 30 degrees from the vertical."""
    roll, pitch, yaw = np.pi + rng.uniform(-0.5, 0.5), rng.uniform(-0.5, 0.5), rng.uniform(-np.pi, np.pi)
    quaternion = tuple(quaternion_from_euler(roll, pitch, yaw).tolist())
    x, y, z = rng.uniform([0.4, -0.1, 0.8], [0.6, 0.1, 1.3]).tolist()
    fx, fy, cx, cy = (rng.uniform(0.8, 1.3) * width, rng.uniform(0.8, 1.3) * width, width * 0.43, height * 0.57)
    return PinholeCamera(fx, fy, cx, cy, width, height, (x, y, z), quaternion)


def depth_of_plane(camera: PinholeCamera) -> np.ndarray:
    """float64 (H, W): where each pixel's ray meets z = a + b x + c y; NaN where it does not."""
    whole, (a, b, c) = transform_of(camera), PLANE
    depth = np.full((camera.height, camera.width), np.nan)
    for row in range(camera.height):
        for column in range(camera.width):
            ray = whole[:3, :3] @ [(column - camera.cx) / camera.fx, (row - camera.cy) / camera.fy, 1]
            away = (a + b * whole[0, 3] + c * whole[1, 3] - whole[2, 3]) / (ray[2] - b * ray[0] - c * ray[1])
            depth[row, column] = away if away > 0 else np.nan
    return depth


def grey(depth: np.ndarray) -> np.ndarray:
    return np.full((*depth.shape, 3), 128, np.uint8)


@pytest.mark.parametrize("seed", range(4))
def test_a_pixels_point_is_the_pinholes_and_is_seen_at_that_pixel(seed: int) -> None:
    rng = np.random.default_rng(seed)
    camera = looking_down(rng)
    depth = rng.uniform(0.3, 2, (camera.height, camera.width))
    points = camera.points(depth).reshape(camera.height, camera.width, 3)
    whole = transform_of(camera)
    for row, column in ((0, 0), (camera.height - 1, camera.width - 1), tuple(rng.integers(0, [camera.height, camera.width]))):
        d = depth[row, column]
        own = [(column - camera.cx) / camera.fx * d, (row - camera.cy) / camera.fy * d, d, 1]
        assert points[row, column] == pytest.approx((whole @ own)[:3], abs=1e-12)
        assert camera.pixel_of(points[row, column]) == pytest.approx((column, row), abs=1e-9)
    assert camera.pixel_of(np.array(camera.position) - camera.rotation[:, 2]) is None, "it is behind the camera"


@pytest.mark.parametrize("seed", range(4))
def test_every_cell_of_the_map_has_the_height_of_the_plane_that_the_camera_sees(seed: int) -> None:
    camera = looking_down(np.random.default_rng(seed))
    workspace = Workspace()
    depth = depth_of_plane(camera)
    view = height_map([View(grey(depth), depth, camera)], workspace)
    seen = np.argwhere(view.mask >= 0)
    assert len(seen) > 3000
    x, y, z = np.array([workspace.position((row, column), view.height) for row, column in seen.tolist()]).T
    a, b, c = PLANE
    within = (abs(b) + abs(c)) * PIXEL / 2  # a point lies up to half a cell from the cell's middle
    assert np.abs(z - (a + b * x + c * y)).max() < within + 1e-6


def own(camera: Camera, geometry: str) -> PinholeCamera:
    """One of the simulator's cameras by its calibration. The middle of the image is the corner of four pixels, at half a pixel; in the
    original's code it is the pixel (320, 240), see `cliport.sim.fusion.GRIDS`."""
    (rows, columns), half = camera.shape, 0.5 if geometry == "exact" else 0.0
    quaternion = tuple(quaternion_from_euler(*camera.euler).tolist())
    middle = columns / 2 - half, rows / 2 - half
    return PinholeCamera(camera.focal, camera.focal, *middle, columns, rows, camera.position, quaternion)


@pytest.mark.parametrize("geometry", ["exact", "original"])
def test_the_simulators_cameras_make_the_very_map_that_agents_learn_from(shared: Environment, geometry: str) -> None:
    observation = shared.reset(Scene(block_and_bowl), 3)
    stated = [own(camera, geometry) for camera in CAMERAS]
    views = [View(color, depth, camera) for color, depth, camera in zip(observation.color, observation.depth, stated, strict=True)]
    ours, theirs = height_map(views, Workspace(), geometry), fuse(observation, geometry=geometry)
    assert theirs.height.max() > 0.03
    assert np.array_equal(ours.height, theirs.height)
    assert np.array_equal(ours.color, theirs.color)
    assert np.array_equal(ours.mask >= 0, theirs.mask >= 0)


def test_a_scene_of_twice_the_size_at_twice_the_cell_is_the_same_image_and_answers_are_twice_as_far() -> None:
    camera = looking_down(np.random.default_rng(1))
    depth = depth_of_plane(camera)
    twice = dataclasses.replace(camera, position=tuple(2 * np.array(camera.position)))
    larger = Workspace(tuple(2 * BOUNDS.ravel()), 2 * PIXEL)
    one, other = height_map([View(grey(depth), depth, camera)], Workspace()), height_map([View(grey(depth), 2 * depth, twice)], larger)
    assert (one.mask == other.mask).mean() > 0.999
    assert np.abs(one.height - other.height)[(one.mask >= 0) & (other.mask >= 0)].max() < 2e-4
    assert larger.position((7, 9), one.height) == pytest.approx(2 * Workspace().position((7, 9), one.height))


BENCH = Workspace((-0.2, 0.1, 1.0, 1.5, 0.7, 0.8), 0.0025)
"""120 x 200 cells, in a frame whose table is 70 cm up."""


def test_a_frame_and_bounds_of_ones_own_lie_in_the_middle_of_the_agents_map() -> None:
    assert BENCH.shape == (200, 120)
    assert BENCH.corner == (60, 20)
    heights = np.zeros(IMAGE_SHAPE, np.float32)
    assert BENCH.position((60, 20), heights) == pytest.approx([-0.2, 1.0, 0.7])
    heights[100, 50] = 0.05
    assert BENCH.position((100, 50), heights) == pytest.approx([-0.2 + 30 * 0.0025, 1.0 + 40 * 0.0025, 0.7 + 0.05 * 0.8])
    points = np.random.default_rng(0).uniform(-1, 1, (9, 3))
    assert BENCH.from_agent(BENCH.to_agent(points)) == pytest.approx(points, abs=1e-12)


def test_what_is_outside_the_bounds_is_not_seen() -> None:
    down = tuple(quaternion_from_euler(np.pi, 0, 0).tolist())
    camera = PinholeCamera(150, 150, 99.5, 149.5, 200, 300, (-0.05, 1.25, 1.7), down)
    depth = np.full((300, 200), 1.0)  # the table
    depth[140:160, 90:110] = 0.5  # a tower of half a metre, above the bounds
    depth[175:185, 90:110] = 0.95  # a block of 5 cm
    view = height_map([View(grey(depth), depth, camera)], BENCH)
    assert (view.mask[~BENCH.inside] == -1).all()
    assert not view.color[~BENCH.inside].any()
    assert view.height.max() == pytest.approx(0.05 * BENCH.scale, abs=1e-4)
    highest = np.argwhere(view.height > 0.01).mean(0)
    assert BENCH.position(tuple(np.rint(highest).astype(int).tolist()), view.height)[:2] == pytest.approx(
        camera.points(depth).reshape(300, 200, 3)[175:185, 90:110].mean((0, 1))[:2], abs=0.003
    )


@pytest.mark.parametrize("missing", [0.0, np.nan, np.inf])
def test_a_pixel_without_a_measurement_is_nowhere_even_for_a_camera_within_the_bounds(missing: float) -> None:
    down = tuple(quaternion_from_euler(np.pi, 0, 0).tolist())
    camera = PinholeCamera(100, 100, 100, 100, 201, 201, (0.5, 0.0, 0.25), down)  # its own position would be the highest point
    depth = np.full((201, 201), 0.25)
    depth[:, 90:] = missing
    view = height_map([View(grey(depth), depth, camera)], Workspace())
    assert view.height.max() < 1e-6
    assert (view.mask >= 0).any()
    assert (view.mask[:, 81:] == -1).all()


GOOD: dict[str, Any] = {
    "fx": 200.0, "fy": 200.0, "cx": 99.5, "cy": 59.5, "width": 200, "height": 120,
    "position": [0.5, 0.0, 1.0], "quaternion": [1.0, 0.0, 0.0, 0.0],
}  # fmt: skip
MATRIX = [[1, 0, 0, 0.5], [0, -1, 0, 0], [0, 0, -1, 1], [0, 0, 0, 1]]


def test_a_matrix_is_the_pose_too() -> None:
    posed = {key: value for key, value in GOOD.items() if key not in ("position", "quaternion")}
    assert np.allclose(PinholeCamera.of({**posed, "matrix": MATRIX}).rotation, PinholeCamera.of(GOOD).rotation)
    assert PinholeCamera.of({**posed, "matrix": MATRIX}).position == (0.5, 0.0, 1.0)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"fx": None}, "fx=None: must be a finite number"),
        ({"fx": float("nan")}, "fx=nan: must be a finite number"),
        ({"fx": 0.9}, "fx=0.9: must be in pixels"),
        ({"cx": 0.5, "cy": -7}, "cy=-7: must be in pixels"),
        ({"width": 199.5}, "width=199.5: must be a whole number"),
        ({"quaternion": [1, 1, 0, 0]}, "must have length 1, has 1.414"),
        ({"position": [500, 0, 1000]}, "position=[500, 0, 1000]: must be in metres"),
        ({"position": [1, 2]}, "position=[1, 2]: must be 3 finite numbers"),
        ({"matrix": MATRIX}, "say the same; keep one"),
        ({"distortion": [0.1, 0, 0, 0]}, "undistort the images first"),
        ({"focal": 3}, "focal: there is no such key"),
        ({"depth_unit": 0}, "depth_unit=0: must be above 0"),
    ],
)
def test_a_camera_with_a_mistake_is_refused_with_what_would_be_right(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(DataError) as failure:
        PinholeCamera.of({**GOOD, **changed}, "camera.json")
    assert told in str(failure.value)
    assert all(line.startswith("camera.json: ") for line in str(failure.value).splitlines())


@pytest.mark.parametrize(
    ("rotation", "told"),
    [
        (np.diag([1.0, -1, -2, 1]), "orthonormal"),
        (np.diag([1.0, 1, -1, 1]), "right-handed"),
        (np.diag([1.0, -1, -1, 2]), "last row"),
    ],
)
def test_a_matrix_that_is_no_pose_is_refused(rotation: np.ndarray, told: str) -> None:
    posed = {key: value for key, value in GOOD.items() if key not in ("position", "quaternion")}
    with pytest.raises(DataError, match=told):
        PinholeCamera.of({**posed, "matrix": rotation.tolist()})


def test_all_mistakes_of_a_camera_are_told_at_once() -> None:
    with pytest.raises(DataError) as failure:
        PinholeCamera.of({"fx": 1, "fy": "x", "width": 640, "height": 480, "quaternion": [0, 0, 0, 2]})
    assert len(str(failure.value).splitlines()) == 4


@pytest.mark.parametrize(
    ("bounds", "pixel", "told"),
    [
        ((0, 1, 0, 1, 0), PIXEL, "six numbers"),
        ((0, 0.5, 0, np.nan, 0, 0.2), PIXEL, "six numbers"),
        ((0.5, 0, 0, 1, 0, 0.2), PIXEL, "x must grow"),
        ((0, 0.5, 0, 1, 0, 0.2), 0, "pixel=0: must be above 0"),
        ((0, 1, 0, 1, 0, 0.2), PIXEL, "pixel=0.00625 or more"),
        ((0, 0.5, 0, 1, 0, 0.5), PIXEL, "z must reach at most 0.28"),
        ((0, 0.05, 0, 0.1, 0, 0.2), PIXEL, "too few; pixel=0.0003125 fills"),
    ],
)
def test_bounds_that_an_agent_cannot_see_are_refused_with_what_would_fit(bounds: tuple[float, ...], pixel: float, told: str) -> None:
    with pytest.raises(ParameterError, match=r"bounds|pixel") as failure:
        Workspace(bounds, pixel)
    assert told in str(failure.value)


def seen(**changed: Any) -> HeightMap:
    """The map of a flat table 1 m below the camera, with what is changed."""
    camera = PinholeCamera.of({**GOOD, **{key: value for key, value in changed.items() if key not in ("color", "depth")}})
    depth = changed.get("depth", np.full((120, 200), 1.0))
    return height_map([View(changed.get("color", np.full((120, 200, 3), 9, np.uint8)), depth, camera, "mine")], Workspace())


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"depth": np.full((120, 200), 1000.0)}, "depth must be in metres, its median is 1000"),
        ({"depth": np.full((120, 200), 0.001)}, "depth must be in metres, its median is 0.001"),
        ({"depth": np.full((120, 200), 1000, np.uint16)}, "depth must be floats"),
        ({"depth": np.full((60, 100), 1.0)}, "must have one size in pixels, have colours 200 x 120, depth 100 x 60, camera 200 x 120"),
        ({"depth": np.zeros((120, 200))}, "depth is missing everywhere"),
        ({"depth": np.full((120, 200), np.nan)}, "depth is missing everywhere"),
        ({"depth": np.full((120, 200), -1.0)}, "must not be negative"),
        ({"color": np.full((120, 200, 3), 0.5)}, "colours must be uint8"),
        ({"position": [5.0, 0.0, 1.0]}, "almost no point is inside the bounds"),
        ({"quaternion": [0.0, 0.0, 0.0, 1.0]}, "if axes of OpenGL"),
        ({"position": [0.5, 0.0, 4.0]}, "Check the poses"),
    ],
)
def test_a_view_with_a_mistake_is_refused_with_what_would_be_right(changed: dict[str, Any], told: str) -> None:
    assert (seen().mask >= 0).any()
    with pytest.raises(DataError) as failure:
        seen(**changed)
    assert told in str(failure.value)
    assert "mine" in str(failure.value)


def test_a_pose_the_wrong_way_round_is_told() -> None:
    camera = PinholeCamera.of(GOOD)
    turn = camera.rotation.T
    back = {**{key: GOOD[key] for key in ("fx", "fy", "cx", "cy", "width", "height")}, "matrix": np.eye(4)}
    back["matrix"][:3, :3], back["matrix"][:3, 3] = turn, -turn @ camera.position
    with pytest.raises(DataError, match="if position and quaternion are those of the world in the camera"):
        height_map([View(np.full((120, 200, 3), 9, np.uint8), np.full((120, 200), 1.0), PinholeCamera.of(back))], Workspace())


def test_the_pages_camera_and_actions_are_without_mistakes() -> None:
    page = Path(__file__).parents[4] / "docs/workloads/cliport-own.md"
    camera, actions = map(json.loads, re.findall(r"^```json\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL))
    assert PinholeCamera.of(camera).rotation[2, 2] < -0.5, "it looks down"
    assert [problem for action in actions for problem in problems_of_entry(action)] == []


# Folders


def write(folder: Path, name: str = "", depth: str = ".png", camera: dict[str, Any] | None = GOOD, height: float = 1.0) -> Path:
    """A view's files in a scene's folder: a flat table `height` metres below the camera."""
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((120, 200, 3), 90, np.uint8)).save(folder / f"color{name}.png")
    metres = np.full((120, 200), height, np.float32)
    if depth == ".png":
        Image.fromarray(np.rint(metres * 1000).astype(np.uint16)).save(folder / f"depth{name}.png")
    else:
        np.save(folder / f"depth{name}.npy", metres)
    if camera is not None:
        (folder / f"camera{name}.json").write_text(json.dumps(camera))
    return folder


def test_depth_in_millimetres_and_in_metres_are_the_same_scene(tmp_path: Path) -> None:
    one = sight(write(tmp_path / "a"), Workspace())
    other = sight(write(tmp_path / "b", depth=".npy"), Workspace())
    assert np.array_equal(one.map.mask, other.map.mask)
    assert one.map.height == pytest.approx(other.map.height, abs=1e-6)


def test_another_depth_unit_is_stated_by_the_camera(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", camera={**GOOD, "depth_unit": 0.00025}, height=4.0)  # 4000 units of a quarter of a millimetre
    assert (sight(folder, Workspace()).map.mask >= 0).any()


def test_several_views_make_one_map_and_a_camera_may_stand_above_all_scenes(tmp_path: Path) -> None:
    moved = {**GOOD, "position": [0.5, 0.3, 1.0]}
    for name, camera in (("_0", GOOD), ("_1", moved)):
        write(tmp_path / "one", name, camera=None)
        (tmp_path / f"camera{name}.yaml").write_text(json.dumps(camera))
    both = sight(tmp_path / "one", Workspace())
    assert len(both.cameras) == 2
    alone = sight(write(tmp_path / "two", camera=GOOD), Workspace())
    assert (both.map.mask >= 0).sum() > 1.1 * (alone.map.mask >= 0).sum()


def test_a_height_map_of_ones_own_bounds_is_a_scene(tmp_path: Path) -> None:
    Image.fromarray(np.full((200, 120, 3), 90, np.uint8)).save(tmp_path / "color.png")
    heights = np.zeros((200, 120), np.float32)
    heights[50, 60], heights[0, 0] = 0.03, np.nan
    np.save(tmp_path / "heights.npy", heights)
    view = sight(tmp_path, BENCH).map
    assert BENCH.position((110, 80), view.height) == pytest.approx([-0.2 + 60 * 0.0025, 1.0 + 50 * 0.0025, 0.73])
    assert view.mask[60, 20] == -1
    assert (view.mask >= 0).sum() == heights.size - 1
    with pytest.raises(DataError, match=r"must be uint8 of 320 x 160 x 3, are uint8 of 200 x 120 x 3\n.*must be floats of 320 x 160"):
        sight(tmp_path, Workspace())


def test_a_scene_that_lacks_files_names_all_of_them(tmp_path: Path) -> None:
    write(tmp_path / "one", "_0", camera=None)
    write(tmp_path / "one", "_1")
    (tmp_path / "one" / "depth_1.png").unlink()
    with pytest.raises(DataError) as failure:
        sight(tmp_path / "one", Workspace())
    assert f"{tmp_path / 'one'}: lacks camera_0.json, and so do the two folders above it" in str(failure.value)
    assert "lacks depth_1.png or depth_1.npy" in str(failure.value)
    with pytest.raises(DataError, match=r"lacks goal_color\.png"):
        sight(tmp_path / "one", Workspace(), prefix=GOAL)


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("color.png", b"no image", "is not an image"),
        ("depth.png", b"no image", "is not a depth image"),
        ("camera.json", b"[1, 2]", "must be a mapping"),
        ("camera.json", b"{", "cannot be read"),
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path: Path, file: str, content: bytes, told: str) -> None:
    folder = write(tmp_path / "one")
    (folder / file).write_bytes(content)
    with pytest.raises(DataError, match=told) as failure:
        sight(folder, Workspace())
    assert file in str(failure.value)


def test_a_depth_image_of_colours_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "one")
    (folder / "depth.png").write_bytes((folder / "color.png").read_bytes())
    with pytest.raises(DataError, match="one channel of 16 bits"):
        sight(folder, Workspace())


def test_requests_are_a_scene_a_folder_of_scenes_or_a_table(tmp_path: Path) -> None:
    for name in ("b", "a"):
        write(tmp_path / name)
    (tmp_path / "instruction.txt").write_text("put it there\n")
    (tmp_path / "a" / "instruction.txt").write_text("take that")
    (tmp_path / "notes").mkdir()
    assert [(one.name, one.instruction) for one in requests_in(tmp_path)] == [("a", "take that"), ("b", "put it there")]
    assert [one.instruction for one in requests_in(tmp_path, "do this")] == ["do this", "do this"]
    assert [(one.name, one.instruction) for one in requests_in(tmp_path / "b")] == [("b", "put it there")]
    (tmp_path / "requests.csv").write_text('\ufeffscene,instruction\nb,"one, please"\nb,two\n')  # as a spreadsheet writes it
    assert [(one.name, one.instruction) for one in requests_in(tmp_path)] == [("000-b", "one, please"), ("001-b", "two")]


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("scene\na\n", "must have the columns scene and instruction"),
        ("scene,instruction\n", "has no rows"),
        ("scene,instruction\nz,x\n", "row 2"),
        (b"scene,instruction\na,\xff\n", "no table of commas in UTF-8"),
    ],
)
def test_a_table_with_a_mistake_is_refused(tmp_path: Path, table: str | bytes, told: str) -> None:
    write(tmp_path / "a")
    (tmp_path / "requests.csv").write_bytes(table if isinstance(table, bytes) else table.encode())
    with pytest.raises(DataError, match=told):
        requests_in(tmp_path)


def test_an_instruction_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (write(tmp_path / "a") / "instruction.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"instruction\.txt: is no text in UTF-8"):
        requests_in(tmp_path)


def test_a_folder_without_scenes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no scene"):
        requests_in(tmp_path)
    with pytest.raises(DataError, match="there is no such folder"):
        requests_in(tmp_path / "nowhere")
