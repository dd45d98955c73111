"""The data set on disk: whole, labelled exactly, the same for one seed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from harness.cache import once
from harness.errors import ParameterError
from harness.report import Recorder
from harness.settings import merge
from harness.tree import survey
from tabletop.config import PARTS, SHAPE_NAMES, RenderConfig
from tabletop.dataset import mapping, render
from tabletop.formats import FORMATS
from tabletop.scene import TALL
from tabletop.shapes import COLOURS, SHAPES

ROOT = Path(__file__).parents[3]
CATALOG: dict[str, Any] = yaml.safe_load((ROOT / "registry/catalog.yaml").read_text())


def scenes_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "scenes.jsonl").read_text().splitlines()]


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def settings_of(alias: str) -> RenderConfig:
    """The settings with which the catalogue makes a dataset."""
    build = dict(CATALOG[alias]["build"])
    config = yaml.safe_load((ROOT / f"configs/tabletop/{build.pop('config')}.yaml").read_text())
    return RenderConfig(**config | {key: value for key, value in build.items() if key not in ("workload", "command")})


def process_of(_: int) -> int:
    return os.getpid()


def load(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_images_and_captions_match_by_stem_in_both_parts(pairs: Path) -> None:
    for part, count in (("train", 30), ("heldout", 10)):
        images = {path.stem for path in (pairs / part / "images").iterdir()}
        captions = {path.stem for path in (pairs / part / "captions").iterdir()}
        assert images == captions
        assert len(images) == count
    assert len(list((pairs / "masks").iterdir())) == 40
    manifest = json.loads((pairs / "manifest.json").read_text())
    assert manifest["scenes"] == {"train": 30, "heldout": 10}
    assert manifest["scenes.jsonl"] == f"sha256:{hashlib.sha256((pairs / 'scenes.jsonl').read_bytes()).hexdigest()}"


@pytest.mark.parametrize("name", FORMATS)
def test_nothing_is_lost_or_overwritten_on_the_way_through_the_cache(name: str, made: Callable[[str], Path], tmp_path: Path) -> None:
    """Its own manifest.json lies where the cache once wrote its own."""

    def download(folder: Path) -> dict[str, str]:
        shutil.copytree(made(name), folder, dirs_exist_ok=True)
        return digests(made(name))

    tree = survey(made(name))
    assert set(tree.files) == set(digests(made(name)))
    assert "manifest.json" in tree.files
    assert [*tree.lost, *tree.hollow, *tree.empty] == []
    assert digests(once(tmp_path / "cached", download)) == digests(made(name))


def test_the_held_out_part_shows_combinations_that_train_never_shows(pairs: Path) -> None:
    def combination(scene: dict[str, Any]) -> tuple[tuple[str, str], ...]:
        return tuple(sorted((thing["colour"], thing["shape"]) for thing in scene["objects"]))

    seen = {combination(scene) for scene in scenes_of(pairs) if scene["part"] == "train"}
    unseen = {combination(scene) for scene in scenes_of(pairs) if scene["part"] == "heldout"}
    assert not seen & unseen
    colours = Counter(colour for part in seen for colour, _ in part)
    assert set(colours) == set(COLOURS)


def test_masks_are_the_objects_to_the_pixel(pairs: Path) -> None:
    """Where the mask has an object the picture has its hue, and boxes and counts follow from the mask."""
    right = total = 0
    for scene in scenes_of(pairs):
        mask, image = load(pairs / scene["mask"]), load(pairs / scene["image"]).astype(float)
        assert mask.shape == image.shape[:2] == (96, 96)
        assert mask.dtype == np.uint8
        assert set(np.unique(mask)) <= {0, *(thing["number"] for thing in scene["objects"])}
        for thing in scene["objects"]:
            covered = mask == thing["number"]
            ys, xs = np.nonzero(covered)
            assert thing["pixels"] == covered.sum() > 0.003 * mask.size
            assert thing["box"] == [xs.min(), ys.min(), xs.max() + 1 - xs.min(), ys.max() + 1 - ys.min()]
            inside = image[covered & (np.roll(covered, 1, 0) & np.roll(covered, -1, 0) & np.roll(covered, 1, 1) & np.roll(covered, -1, 1))]
            hues = inside / inside.max(1, keepdims=True).clip(1)
            names = list(COLOURS)
            wanted = np.array([np.divide(rgb, max(rgb)) for rgb in COLOURS.values()])
            nearest = np.linalg.norm(hues[:, None] - wanted[None], axis=2).argmin(1)
            right += (nearest == names.index(thing["colour"])).sum()
            total += len(inside)
    assert right > 0.97 * total


def test_objects_lie_where_their_poses_say(pairs: Path) -> None:
    """The projected position falls into the object's box."""
    for scene in scenes_of(pairs):
        view, projection = (np.reshape(scene["camera"][key], (4, 4)).T for key in ("view", "projection"))
        for thing in scene["objects"]:
            x, y, _, w = projection @ view @ [*thing["position"], 1]
            column, row = (x / w + 1) / 2 * 96, (1 - y / w) / 2 * 96
            left, top, width, height = thing["box"]
            hidden = len(scene["objects"]) > 1  # another one may cover part of it
            slack = 12 if hidden else 1
            assert left - slack <= column <= left + width + slack
            assert top - slack <= row <= top + height + slack


@pytest.mark.parametrize("name", FORMATS)
def test_the_result_is_a_function_of_the_seed_alone(tmp_path: Path, name: str) -> None:
    settings = {"format": name, "n": 7, "heldout": 0.3, "image_size": 64}
    one = render(RenderConfig(**settings, workers=1), 7, tmp_path / "one", Recorder())
    two = render(RenderConfig(**settings, workers=2), 7, tmp_path / "two", Recorder())
    other = render(RenderConfig(**settings, workers=1), 8, tmp_path / "other", Recorder())

    assert digests(one) == digests(two)
    pictures = [file for file in digests(one) if file.endswith((".png", ".jpg"))]
    assert len(pictures) >= 7
    assert not {digests(one)[file] for file in pictures} & {digests(other)[file] for file in pictures}


@pytest.mark.parametrize("name", ["coco", "voc", "sherlock"])
def test_every_format_has_a_manifest_and_exact_labels_of_its_scenes(made: Callable[[str], Path], name: str) -> None:
    folder = made(name)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert folder.name == f"tabletop-{name}"
    assert manifest["format"] == f"tabletop-{name}/1"
    assert manifest["scenes.jsonl"] == f"sha256:{hashlib.sha256((folder / 'scenes.jsonl').read_bytes()).hexdigest()}"
    scenes = scenes_of(folder)
    assert Counter(scene["part"] for scene in scenes) == manifest["scenes"] == RenderConfig(**manifest["settings"]).sizes
    for scene in scenes:
        assert load(folder / scene["image"]).shape[0] == 90
        assert 3 <= len(scene["objects"]) <= 6
    assert {thing["shape"] for scene in scenes for thing in scene["objects"]} == set(SHAPES)


@pytest.mark.parametrize("name", ["coco", "voc", "sherlock"])
def test_what_is_held_out_shows_combinations_that_train_never_shows(made: Callable[[str], Path], name: str) -> None:
    combinations = {"train": set(), "held out": set()}
    for scene in scenes_of(made(name)):
        part = "train" if scene["part"] == "train" else "held out"
        combinations[part].add(tuple(sorted((thing["colour"], thing["shape"]) for thing in scene["objects"])))
    assert not combinations["train"] & combinations["held out"]


def test_things_are_turned_and_cameras_moved_where_the_settings_say_so(made: Callable[[str], Path], pairs: Path) -> None:
    def turned(folder: Path) -> float:
        cubes = [thing["orientation"] for scene in scenes_of(folder) for thing in scene["objects"] if thing["shape"] == "cube"]
        yaws = [abs(2 * np.arctan2(z, w)) % (np.pi / 2) for _, _, z, w in cubes]
        return float(np.mean([0.1 < yaw < np.pi / 2 - 0.1 for yaw in yaws]))

    def distances(folder: Path) -> float:
        return float(np.ptp([scene["camera"]["distance"] for scene in scenes_of(folder)]))

    def lying(folder: Path) -> int:
        things = [thing for scene in scenes_of(folder) for thing in scene["objects"]]
        return sum(
            abs(1 - 2 * (x * x + y * y)) < 0.5 for x, y, _, _ in (thing["orientation"] for thing in things if thing["shape"] in TALL)
        )

    assert lying(pairs) == 0
    assert lying(made("coco")) > 0
    assert turned(pairs) < 0.1
    assert turned(made("coco")) > 0.5
    assert distances(pairs) < 0.08
    assert distances(made("coco")) > 0.2


def test_a_run_that_breaks_leaves_no_data_set(tmp_path: Path) -> None:
    class Broken(Recorder):
        def progress(self, items: Any, total: int | None = None, description: str = "") -> Any:
            for number, item in enumerate(items):
                if number == 2:
                    raise OSError("disk full")
                yield item

    with pytest.raises(OSError, match="disk full"):
        render(RenderConfig(n=5, image_size=32, workers=1), 0, tmp_path, Broken())
    assert not (tmp_path / "tabletop-pairs").exists()
    assert render(RenderConfig(n=5, image_size=32, workers=1), 0, tmp_path, Recorder()) == tmp_path / "tabletop-pairs"


@pytest.mark.parametrize("name", FORMATS)
def test_some_scenes_are_shown_with_their_labels(tmp_path: Path, name: str) -> None:
    report = Recorder()
    render(RenderConfig(format=name, n=9, heldout=0.3, image_size=64, workers=1, debug_images=3), 0, tmp_path, report)
    assert [series for _, series, _, _ in report.images] == ["train 000000", "train 000003", f"{PARTS[name][1]} 000006"]
    for _, series, picture, _ in report.images:
        (photograph,) = (
            load(tmp_path / f"tabletop-{name}" / each["image"])
            for each in scenes_of(tmp_path / f"tabletop-{name}")
            if each["name"] == series[-6:]
        )
        assert picture.size != photograph.shape[1::-1] or np.abs(np.asarray(picture, float) - photograph).max() > 50


def test_contradicting_settings_are_refused_all_at_once(tmp_path: Path) -> None:
    settings = RenderConfig(format="sherlock", n=10, heldout=0.1, part_of=5, min_objects=5, name="../up", shapes=["cube", "cube"])
    with pytest.raises(ParameterError) as refused:
        render(settings, 0, tmp_path, Recorder())
    assert refused.value.problems == [
        "min_objects=5 is greater than max_objects=4",
        "part_of=5 is less than n=10",
        "name=../up: must consist of 3 to 100 letters, digits, underscores, dots and hyphens",
        "shapes=['cube', 'cube']: must name at least one shape, and none twice",
        "n=10 heldout=0.1: leaves no scenes for test, which format=sherlock needs",
    ]
    assert not list(tmp_path.iterdir())


def test_values_out_of_range_name_what_is_allowed() -> None:
    with pytest.raises(ParameterError) as refused:
        merge(RenderConfig, None, {"format": "cocoa", "shapes": ["cube", "sphere"], "aspect": 9}.items())
    problems = "\n".join(refused.value.problems)
    assert "format=cocoa: must be one of pairs, coco, voc, sherlock (did you mean coco?)" in problems
    assert "must be one of cube, ball" in problems
    assert "aspect=9.0: must be float >= 0.5 and <= 3" in problems


def test_the_settings_know_every_format_and_shape() -> None:
    assert list(FORMATS) == list(PARTS)
    assert list(SHAPES) == list(SHAPE_NAMES)


def test_every_scene_belongs_to_one_part() -> None:
    settings = RenderConfig(format="sherlock", n=11, heldout=0.5)
    assert settings.sizes == {"train": 5, "val": 3, "test": 3}
    assert [number for number, _ in settings.scenes()] == list(range(11))
    assert Counter(part for _, part in settings.scenes()) == {"train": 5, "val": 3, "test": 3}


def test_a_part_of_a_dataset_has_the_first_scenes_of_each_of_its_parts(made: Callable[[str], Path], tmp_path: Path) -> None:
    whole = made("coco")
    settings = json.loads((whole / "manifest.json").read_text())["settings"] | {"n": 8, "part_of": 24}
    part = render(RenderConfig(**settings, workers=1), 0, tmp_path, Recorder())
    pictures = {name: digest for name, digest in digests(part).items() if name.endswith(".jpg")}
    assert sorted(pictures) == [
        *(f"train2017/{number:012d}.jpg" for number in (1, 2, 3, 4)),
        *(f"val2017/{number:012d}.jpg" for number in (13, 14, 15, 16)),
    ]
    assert pictures.items() <= digests(whole).items()
    assert {scene["name"]: scene for scene in scenes_of(part)}.items() <= {scene["name"]: scene for scene in scenes_of(whole)}.items()


@pytest.mark.parametrize("alias", [name for name in CATALOG if name.endswith("-min")])
def test_each_min_dataset_is_a_part_of_the_one_that_it_is_named_after(alias: str) -> None:
    small, whole = (settings_of(name) for name in (alias, alias.removesuffix("-min")))
    assert small.n < whole.n
    assert set(small.scenes()) < set(whole.scenes())
    assert dataclasses.replace(small, n=whole.n, part_of=None, name="") == dataclasses.replace(whole, name="")


def test_processes_end_before_what_pybullet_keeps_fills_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After every SCENES_PER_PROCESS scenes another process takes over; the result is the same."""
    monkeypatch.setattr("tabletop.dataset.SCENES_PER_PROCESS", 4)
    settings = {"n": 9, "heldout": 0.3, "image_size": 32}
    with mapping(1, 9) as each:
        processes = list(each(process_of, range(9)))
    assert len(set(processes)) == 3
    several = render(RenderConfig(**settings, workers=1), 7, tmp_path / "several", Recorder())
    monkeypatch.undo()
    one = render(RenderConfig(**settings, workers=1), 7, tmp_path / "one", Recorder())
    assert digests(several) == digests(one)
