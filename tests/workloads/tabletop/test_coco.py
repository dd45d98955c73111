"""COCO's files say what the renderer saw: read back by COCO's own tools."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tabletop.config import SHAPE_NAMES
from tabletop.formats import Sample
from tabletop.formats.outlines import polygons

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools's
PARTS = ("train", "val")


@pytest.fixture
def folder(made: Callable[[str], Path]) -> Path:
    return made("coco")


@pytest.fixture
def labels(folder: Path) -> dict[str, COCO]:
    return {part: COCO(folder / f"annotations/instances_{part}2017.json") for part in PARTS}


def test_every_instance_is_the_renderers_to_the_pixel(labels: dict[str, COCO], scenes: Callable[[str], list[Sample]]) -> None:
    for sample in scenes("coco"):
        coco = labels[sample.part]
        seen = sample.scene.photograph.mask
        annotations = coco.loadAnns(coco.getAnnIds(imgIds=[sample.index + 1]))
        assert len(annotations) == len(sample.scene.things)
        for annotation, thing in zip(annotations, sample.scene.things, strict=True):
            mask = coco.annToMask(annotation).astype(bool)
            assert (mask == (seen == thing.number)).all()
            assert annotation["area"] == mask.sum()
            assert annotation["bbox"] == coco_mask.toBbox(coco.annToRLE(annotation)).tolist()
            assert coco.loadCats(annotation["category_id"])[0]["name"] == thing.kind.shape
            assert annotation["attributes"]["colour"] == thing.kind.colour
            assert annotation["iscrowd"] == 0


def test_pictures_lie_where_their_names_say(folder: Path, labels: dict[str, COCO], scenes: Callable[[str], list[Sample]]) -> None:
    for sample in scenes("coco"):
        (image,) = labels[sample.part].loadImgs([sample.index + 1])
        with Image.open(folder / f"{sample.part}2017" / image["file_name"]) as picture:
            assert picture.format == "JPEG"
            assert picture.size == (image["width"], image["height"]) == (120, 90)
            loss = np.abs(np.asarray(picture, float) - sample.scene.photograph.image)
        assert loss.mean() < 4


def test_ids_are_unique_and_parts_disjoint(folder: Path, labels: dict[str, COCO]) -> None:
    images = [set(coco.imgs) for coco in labels.values()]
    annotations = [annotation["id"] for coco in labels.values() for annotation in coco.dataset["annotations"]]
    files = [{path.name for path in (folder / f"{part}2017").iterdir()} for part in PARTS]
    assert [len(ids) for ids in images] == [len(names) for names in files] == [12, 12]
    assert not images[0] & images[1]
    assert not files[0] & files[1]
    assert len(set(annotations)) == len(annotations)
    for coco in labels.values():
        assert [category["name"] for category in coco.dataset["categories"]] == list(SHAPE_NAMES)
        assert {annotation["image_id"] for annotation in coco.dataset["annotations"]} == set(coco.imgs)


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_the_labels_score_full_marks_in_cocos_evaluation(labels: dict[str, COCO], kind: str) -> None:
    truth = labels["val"]
    right = [{**annotation, "score": 1.0} for annotation in truth.dataset["annotations"]]
    evaluation = COCOeval(truth, truth.loadRes(right), kind)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1.0)


def test_things_hide_parts_of_others(scenes: Callable[[str], list[Sample]], labels: dict[str, COCO]) -> None:
    """Boxes of stacked things overlap, their masks never do."""
    overlapping = 0
    for coco in labels.values():
        for image in coco.imgs:
            annotations = coco.loadAnns(coco.getAnnIds(imgIds=[image]))
            boxes = np.array([annotation["bbox"] for annotation in annotations], float)
            overlapping += (coco_mask.iou(boxes, boxes, [0] * len(boxes)) > 0).sum() - len(boxes)
            assert np.sum([coco.annToMask(annotation) for annotation in annotations], axis=0).max() == 1
    assert overlapping > 0


STRIPES = np.indices((6, 7)).sum(0) % 2 == 0


@pytest.mark.parametrize(
    "mask",
    [
        pytest.param(np.ones((3, 4), bool), id="full"),
        pytest.param(np.eye(5, dtype=bool), id="starts and ends with a one"),
        pytest.param(~np.eye(5, dtype=bool), id="starts and ends with a zero"),
        pytest.param(np.pad(np.zeros((2, 2), bool), 2, constant_values=True), id="a hole"),
        pytest.param(np.pad(np.pad([[True]], 1), 2, constant_values=True), id="an island in a hole"),
        pytest.param(STRIPES, id="parts that touch at corners"),
        pytest.param(np.random.default_rng(0).random((17, 11)) < 0.5, id="noise"),
    ],
)
def test_polygons_are_the_mask_to_the_pixel_as_coco_reads_them(mask: np.ndarray) -> None:
    outlines = json.loads(json.dumps(polygons(mask)))
    assert (coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(outlines, *mask.shape))) == mask).all()


def test_a_part_has_one_polygon_and_its_holes_have_none() -> None:
    mask = np.zeros((9, 20), bool)
    mask[1:8, 1:8] = True
    mask[3:5, 3:5] = mask[6, 6] = False
    mask[2:4, 10:19] = True
    ring, bar = polygons(mask)
    assert bar == [10, 2, 19, 2, 19, 4, 10, 4]
    assert len(ring) == 2 * (4 + 2 * (4 + 2))  # its corners, and for each hole its own and twice two where the line leaves and returns
    assert polygons(np.zeros((3, 3), bool)) == []
