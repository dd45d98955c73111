"""Drawn samples: which are chosen, and that boxes, masks and void are where the data says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.annotated import Coco, mask, masks, photograph

from harness.errors import DataError
from toolboxes.data import check, page, pictures, save
from toolboxes.data.drawing import MARGIN, WIDTH, colour


def near(image: Image.Image, box: tuple[float, float, float, float], tone: tuple[int, int, int]) -> float:
    """The mean distance, in values of 0 to 255, of an image's part, given in parts of it, from a colour."""
    left, top, right, bottom = (side * size for side, size in zip(box, (*image.size, *image.size), strict=True))
    return float(np.abs(np.asarray(image.crop((round(left), round(top), round(right), round(bottom))), float) - tone).mean())


def test_a_mask_and_a_box_are_drawn_in_their_class_s_colour(tmp_path: Path) -> None:
    coco = Coco(tmp_path)
    Image.new("RGB", (64, 48), "white").save(coco.folder("val") / "000000000005.jpg")
    coco.files["val"]["annotations"] = [
        note | {"segmentation": note["segmentation"] if note["category_id"] == 1 else []} for note in coco.files["val"]["annotations"]
    ]
    ((split, file, drawn),) = pictures(check(coco.save()).dataset, "val", 1)
    assert (split, file, drawn.width) == ("val", "000000000005.jpg", WIDTH)
    inside = (6 / 64, 10 / 48, 14 / 64, 16 / 48)  # of the first object's [4, 6, 12, 11]
    halfway = tuple((255 + side) // 2 for side in colour(0))
    assert near(drawn, inside, halfway) < 4
    beside = (24 / 64, 10 / 48, 32 / 64, 16 / 48)  # within the second object's box, which has no mask
    assert near(drawn, beside, (255, 255, 255)) < 4
    edge = (22 / 64, 10 / 48, 22.2 / 64, 16 / 48)
    assert near(drawn, edge, colour(1)) < 60


def test_void_is_grey_and_the_background_is_clear(tmp_path: Path) -> None:
    masks(tmp_path)
    Image.new("RGB", (64, 48), "black").save(tmp_path / "img_dir/val/val0.jpg")
    values = np.zeros((48, 64), np.uint8)
    values[:16], values[16:32] = 255, 1
    mask(tmp_path / "ann_dir/val/val0.png", values)
    (_, _, drawn), *_ = pictures(check(tmp_path).dataset, "val", 2)
    assert near(drawn, (0, 0, 1, 0.3), (168, 168, 168)) < 4
    assert near(drawn, (0, 0.7, 1, 1), (0, 0, 0)) < 4
    assert near(drawn, (0, 0.4, 1, 0.6), (0, 0, 0)) > 30


def test_the_page_shows_every_split_alike(tmp_path: Path) -> None:
    dataset = check(Coco(tmp_path).save()).dataset
    assert [split for split, _, _ in pictures(dataset, None, 4)] == ["train", "train", "val", "val"]
    assert len(list(pictures(dataset, None, 100))) == 6
    drawn = page(dataset, list(pictures(dataset, None, 5)), columns=4)
    assert drawn.width == 4 * (WIDTH + MARGIN) + MARGIN
    assert drawn.height > 2 * 270


def test_annotated_images_come_first_and_unreadable_ones_are_left_out(tmp_path: Path) -> None:
    coco = Coco(tmp_path)
    coco.files["train"]["annotations"] = [note for note in coco.files["train"]["annotations"] if note["image_id"] in (2, 3)]
    (coco.folder("train") / "000000000002.jpg").write_bytes(b"")
    dataset = check(coco.save()).dataset
    assert [file for _, file, _ in pictures(dataset, "train", 1)] == ["000000000003.jpg"]
    assert "000000000002.jpg" not in [file for _, file, _ in pictures(dataset, "train", 4)]


def test_broken_boxes_do_not_prevent_drawing(tmp_path: Path) -> None:
    coco = Coco(tmp_path)
    for note, box in zip(
        coco.files["train"]["annotations"], ([900, 900, 5, 5], [-50, 5, 500, 5], [20, 20, -9, -9], [1, 1, 0, 0]), strict=False
    ):
        note |= {"bbox": box, "segmentation": []}
    photograph(coco.folder("train") / "000000000001.jpg", (3, 2))
    assert len(list(pictures(check(coco.save()).dataset, "train", 4))) == 4


def test_a_file_of_no_form_of_images_is_an_error(tmp_path: Path) -> None:
    dataset = check(Coco(tmp_path / "set").save()).dataset
    samples = list(pictures(dataset, None, 1))
    with pytest.raises(DataError, match=r"choose a name that ends in \.png"):
        save(dataset, samples, tmp_path / "page.xyz")
    save(dataset, samples, tmp_path / "page.png")
    with Image.open(tmp_path / "page.png") as drawn:
        assert drawn.width == WIDTH + 2 * MARGIN
