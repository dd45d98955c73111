"""Data sets in each form, written by hand as the form's own documentation shows it, and what is read from them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from support.annotated import Coco, mask, masks, photograph, voc, voc_file, voc_object

from harness.errors import DataError
from toolboxes.data import FORMS, Report, check


def read(folder: Path, *codes: str, **options: Any) -> Report:
    """The report on a folder, which must have these findings and no others."""
    report = check(folder, **options)
    assert {finding.code for finding in report.findings} == set(codes), "\n".join(report.lines())
    return report


def boxes(report: Report, split: str) -> list[tuple[str, str, tuple[float, ...]]]:
    """File, class and box of each object."""
    found = report.dataset.splits[split]
    return [
        (found.pictures[each.picture].file, found.categories[each.category].name, tuple(round(side, 3) for side in each.box))
        for each in found.things
    ]


class TestCoco:
    """https://cocodataset.org/#format-data: images, annotations with bbox [x, y, width, height], and categories."""

    def test_counts_are_those_of_pycocotools(self, tmp_path: Path) -> None:
        folder = Coco(tmp_path).save()
        report = read(folder)
        for split, found in report.dataset.splits.items():
            theirs = COCO(folder / f"annotations/instances_{split}2017.json")
            assert [picture.id for picture in found.pictures] == theirs.getImgIds()
            assert [category.id for category in found.categories] == theirs.getCatIds()
            assert found.boxes().tolist() == [note["bbox"] for note in theirs.loadAnns(theirs.getAnnIds())]
            for place, category in enumerate(found.categories):
                assert (found.kinds() == place).sum() == len(theirs.getAnnIds(catIds=[category.id]))
        assert report.dataset.tasks == ["detection", "instance segmentation"]
        assert report.stated()["splits"]["train"]["areas"] == {"small": 12, "medium": 0, "large": 0}

    def test_the_folder_of_coco_itself_with_its_other_files(self, tmp_path: Path) -> None:
        folder = Coco(tmp_path).save()
        for name in ("captions_train2017", "person_keypoints_train2017"):
            (folder / f"annotations/{name}.json").write_text('{"images": [{"id": 1}], "annotations": [{"id": 1, "caption": "a cat"}]}')
        assert list(read(folder).dataset.splits) == ["train", "val"]

    def test_the_images_in_one_folder(self, tmp_path: Path) -> None:
        coco = Coco(tmp_path)
        coco.save()
        (tmp_path / "images").mkdir()
        for place in ("train2017", "val2017"):
            for path in (tmp_path / place).iterdir():
                path.rename(tmp_path / "images" / path.name)
            (tmp_path / place).rmdir()
        (tmp_path / "annotations/instances_train2017.json").rename(tmp_path / "annotations/train.json")
        (tmp_path / "annotations/instances_val2017.json").rename(tmp_path / "annotations/val.json")
        assert {name: len(split.pictures) for name, split in read(tmp_path).dataset.splits.items()} == {"train": 4, "val": 2}

    def test_images_in_folders_of_their_own(self, tmp_path: Path) -> None:
        coco = Coco(tmp_path)
        for item in coco.files["train"]["images"]:
            (coco.folder("train") / "deep/er").mkdir(parents=True, exist_ok=True)
            (coco.folder("train") / item["file_name"]).rename(coco.folder("train") / "deep/er" / item["file_name"])
            item["file_name"] = f"deep/er/{item['file_name']}"
        read(coco.save())

    def test_roboflow_s_export_has_its_annotations_among_the_images(self, tmp_path: Path) -> None:
        """https://roboflow.com/formats/coco-json: train/_annotations.coco.json and valid/; its first category, of id 0, has no object."""
        coco = Coco(tmp_path / "made")
        for split, stated in coco.files.items():
            place = tmp_path / "export" / {"train": "train", "val": "valid"}[split]
            shutil.copytree(coco.folder(split), place)
            stated["categories"].insert(0, {"id": 0, "name": "animals", "supercategory": "none"})
            (place / "_annotations.coco.json").write_text(json.dumps(stated))
        report = read(tmp_path / "export", "class-ids-gaps", "class-unseen")
        assert list(report.dataset.splits) == ["train", "val"]
        assert report.dataset.classes == ["animals", "cat", "dog", "bird"]

    def test_a_test_split_may_have_no_annotations(self, tmp_path: Path) -> None:
        coco = Coco(tmp_path)
        coco.save()
        photograph(tmp_path / "test2017/9.jpg")
        stated = {"images": [{"id": 9, "file_name": "9.jpg", "width": 64, "height": 48}], "categories": coco.files["val"]["categories"]}
        (tmp_path / "annotations/instances_test2017.json").write_text(json.dumps(stated))
        assert len(read(tmp_path).dataset.splits["test"].pictures) == 1

    def test_a_folder_in_a_folder_is_entered(self, tmp_path: Path) -> None:
        Coco(tmp_path / "export/data").save()
        report = read(tmp_path)
        assert report.dataset.folder == tmp_path / "export"
        assert report.dataset.classes == ["cat", "dog", "bird"]

    def test_crowds(self, tmp_path: Path) -> None:
        coco = Coco(tmp_path)
        coco.files["val"]["annotations"][0] |= {"iscrowd": 1, "segmentation": {"size": [48, 64], "counts": [100, 10, 48 * 64 - 110]}}
        report = read(coco.save())
        assert report.stated()["splits"]["val"]["crowds"] == 1


class TestVoc:
    """The development kit of VOC2012 (devkit_doc): boxes count from 1, both ends included; masks are PNG with a palette, 255 is void."""

    def test_boxes_masks_and_splits(self, tmp_path: Path) -> None:
        report = read(voc(tmp_path))
        assert boxes(report, "val") == [
            ("2012_000003.jpg", "aeroplane", (0, 10, 64, 10)),
            ("2012_000003.jpg", "bicycle", (4, 30, 56, 10)),
        ]
        assert [thing.crowd for thing in report.dataset.splits["val"].things] == [False, True], "a difficult object is left out by scores"
        assert list(report.dataset.splits) == ["train", "val"], "trainval is both"
        assert (report.dataset.classes, report.dataset.void) == (["aeroplane", "bicycle"], 255)
        assert report.dataset.values == ["background", "aeroplane", "bicycle"]
        assert report.dataset.tasks == ["detection", "semantic segmentation"]

    def test_without_a_list_voc_s_own_classes_keep_voc_s_order(self, tmp_path: Path) -> None:
        (voc(tmp_path) / "labels.txt").unlink()
        report = read(tmp_path, "class-unseen")
        assert report.dataset.classes[:3] == ["aeroplane", "bicycle", "bird"]
        assert (len(report.dataset.classes), len(report.dataset.values)) == (20, 21)

    def test_without_a_list_other_classes_are_in_alphabetical_order(self, tmp_path: Path) -> None:
        photograph(tmp_path / "JPEGImages/a.jpg")
        voc_file(tmp_path / "Annotations/a.xml", voc_object("zebra", (1, 1, 9, 9)) + voc_object("ant", (1, 1, 9, 9)), "a.jpg")
        report = read(tmp_path, "class-names-unknown")
        assert report.dataset.classes == ["ant", "zebra"]
        assert list(report.dataset.splits) == ["all"]

    def test_an_image_set_for_segmentation_alone(self, tmp_path: Path) -> None:
        home = voc(tmp_path) / "VOCdevkit/VOC2012"
        shutil.rmtree(home / "ImageSets/Main")
        shutil.rmtree(home / "Annotations")
        report = read(tmp_path)
        assert report.dataset.tasks == ["semantic segmentation"]
        assert report.dataset.values == ["background", "aeroplane", "bicycle"]

    def test_two_years(self, tmp_path: Path) -> None:
        voc(tmp_path)
        for path in voc(tmp_path / "other").glob("VOCdevkit/VOC2012"):
            path.rename(tmp_path / "VOCdevkit/VOC2007")
        shutil.rmtree(tmp_path / "other")
        assert list(read(tmp_path).dataset.splits) == ["VOC2007 train", "VOC2007 val", "VOC2012 train", "VOC2012 val"]

    def test_paddledetection_s_lists(self, tmp_path: Path) -> None:
        """PaddleDetection, docs/tutorials/data/PrepareDetDataSet_en.md: trainval.txt of lines `image xml`, and label_list.txt."""
        for stem in "ab":
            photograph(tmp_path / f"images/{stem}.jpg")
            voc_file(tmp_path / f"annotations/{stem}.xml", voc_object("speedlimit", (2, 2, 9, 9)), f"{stem}.jpg")
        (tmp_path / "train.txt").write_text("images/a.jpg annotations/a.xml\n")
        (tmp_path / "valid.txt").write_text("./images/b.jpg ./annotations/b.xml\n")
        (tmp_path / "label_list.txt").write_text("speedlimit\ncrosswalk\n")
        report = read(tmp_path, "class-unseen")
        assert boxes(report, "val") == [("./images/b.jpg", "speedlimit", (1, 1, 8, 8))]
        assert report.dataset.classes == ["speedlimit", "crosswalk"]

    def test_xml_files_beside_their_images(self, tmp_path: Path) -> None:
        """As Roboflow's export "Pascal VOC XML" has them."""
        for split in ("train", "valid"):
            photograph(tmp_path / split / "x.jpg")
            voc_file(tmp_path / split / "x.xml", voc_object("dog", (1, 1, 64, 48)), "x.jpg")
        report = read(tmp_path, "class-unseen")
        assert boxes(report, "val") == [("x.jpg", "dog", (0, 0, 64, 48))]


class TestMasks:
    def test_mmsegmentation_s_folders(self, tmp_path: Path) -> None:
        """MMSegmentation's CustomDataset: img_dir/train/a.jpg with ann_dir/train/a.png."""
        report = read(masks(tmp_path))
        assert {name: len(split.pictures) for name, split in report.dataset.splits.items()} == {"train": 3, "val": 2}
        assert report.dataset.values == ["background", "road", "house"]
        assert report.dataset.tasks == ["semantic segmentation"]

    def test_paddleseg_s_lists(self, tmp_path: Path) -> None:
        """PaddleSeg, docs/data/custom/data_prepare.md: train.txt of lines `image mask`; labels.txt names the values from 0."""
        for name in ("train", "val"):
            photograph(tmp_path / f"images/{name}.jpg")
            mask(tmp_path / f"labels/{name}.png")
            (tmp_path / f"{name}.txt").write_text(f"images/{name}.jpg labels/{name}.png\n")
        (tmp_path / "labels.txt").write_text("background\nroad\nhouse\n")
        assert list(read(tmp_path).dataset.splits) == ["train", "val"]

    def test_ade20k_s_folders(self, tmp_path: Path) -> None:
        for split in ("training", "validation"):
            photograph(tmp_path / f"images/{split}/ADE_{split}_1.jpg")
            mask(tmp_path / f"annotations/{split}/ADE_{split}_1.png")
        assert list(read(tmp_path, "class-names-unknown").dataset.splits) == ["train", "val"]

    def test_images_beside_masks_without_splits(self, tmp_path: Path) -> None:
        photograph(tmp_path / "images/a.jpg")
        mask(tmp_path / "masks/a_mask.png")
        (tmp_path / "classes.txt").write_text("background\nroad\nhouse\n")
        assert list(read(tmp_path).dataset.splits) == ["all"]

    @pytest.mark.parametrize(("end", "values", "void"), [("labelTrainIds", 19, 255), ("labelIds", 34, None)])
    def test_cityscapes(self, tmp_path: Path, end: str, values: int, void: int | None) -> None:
        """cityscapesScripts: leftImg8bit/SPLIT/CITY/.. and gtFine/SPLIT/CITY/..; labels.py has 34 ids, 19 of them with a trainId."""
        for split, city in (("train", "aachen"), ("val", "frankfurt")):
            photograph(tmp_path / f"leftImg8bit/{split}/{city}/{city}_000000_000019_leftImg8bit.png")
            pixels = np.arange(48 * 64).reshape(48, 64) % values
            if void:
                pixels[0] = void
            mask(tmp_path / f"gtFine/{split}/{city}/{city}_000000_000019_gtFine_{end}.png", pixels.astype(np.uint8))
            mask(tmp_path / f"gtFine/{split}/{city}/{city}_000000_000019_gtFine_instanceIds.png")
        report = read(tmp_path)
        assert (len(report.dataset.values), report.dataset.void) == (values, void)
        assert (report.dataset.values[7 if end == "labelIds" else 0], report.dataset.values[-1]) == ("road", "bicycle")


LINE = "1 0.617 0.3594420600858369 0.114 0.17381974248927037"
"""Of https://roboflow.com/formats/yolo: class, x and y of the centre, width, height, in parts of the image."""


class TestYolo:
    def test_ultralytics_folders(self, tmp_path: Path) -> None:
        """https://docs.ultralytics.com/datasets/detect: images/train beside labels/train, names as a mapping."""
        for split in ("train", "val"):
            photograph(tmp_path / f"images/{split}/{split}.jpg", (1000, 466))
            (tmp_path / f"labels/{split}").mkdir(parents=True)
            (tmp_path / f"labels/{split}/{split}.txt").write_text(f"{LINE}\n")
        (tmp_path / "data.yaml").write_text(
            "path: /datasets/somewhere\ntrain: images/train\nval: images/val\nnames: {0: head, 1: helmet}\n"
        )
        report = read(tmp_path, "class-unseen")
        x, y, width, height = 617, 0.3594420600858369 * 466, 114, 0.17381974248927037 * 466
        expected = tuple(round(side, 3) for side in (x - width / 2, y - height / 2, width, height))
        assert boxes(report, "train") == [("images/train/train.jpg", "helmet", expected)]

    def test_roboflow_s_export(self, tmp_path: Path) -> None:
        """Its data.yaml states ../train/images, from a folder that is not there."""
        for split in ("train", "valid"):
            photograph(tmp_path / f"{split}/images/a.jpg")
            (tmp_path / f"{split}/labels").mkdir()
            (tmp_path / f"{split}/labels/a.txt").write_text("0 0.5 0.5 0.5 0.5\n2 0.25 0.25 0.5 0.5\n1 0.5 0.5 0.25 0.25\n")
        (tmp_path / "data.yaml").write_text("train: ../train/images\nval: ../valid/images\nnc: 3\nnames: ['head', 'helmet', 'person']\n")
        report = read(tmp_path)
        assert boxes(report, "val")[0] == ("valid/images/a.jpg", "head", (16, 12, 32, 24))

    def test_polygons(self, tmp_path: Path) -> None:
        """https://docs.ultralytics.com/datasets/segment: class x1 y1 x2 y2 x3 y3 .."""
        photograph(tmp_path / "images/a.jpg")
        (tmp_path / "labels").mkdir()
        (tmp_path / "labels/a.txt").write_text("0 0.25 0.5 0.75 0.5 0.5 1.0\n")
        (tmp_path / "classes.txt").write_text("roof\n")
        report = read(tmp_path)
        (thing,) = report.dataset.splits["all"].things
        assert (thing.box, thing.segmentation) == ((16, 24, 32, 24), [[16, 24, 48, 24, 32, 48]])

    def test_what_is_wrong_with_a_line(self, tmp_path: Path) -> None:
        photograph(tmp_path / "images/a.jpg")
        (tmp_path / "labels").mkdir()
        lines = ["0 0.5 0.5 0.5 0.5", "7 0.5 0.5 0.5 0.5", "0 0.5 0.5", "0 0.5 0.5 -0.5 0.5", "0 nan 0.5 0.5 0.5", "0 1.5 0.5 0.1 0.1"]
        (tmp_path / "labels/a.txt").write_text("\n".join(lines))
        (tmp_path / "classes.txt").write_text("roof\n")
        report = read(tmp_path, "annotation-without-class", "annotation-odd", "box-outside")
        told = "\n".join(report.lines())
        assert "images/a.jpg: '7'" in told
        assert all(f"a.txt, line {number}: " in told for number in (3, 4, 5))

    def test_a_number_of_classes_that_is_not_that_of_the_names(self, tmp_path: Path) -> None:
        photograph(tmp_path / "images/a.jpg")
        (tmp_path / "labels").mkdir()
        (tmp_path / "labels/a.txt").write_text("0 0.5 0.5 0.5 0.5\n")
        (tmp_path / "data.yaml").write_text("train: images\nnc: 80\nnames: [roof]\n")
        assert "data.yaml: nc is 80, names has 1" in "\n".join(read(tmp_path, "class-count").lines())

    def test_without_names_classes_are_numbers_in_their_order(self, tmp_path: Path) -> None:
        photograph(tmp_path / "images/a.jpg")
        (tmp_path / "labels").mkdir()
        (tmp_path / "labels/a.txt").write_text("10 0.5 0.5 0.5 0.5\n2 0.5 0.5 0.5 0.5\n")
        assert read(tmp_path, "class-names-unknown", "class-unseen").dataset.classes == [str(number) for number in range(11)]


class TestLabelMe:
    """https://github.com/wkentaro/labelme: what its files hold."""

    def write(self, path: Path, shapes: list[Any]) -> None:
        photograph(path.with_suffix(".jpg"))
        stated = {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": f"{path.stem}.jpg", "imageData": None}
        path.write_text(json.dumps({**stated, "imageHeight": 48, "imageWidth": 64}))

    def shape(self, label: str, kind: str, *points: list[float]) -> dict[str, Any]:
        return {"label": label, "points": list(points), "group_id": None, "description": "", "shape_type": kind, "flags": {}}

    def test_rectangles_and_polygons_are_objects(self, tmp_path: Path) -> None:
        shapes = [
            self.shape("cat", "polygon", [10, 10], [30, 12], [20, 40]),
            self.shape("dog", "rectangle", [50, 40], [20, 10]),
            self.shape("nose", "point", [5, 5]),
        ]
        self.write(tmp_path / "a.json", shapes)
        (tmp_path / "labels.txt").write_text("__ignore__\n_background_\ncat\ndog\n")
        report = read(tmp_path, "mask-partial")
        assert boxes(report, "all") == [("a.jpg", "cat", (10, 10, 20, 30)), ("a.jpg", "dog", (20, 10, 30, 30))]
        assert report.dataset.splits["all"].things[0].segmentation == [[10, 10, 30, 12, 20, 40]]
        assert report.dataset.classes == ["cat", "dog"]

    def test_what_is_wrong_with_files_and_shapes(self, tmp_path: Path) -> None:
        self.write(tmp_path / "train/a.json", [self.shape("cat", "polygon", [10, 10], [30, 12], [20, 40]), {"label": "dog"}, "x"])
        self.write(tmp_path / "train/b.json", [])
        (tmp_path / "train/b.json").write_text('{"shapes": [')
        report = read(tmp_path, "annotation-odd", "file-unreadable", "class-names-unknown", "image-unlisted")
        assert "a.json, shape 2: " in "\n".join(report.lines())
        assert "train: annotation files that cannot be read: 1 (b.json: " in "\n".join(report.lines())


CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><task><name>My Task</name><labels>
    <label><name>person</name></label><label><name>car</name></label>
  </labels></task></meta>
  <image id="0" name="img1.jpg" width="640" height="480">
    <box label="person" occluded="0" xtl="100.0" ytl="150.0" xbr="300.0" ybr="400.0" z_order="0" source="manual"></box>
    <polygon label="car" source="manual" occluded="0" points="10.0,20.0;110.0,20.0;60.0,70.0" z_order="0"></polygon>
  </image>
</annotations>
"""
"""As https://docs.cvat.ai/docs/other/xml_format describes its form for images."""


class TestCvat:
    def test_boxes_and_polygons(self, tmp_path: Path) -> None:
        photograph(tmp_path / "images/img1.jpg", (640, 480))
        (tmp_path / "annotations.xml").write_text(CVAT)
        report = read(tmp_path, "mask-partial")
        assert boxes(report, "all") == [("img1.jpg", "person", (100, 150, 200, 250)), ("img1.jpg", "car", (10, 20, 100, 50))]
        assert report.dataset.splits["all"].things[1].segmentation == [[10, 20, 110, 20, 60, 70]]
        assert report.dataset.classes == ["person", "car"]

    def test_its_form_for_video_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "annotations.xml").write_text("<annotations><version>1.1</version><track id='0' label='car'></track></annotations>")
        assert "export it as CVAT for images 1.1" in "\n".join(read(tmp_path, "file-odd").lines())


OPEN_IMAGES = """ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside
000026e7ee790996,xclick,/m/07j7r,1,0.071875,0.1453125,0.20625,0.39166668,0,1,1,0,0
000062a39995e348,xclick,/m/015p6,1,0.20620842,0.849224,0.15463917,1,0,0,0,0,0
"""
"""Lines of the form's own train file, as https://roboflow.com/formats/openimages-csv quotes them."""


def test_open_images(tmp_path: Path) -> None:
    photograph(tmp_path / "train/000026e7ee790996.jpg", (640, 480))
    photograph(tmp_path / "train/000062a39995e348.jpg", (640, 480))
    (tmp_path / "train-annotations-bbox.csv").write_text(OPEN_IMAGES)
    (tmp_path / "class-descriptions-boxable.csv").write_text("/m/015p6,Bird\n/m/07j7r,Tree\n")
    report = read(tmp_path)
    assert boxes(report, "train")[0] == ("000026e7ee790996.jpg", "Tree", (46, 99, 47, 89))
    assert [thing.crowd for thing in report.dataset.splits["train"].things] == [True, False]
    assert report.dataset.classes == ["Bird", "Tree"]


def test_a_folder_of_no_form_is_told_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("to do")
    with pytest.raises(DataError, match="there is no data set for detection or segmentation in it") as raised:
        check(tmp_path)
    assert all(f"    {form.name}: {form.layout}" in str(raised.value) for form in FORMS.values())


def test_a_folder_of_two_forms_takes_a_word(tmp_path: Path) -> None:
    Coco(tmp_path).save()
    voc(tmp_path)
    with pytest.raises(DataError, match="of 2 forms; state which one"):
        check(tmp_path)
    assert check(tmp_path, "voc").dataset.form == "voc"
    assert check(tmp_path, "coco").dataset.form == "coco"
    with pytest.raises(DataError, match="there is no form 'pascal' of data sets; available: coco, voc"):
        check(tmp_path, "pascal")


def test_a_form_that_the_folder_is_not_of_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="What was looked for:\n    yolo: "):
        check(Coco(tmp_path).save(), "yolo")


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such folder"):
        check(tmp_path / "none")
