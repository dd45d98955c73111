"""The original's scanned objects, where their folder is given: read as published, textured, and enlarged by the original's rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scanned_folder
from PIL import Image
from scanned_folder import OFF, QUARTERS, SIZE

import cliport.demos
from cliport.config import DemosConfig
from cliport.data.reader import Demonstrations, check_objects
from cliport.data.store import Manifest
from cliport.errors import AssetError
from cliport.sim.cameras import looking
from cliport.sim.environment import Environment
from cliport.sim.poses import from_euler
from cliport.sim.rendering import egl_failure
from cliport.sim.shapes import scaled
from cliport.tasks import check_assets, make
from cliport.tasks.objects import ALL, SEEN, UNSEEN, named_object
from harness.errors import DataError
from harness.report import Recorder

SEQ, GROUP = "packing-seen-google-objects-seq", "packing-unseen-google-objects-group"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scanned_folder.write(tmp_path_factory.mktemp("assets"), ALL)


@pytest.fixture(scope="module", params=["tiny", "egl"])
def env(request: pytest.FixtureRequest) -> Iterator[Environment]:
    if request.param == "egl" and egl_failure():
        pytest.skip("EGL does not work on this machine")
    with Environment(renderer=request.param) as made:
        yield made


class Bare:
    """A table with nothing on it."""

    name, ee, lift = "bare", "suction", None

    def reset(self, env: Environment) -> None: ...

    def reward(self) -> tuple[float, dict[str, Any]]:
        return 0.0, {}

    def done(self) -> bool:
        return False

    def language(self) -> str:
        return ""


def test_a_scan_is_as_large_as_in_its_file_and_keeps_its_origin(folder: Path) -> None:
    hammer = named_object("hammer", folder)
    np.testing.assert_allclose(hammer.size, SIZE, atol=1e-6)
    np.testing.assert_allclose(hammer.middle, OFF, atol=1e-6)
    assert hammer.mass == 0.1  # as google/object-template.urdf says, with this friction
    assert hammer.friction == 1.0
    (hull,) = hammer.solids
    np.testing.assert_allclose(hull.size, SIZE, atol=1e-6)


def test_an_enlarged_shape_is_enlarged_about_its_origin(folder: Path) -> None:
    large = scaled(scaled(named_object("hammer", folder), 0.5), 3.0)
    np.testing.assert_allclose(large.size, np.array(SIZE) * 1.5, atol=1e-6)
    np.testing.assert_allclose(large.middle, np.array(OFF) * 1.5, atol=1e-6)
    np.testing.assert_allclose(large.vertices.max(0) - large.vertices.min(0), large.size, atol=1e-6)
    corners = np.array(large.solids[0].points)
    np.testing.assert_allclose(np.ptp(corners, axis=0), large.size, atol=1e-6)


def test_cameras_see_the_texture_where_it_belongs(env: Environment, folder: Path) -> None:
    env.reset(Bare(), 0, observe=False)
    at = from_euler((0.5, 0.0, SIZE[2] / 2 - OFF[2]))
    env.add(scaled(named_object("hammer", folder), 1.0), at)
    middle = np.array([0.5 + OFF[0], OFF[1]])
    above = looking((middle[0], middle[1] - 1e-4, 1.0), (*middle, 0.0), focal=1500.0)  # the image's up is +y, its right is +x
    picture = env.photograph(above)
    rows, columns = picture.shape[0] / 2, picture.shape[1] / 2
    for place, color in QUARTERS.items():
        y = -1 if "upper" in place else 1
        x = -1 if "left" in place else 1
        seen = picture[round(rows + 30 * y), round(columns + 60 * x)].astype(int)
        assert (seen[np.array(color) > 0] > 200).all(), place
        assert (seen[np.array(color) == 0] < 40).all(), place


def test_textures_stay_through_scenes_and_other_scenes_look_as_before(env: Environment, folder: Path) -> None:
    task = make(SEQ, "train", str(folder))
    first = env.reset(task, 0).color[0]
    env.reset(make("packing-shapes"), 0)
    np.testing.assert_array_equal(env.reset(task, 0).color[0], first)


def test_scans_come_without_a_note_of_stand_ins(env: Environment, folder: Path) -> None:
    task = make(SEQ, "train", str(folder))
    env.reset(task, 1, observe=False)
    assert "differs" not in task.reward()[1]
    plain = make(SEQ, "train")
    env.reset(plain, 1, observe=False)
    assert "stand-ins" in str(plain.reward()[1]["differs"])


def test_all_that_is_missing_or_damaged_is_one_error(tmp_path: Path) -> None:
    folder = scanned_folder.write(tmp_path, SEEN)
    meshes, textures = tmp_path / "google/meshes_fixed", tmp_path / "google/textures"
    (meshes / "c_clamp.obj").unlink()
    (textures / "mario_figure.png").unlink()
    (textures / "tablet.png").write_bytes(b"no picture")
    (meshes / "scissors.obj").write_text("v 0 0 nan\nv 0 1 0\nv 1 0 0\nvt 0 0\nf 1/1 2/1 3/1\n")
    (meshes / "frypan.obj").write_text("v 0 0 0\nv 0 1 0\nv 1 0 1\nf 1 2 3\n")
    (meshes / "purple_tape.obj").write_text("v 0 0 0\nv 0 1 0\nv 1 0 0\nvt 0 0\nf 1/1 2/1 9/1\n")
    with pytest.raises(AssetError) as error:
        check_assets(str(folder), [SEQ, GROUP], "train")
    told = str(error.value)
    for name in (
        "c_clamp.obj: no such file",
        "mario_figure.png: no such file",
        "tablet.png is not an image",
        *(f"{name}.obj is not a W" for name in ("scissors", "frypan", "purple_tape")),
    ):
        assert name in told
    assert told.count("hammer") == 2  # seen tasks show unseen objects, too: its mesh and its texture are missing
    assert len(told.splitlines()) == 1 + 6 + 2 * len(UNSEEN)


def test_a_folder_of_something_else_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=r"no such folder$") as error:
        check_assets(str(tmp_path), [SEQ], "val")
    assert "google/meshes_fixed/<name>.obj" in str(error.value)


def test_an_unseen_task_needs_the_objects_of_its_mode_alone(tmp_path: Path) -> None:
    folder = scanned_folder.write(tmp_path, UNSEEN)
    check_assets(str(folder), [GROUP], "test")
    check_assets(str(folder), ["align-rope"], "train")
    with pytest.raises(AssetError, match="alarm_clock"):
        check_assets(str(folder), [GROUP], "train")


def test_demonstrations_do_not_begin_without_all_scans(tmp_path: Path) -> None:
    folder = scanned_folder.write(tmp_path / "assets", SEEN)
    settings = DemosConfig(task=GROUP, mode="train", n=1, n_val=1, assets=str(folder), renderer="tiny")
    with pytest.raises(AssetError, match="ball_puzzle"):
        cliport.demos.make_demos(settings, tmp_path / "data", Recorder())
    assert not (tmp_path / "data").exists()


def test_demonstrations_say_what_their_objects_are_and_are_not_mixed(tmp_path: Path, folder: Path) -> None:
    plain = DemosConfig(task=GROUP, mode="train", n=1, renderer="tiny", debug_images=0)
    scans = replace(plain, assets=str(folder))
    made = {}
    for settings, kind in ((plain, "stand-ins"), (scans, "scans")):
        report = Recorder()
        (made[kind],) = cliport.demos.make_demos(settings, tmp_path / kind, report)
        assert any("stand-ins" in text for text in report.texts) is (kind == "stand-ins")
        assert Manifest.read(made[kind]).objects == kind
    with pytest.raises(DataError, match="contains scenes with stand-ins; none with scans can be added"):
        cliport.demos.make_demos(replace(scans, n=2), tmp_path / "stand-ins", Recorder())

    def objects(assets: str) -> Callable[[str], str]:
        return lambda task: make(task, "train", assets).objects

    check_objects(Demonstrations(made["scans"]), objects(str(folder)))
    check_objects(Demonstrations(made["stand-ins"]), objects(""))
    with pytest.raises(DataError, match=f"{made['scans']} has scans: scenes with scans need assets=FOLDER"):
        check_objects(Demonstrations(made["scans"]), objects(""))


def test_a_large_texture_is_made_small(tmp_path: Path) -> None:
    from cliport.sim.studio import TEXTURE, small_image

    Image.new("RGBA", (4 * TEXTURE, 2 * TEXTURE), (10, 200, 30, 255)).save(tmp_path / "large.png")
    with Image.open(small_image(tmp_path / "large.png")) as small:
        assert small.size == (TEXTURE, TEXTURE // 2)
        assert small.mode == "RGB"
        assert small.getpixel((5, 5)) == (10, 200, 30)
