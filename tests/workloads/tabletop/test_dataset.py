"""The data set on disk: whole, labelled exactly, the same for one seed."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.errors import ParameterError
from harness.report import Recorder
from tabletop.config import RenderConfig
from tabletop.dataset import render
from tabletop.shapes import COLOURS


def scenes_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "scenes.jsonl").read_text().splitlines()]


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


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


def test_the_result_is_a_function_of_the_seed_alone(tmp_path: Path) -> None:
    settings = {"n": 10, "heldout": 0.3, "image_size": 64}
    one = render(RenderConfig(**settings, workers=1), 7, tmp_path / "one", Recorder())
    three = render(RenderConfig(**settings, workers=3), 7, tmp_path / "three", Recorder())
    other = render(RenderConfig(**settings, workers=1), 8, tmp_path / "other", Recorder())

    assert digests(one) == digests(three)
    images = [name for name in digests(one) if name.endswith(".png")]
    assert not {digests(one)[name] for name in images} & {digests(other)[name] for name in images}


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


def test_some_scenes_are_shown_with_their_captions(tmp_path: Path) -> None:
    report = Recorder()
    render(RenderConfig(n=9, image_size=64, workers=1, debug_images=3), 0, tmp_path, report)
    assert [series for _, series, _, _ in report.images] == ["train 000000", "train 000003", "train 000006"]
    assert all(picture.height > picture.width for _, _, picture, _ in report.images)


def test_contradicting_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="min_objects=5 is above max_objects=4"):
        render(RenderConfig(min_objects=5), 0, tmp_path, Recorder())
