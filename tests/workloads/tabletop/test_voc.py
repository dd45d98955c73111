"""VOC's folder says what the renderer saw: read back as XML and palette pictures."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from tabletop.config import SHAPE_NAMES
from tabletop.formats import Sample
from tabletop.formats.voc import BORDER, contours

PUBLISHED = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 5: (128, 0, 128), 8: (64, 0, 0), 15: (192, 128, 128), 20: (0, 64, 128)}


@pytest.fixture
def folder(made: Callable[[str], Path]) -> Path:
    return made("voc") / "VOCdevkit/VOC2012"


def stem(sample: Sample) -> str:
    return f"2012_{sample.index + 1:06d}"


def label(folder: Path, kind: str, sample: Sample) -> np.ndarray:
    with Image.open(folder / kind / f"{stem(sample)}.png") as picture:
        assert picture.mode == "P"
        return np.asarray(picture)


def near_another(mask: np.ndarray, width: int) -> np.ndarray:
    """Where there is another number within `width` pixels, by looking at each shift."""
    padded = np.pad(mask, width, mode="edge")
    shifts = itertools.product(range(2 * width + 1), repeat=2)
    return np.any([padded[y : y + mask.shape[0], x : x + mask.shape[1]] != mask for y, x in shifts], axis=0)


def test_classes_and_objects_are_the_renderers_up_to_the_void_border(folder: Path, scenes: Callable[[str], list[Sample]]) -> None:
    for sample in scenes("voc"):
        mask = sample.scene.photograph.mask
        classes, objects = (label(folder, kind, sample) for kind in ("SegmentationClass", "SegmentationObject"))
        void = near_another(mask, BORDER)
        assert ((classes == 255) == void).all()
        assert ((objects == 255) == void).all()
        assert (objects[~void] == mask[~void]).all()
        index = np.array([0, *(SHAPE_NAMES.index(thing.kind.shape) + 1 for thing in sample.scene.things)])
        assert (classes[~void] == index[mask[~void]]).all()


def test_the_palette_is_vocs(folder: Path) -> None:
    with Image.open(next((folder / "SegmentationClass").iterdir())) as picture:
        colours = np.reshape(picture.getpalette(), (-1, 3))
    assert {number: tuple(colours[number]) for number in PUBLISHED} == PUBLISHED
    assert tuple(colours[255]) == (224, 224, 192)


def test_boxes_count_from_one_with_both_ends_included(folder: Path, scenes: Callable[[str], list[Sample]]) -> None:
    truncated = 0
    for sample in scenes("voc"):
        mask = sample.scene.photograph.mask
        root = ElementTree.parse(folder / "Annotations" / f"{stem(sample)}.xml").getroot()
        assert root.findtext("filename") == f"{stem(sample)}.jpg"
        assert [int(root.findtext(f"size/{key}") or 0) for key in ("height", "width", "depth")] == [*mask.shape, 3]
        objects = root.findall("object")
        assert [each.findtext("name") for each in objects] == [thing.kind.shape for thing in sample.scene.things]
        for each, thing in zip(objects, sample.scene.things, strict=True):
            ys, xs = np.nonzero(mask == thing.number)
            box = [int(each.findtext(f"bndbox/{key}") or 0) for key in ("xmin", "ymin", "xmax", "ymax")]
            assert box == [xs.min() + 1, ys.min() + 1, xs.max() + 1, ys.max() + 1]
            touches = xs.min() == 0 or ys.min() == 0 or xs.max() == mask.shape[1] - 1 or ys.max() == mask.shape[0] - 1
            assert each.findtext("truncated") == str(int(touches))
            truncated += touches
    assert truncated > 0


@pytest.mark.parametrize("use", ["Segmentation", "Main"])
def test_the_lists_are_disjoint_and_everything_listed_is_there(folder: Path, use: str) -> None:
    train, val, both = ((folder / "ImageSets" / use / f"{part}.txt").read_text().split() for part in ("train", "val", "trainval"))
    assert len(train) == len(val) == 12
    assert not set(train) & set(val)
    assert both == train + val
    for kind in ("JPEGImages/{}.jpg", "SegmentationClass/{}.png", "SegmentationObject/{}.png", "Annotations/{}.xml"):
        assert all((folder / kind.format(name)).is_file() for name in both)


def test_a_contour_is_void_on_both_sides_and_a_picture_s_edge_is_not() -> None:
    mask = np.zeros((5, 8), np.uint8)
    mask[:, 4:] = 1
    assert contours(mask, 1).tolist() == [[False] * 3 + [True] * 2 + [False] * 3] * 5
