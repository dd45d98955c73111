"""What tabletop writes as COCO and VOC is what the toolboxes' check of data reads, and it has nothing to say against it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from toolboxes.data import check


def scenes(folder: Path, part: str) -> list[dict[str, Any]]:
    listed = map(json.loads, (folder / "scenes.jsonl").read_text().splitlines())
    return [scene for scene in listed if scene["part"] == part]


@pytest.mark.parametrize("name", ["coco", "voc"])
def test_nothing_is_wrong_with_it_and_every_object_is_read(name: str, made: Callable[[str], Path]) -> None:
    report = check(made(name), deep=True)
    assert [finding.sentence for finding in report.errors] == []
    assert {finding.code for finding in report.warnings} <= {"class-unseen", "class-in-one-split"}, "few scenes show few shapes"
    manifest = json.loads((made(name) / "manifest.json").read_text())
    assert report.dataset.form == name
    assert report.dataset.classes == manifest["settings"]["shapes"]
    for part, split in report.dataset.splits.items():
        told = scenes(made(name), part)
        assert len(split.pictures) == len(told) == manifest["scenes"][part]
        wanted = [[float(side) for side in thing["box"]] for scene in told for thing in scene["objects"]]
        assert Counter(map(tuple, split.boxes().tolist())) == Counter(map(tuple, wanted))


def test_masks_of_objects_have_the_pixels_that_were_rendered(made: Callable[[str], Path]) -> None:
    report = check(made("coco"))
    assert report.dataset.tasks == ["detection", "instance segmentation"]
    for part, split in report.dataset.splits.items():
        sizes = [split.pictures[thing.picture].size or (0, 0) for thing in split.things]
        polygons = [coco_mask.frPyObjects(thing.segmentation, high, wide) for thing, (wide, high) in zip(split.things, sizes, strict=True)]
        found = [int(coco_mask.area(coco_mask.merge(parts))) for parts in polygons]
        assert found == [thing["pixels"] for scene in scenes(made("coco"), part) for thing in scene["objects"]]
        assert np.allclose(found, [thing.area or 0 for thing in split.things])


def test_masks_of_classes_have_the_background_the_shapes_and_void(made: Callable[[str], Path]) -> None:
    dataset = check(made("voc")).dataset
    assert dataset.values == ["background", *dataset.classes]
    assert (made("voc") / "labels.txt").read_text().splitlines() == dataset.values
    assert dataset.void == 255
    assert dataset.tasks == ["detection", "semantic segmentation"]
