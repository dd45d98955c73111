"""Broken data sets, and what is said about each. What is wrong with them is what users of the toolboxes ran into.

The comments name such a case where there is one: mm is MMDetection's issue tracker, pd PaddleDetection's, ps PaddleSeg's.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.annotated import SIZE, Coco, mask, masks, photograph, voc, voc_file, voc_object

from harness.errors import DataError
from harness.report import Recorder
from toolboxes.data import KINDS, admit, check, pictures

Break = Callable[[Coco], Any]


@dataclass(frozen=True)
class Case:
    """A way to break a sound data set, the findings that it must give, and no others, and words of the report."""

    name: str
    broken: Callable[[Any], Any]
    codes: set[str]
    says: str

    def __str__(self) -> str:
        return self.name


def every(coco: Coco, key: str) -> list[dict[str, Any]]:
    return [item for stated in coco.files.values() for item in stated[key]]


def changed(split: str, key: str, place: int, **values: Any) -> Break:
    """Change entries of one image, annotation or category."""
    return lambda coco: coco.files[split][key][place].update(values)


def each(key: str, change: Callable[[dict[str, Any]], Any]) -> Break:
    return lambda coco: [change(item) for item in every(coco, key)]


def without(split: str, key: str, place: int, name: str) -> Break:
    return lambda coco: coco.files[split][key][place].pop(name)


def renamed(coco: Coco) -> None:
    coco.files["val"]["categories"][0]["name"] = "Cat"


def reordered(coco: Coco) -> None:
    coco.files["val"]["categories"].reverse()


def renumbered(coco: Coco) -> None:
    for item in coco.files["val"]["categories"]:
        item["id"] = {1: 2, 2: 1}.get(item["id"], item["id"])


def with_class(name: str, number: int = 4) -> Break:
    return lambda coco: [stated["categories"].append({"id": number, "name": name}) for stated in coco.files.values()]


def with_background(coco: Coco) -> None:
    with_class("background")(coco)
    coco.files["train"]["annotations"][0]["category_id"] = 4


def corners(item: dict[str, Any]) -> None:
    left, top, width, height = item["bbox"]
    item["bbox"] = [left + 10, top + 12, left + 10 + width, top + 12 + height]
    item["segmentation"] = []


def in_parts(item: dict[str, Any]) -> None:
    left, top, width, height = item["bbox"]
    item["bbox"] = [left / SIZE[0], top / SIZE[1], width / SIZE[0], height / SIZE[1]]


def emptied(coco: Coco) -> None:
    coco.files["train"]["annotations"] = []


def copied(coco: Coco) -> None:
    """The training images are in the validation split, too, under other names."""
    for item in coco.files["train"]["images"][:2]:
        shutil.copy(coco.folder("train") / item["file_name"], coco.folder("val") / f"copy{item['id']}.jpg")
        coco.files["val"]["images"].append({**item, "file_name": f"copy{item['id']}.jpg"})
        coco.files["val"]["annotations"] += [
            {**note, "id": note["id"] + 1000} for note in coco.files["train"]["annotations"] if note["image_id"] == item["id"]
        ]


def rewritten(place: int, **options: Any) -> Break:
    """A training image is another file."""

    def change(coco: Coco) -> None:
        photograph(coco.folder("train") / coco.files["train"]["images"][place]["file_name"], **options)

    return change


def turned(coco: Coco) -> None:
    """A photograph held upright: its file is 64 x 48, a viewer shows it as 48 x 64; the annotation has the file's size."""
    exif = Image.Exif()
    exif[274] = 6
    rewritten(0, exif=exif)(coco)


def turned_and_stated_so(coco: Coco) -> None:
    turned(coco)
    coco.files["train"]["images"][0].update(width=48, height=64)


def bytes_of(name: str, change: Callable[[bytes], bytes]) -> Break:
    def write(coco: Coco) -> None:
        path = coco.folder("train") / name
        path.write_bytes(change(path.read_bytes()))

    return write


FIRST = "000000000001.jpg"
ONE, OTHER = (lambda coco, place=place: coco.files["train"]["annotations"][place] for place in (0, 1))
RUNS = {"size": [48, 64], "counts": [48 * 64]}

COCO_CASES = [
    Case(
        "an image that is not there", lambda c: (c.folder("train") / FIRST).unlink(), {"image-missing"}, f"missing: 1 (train2017/{FIRST})"
    ),
    Case("an image that is a text", bytes_of(FIRST, lambda _: b"404"), {"image-unreadable"}, f"{FIRST}: not an image"),
    Case("an image of another size", rewritten(0, size=(48, 48)), {"image-size"}, f"{FIRST}: 64 x 48, it is 48 x 48"),
    Case("an image that EXIF turns", turned, {"image-size", "image-turned"}, "64 x 48, it is 48 x 64, turned by its EXIF data"),
    Case(
        "an image that EXIF turns, annotated as it is seen",
        turned_and_stated_so,
        {"image-turned", "box-over-edge"},
        "no errors, 2 warnings",
    ),
    Case("an image in CMYK", rewritten(0, mode="CMYK"), {"image-mode"}, f"{FIRST}: CMYK"),
    Case(
        "a path of another system",
        changed("train", "images", 0, file_name=f"C:\\data\\{FIRST}"),
        {"image-path"},
        "State it relative to the folder",
    ),
    Case("an absolute path", changed("train", "images", 0, file_name=f"/data/{FIRST}"), {"image-path"}, f"(/data/{FIRST})"),
    Case(
        "an image listed twice",
        lambda c: c.files["train"]["images"].append({**c.files["train"]["images"][0], "id": 99}),
        {"image-twice", "image-without-annotations"},
        f"listed more than once: 1 ({FIRST})",
    ),
    Case("an image that nothing lists", lambda c: photograph(c.folder("train") / "x.png"), {"image-unlisted"}, "(train2017/x.png)"),
    Case("training images in the validation split", copied, {"image-in-two-splits"}, f"{FIRST} of train is copy1.jpg of val"),
    Case(
        "an image without annotations",
        lambda c: c.files["val"].update(annotations=c.files["val"]["annotations"][:3]),
        {"image-without-annotations"},
        "val: images without annotations: 1 (000000000006.jpg)",
    ),
    Case("no annotations at all", emptied, {"split-without-annotations"}, "train: splits"),
    Case("no images", lambda c: c.files["val"].update(images=[], annotations=[]), {"split-without-images"}, "val: splits without an image"),
    Case("a box outside", changed("train", "annotations", 0, bbox=[70, 5, 5, 5]), {"box-outside"}, f"{FIRST}: [70, 5, 5, 5]"),
    Case("a box over the edge", changed("train", "annotations", 0, bbox=[50, 5, 30, 5]), {"box-over-edge"}, "cut at the edge"),
    Case("a box without area", changed("train", "annotations", 0, bbox=[5, 5, 0, 5]), {"box-without-area"}, "leave them out"),
    Case("a box that ends before it starts", changed("train", "annotations", 0, bbox=[9, 9, -4, 5]), {"box-negative"}, "[9, 9, -4, 5]"),
    Case("boxes as corners", each("annotations", corners), {"boxes-are-corners"}, "not [x1, y1, x2, y2]"),
    Case("boxes in parts of the image", each("annotations", in_parts), {"boxes-are-relative"}, "in pixels"),
    Case("a box of text", changed("train", "annotations", 0, bbox=["1", "2", "3", "4"]), {"annotation-odd"}, "bbox ['1', '2', '3', '4']"),
    Case("a box of null", changed("train", "annotations", 0, bbox=None), {"annotation-odd"}, "annotation 11: bbox None"),
    Case("a box of NaN", changed("train", "annotations", 0, bbox=[1, 2, float("nan"), 4]), {"annotation-odd"}, "bbox [1, 2, nan, 4]"),
    Case("a box of three numbers", changed("train", "annotations", 0, bbox=[1, 2, 3]), {"annotation-odd"}, "bbox [1, 2, 3]"),
    Case("an annotation that is a number", lambda c: c.files["train"]["annotations"].append(7), {"annotation-odd"}, "annotation: 7"),
    Case("an annotation without id", without("train", "annotations", 0, "id"), {"annotation-odd"}, "no id"),
    Case("an annotation without area", without("train", "annotations", 0, "area"), {"annotation-without-size"}, "area None"),
    Case(
        "an image without width",
        without("train", "images", 0, "width"),
        {"annotation-odd", "mask-partial"},
        "must have id, file_name, width and height",
    ),
    Case("an unknown image", changed("train", "annotations", 0, image_id=77), {"annotation-without-image"}, "annotation 11: image 77"),
    # pd 570: category_id is no id of the list
    Case("an unknown class", changed("train", "annotations", 0, category_id=0), {"annotation-without-class"}, "annotation 11: category 0"),
    # pd 2002: KeyError '0'
    Case(
        "ids that are text",
        each("annotations", lambda item: item.update(image_id=str(item["image_id"]))),
        {"id-is-text"},
        'image_id "1"',
    ),
    Case(
        "an image id twice",
        changed("train", "images", 1, id=1),
        {"image-id-twice", "annotation-without-image", "image-unlisted"},
        "1: 000000000001.jpg,",
    ),
    Case("an annotation id twice", changed("train", "annotations", 1, id=11), {"annotation-id-twice"}, "several annotations have: 1 (11)"),
    Case("a class id twice", with_class("fox", 3), {"class-id-twice"}, "3: bird, fox"),
    Case(
        "an annotation twice",
        lambda c: c.files["train"]["annotations"].append({**c.files["train"]["annotations"][0], "id": 999}),
        {"annotation-twice"},
        "[4, 6, 12, 11]",
    ),
    # mm 9610, 10294: no object is left when names do not match
    Case("a class in another case", renamed, {"class-lists-differ"}, "'cat' is not in val, which lists 'Cat'"),
    Case(
        "a class in one split only",
        lambda c: c.files["train"]["categories"].append({"id": 4, "name": "fox"}),
        {"class-lists-differ"},
        "'fox' is not in val",
    ),
    Case("classes with other ids in val", renumbered, {"class-ids-differ"}, "'cat': 1 in train, 2 in val"),
    Case("classes in another order in val", reordered, {"class-order-differs"}, "place 1 is 'cat' in train, 'bird' in val"),
    Case("a class that nothing has", with_class("fox"), {"class-unseen"}, "any split: 1 (fox)"),
    Case("two classes of one name", with_class("cat"), {"class-names-equal"}, "several classes have: 1 (cat)"),
    Case("two classes of nearly one name", with_class("Cat"), {"class-names-alike", "class-unseen"}, "(Cat and cat)"),
    Case("a name with a blank at its end", with_class("fox "), {"class-name-odd", "class-unseen"}, "'fox '"),
    Case("a name that is no text", with_class(None), {"class-name-odd", "class-unseen"}, "None, id 4"),  # type: ignore[arg-type]
    # mm 2047, pd 1457: the background was a class of the file
    Case(
        "an annotated background",
        with_background,
        {"class-background", "class-background-listed"},
        "annotated as background: 1 (background)",
    ),
    Case("a listed background", with_class("background"), {"class-background-listed"}, "would count as a class"),
    Case(
        "ids with a gap",
        lambda c: [
            item.update({key: 90})
            for kind, key in (("categories", "id"), ("annotations", "category_id"))
            for item in every(c, kind)
            if item[key] == 3
        ],
        {"class-ids-gaps"},
        "3 classes, ids 1, 2, 90",
    ),
    Case("no classes", lambda c: c.files["train"].update(categories=[], annotations=[]), {"no-classes", "split-without-annotations"}, "no"),
    Case(
        "one class without objects in val",
        lambda c: c.files["val"].update(annotations=[note for note in c.files["val"]["annotations"] if note["category_id"] != 2]),
        {"class-in-one-split"},
        "(dog: train only)",
    ),
    Case(
        "a polygon of two points", changed("train", "annotations", 0, segmentation=[[1, 2, 3, 4]]), {"mask-odd", "mask-partial"}, "2 points"
    ),
    Case("a polygon not in a list", changed("train", "annotations", 0, segmentation=[1, 2, 3, 4]), {"mask-odd", "mask-partial"}, "list of"),
    Case(
        "run lengths of another size",
        changed("train", "annotations", 0, segmentation={"size": [64, 48], "counts": [3072]}),
        {"mask-odd", "mask-partial"},
        "run lengths of 48 x 64 in an image of 64 x 48",
    ),
    Case(
        "run lengths that do not fill the mask",
        changed("train", "annotations", 0, segmentation={"size": [48, 64], "counts": [10, 5]}),
        {"mask-odd", "mask-partial"},
        "run lengths of 15 pixels in a mask of 3072",
    ),
    Case(
        "packed run lengths that are no such",
        changed("train", "annotations", 0, segmentation={"size": [48, 64], "counts": "\u2603"}),
        {"mask-odd", "mask-partial"},
        "nor such a list packed",
    ),
    Case("an object without a mask", changed("train", "annotations", 0, segmentation=[]), {"mask-partial"}, "without a mask among"),
]


@pytest.fixture
def coco(tmp_path: Path) -> Coco:
    return Coco(tmp_path / "set")


def test_a_sound_data_set_gives_no_finding(coco: Coco, tmp_path: Path) -> None:
    for folder in (coco.save(), voc(tmp_path / "voc"), masks(tmp_path / "masks")):
        assert check(folder, deep=True).findings == []


@pytest.mark.parametrize("case", COCO_CASES, ids=str)
def test_a_broken_data_set_of_coco_s_form(case: Case, coco: Coco) -> None:
    case.broken(coco)
    tell(case, coco.save())


def tell(case: Case, folder: Path, **options: Any) -> None:
    report = check(folder, **options)
    told = "\n".join(report.lines())
    assert {finding.code for finding in report.findings} == case.codes, told
    assert case.says in told
    assert all(finding.severity == KINDS[finding.code].severity for finding in report.findings)
    json.dumps(report.stated(), allow_nan=True)


ODD: list[Any] = [
    None,
    True,
    "",
    "x",
    -1,
    1e308,
    float("inf"),
    10**30,
    [],
    {},
    [[]],
    [None, None, None, None],
    {"size": [48, 64]},
    "\ud800",
    "a\0b",
    int(400 * "9"),
]


@pytest.mark.parametrize("key", ["images", "annotations", "categories"])
def test_an_odd_value_anywhere_ends_no_check_and_no_drawing(key: str, tmp_path: Path) -> None:
    coco = Coco(tmp_path)
    sound = dict(coco.files["train"][key][0])
    for name in sound:
        for value in ODD:
            coco.files["train"][key][0] = {**sound, name: value}
            report = check(coco.save())
            report.stated()
            assert "val: images 2, annotated images 2" in "\n".join(report.lines())
            assert len(list(pictures(report.dataset, "val", 1))) == 1
            list(pictures(report.dataset, "train", 1))


def test_an_absolute_path_that_exists_here_is_an_error_all_the_same(coco: Coco, tmp_path: Path) -> None:
    elsewhere = photograph(tmp_path / "elsewhere/x.jpg")
    coco.files["train"]["images"][0]["file_name"] = str(elsewhere)
    (coco.folder("train") / FIRST).unlink()
    report = check(coco.save())
    assert [finding.code for finding in report.findings] == ["image-path"]
    assert report.dataset.splits["train"].pictures[0].path == elsewhere


def test_a_torn_file_is_told_beside_what_the_other_file_has(coco: Coco) -> None:
    changed("val", "annotations", 0, bbox=[70, 5, 5, 5])(coco)
    path = coco.save() / "annotations/instances_train2017.json"
    path.write_bytes(path.read_bytes()[:-40])
    case = Case(
        "",
        None,
        {"file-unreadable", "split-without-images", "no-classes", "box-outside"},
        "error: train: annotation files that cannot be read: 1 (annotations/instances_train2017.json: ",
    )  # type: ignore[arg-type]
    tell(case, coco.root)


def test_a_file_without_its_lists_is_told(coco: Coco) -> None:
    coco.files["val"] = {"images": {}, "annotations": [], "categories": coco.files["val"]["categories"]}
    tell(Case("", None, {"file-odd", "split-without-images"}, "no list of images"), coco.save())  # type: ignore[arg-type]


def test_a_truncated_image_is_found_by_a_deep_check(coco: Coco) -> None:
    bytes_of(FIRST, lambda whole: whole[:-200])(coco)
    coco.save()
    assert check(coco.root).findings == []
    tell(Case("", None, {"image-unreadable"}, "truncated"), coco.root, deep=True)  # type: ignore[arg-type]


def test_many_findings_of_a_kind_are_counted_with_three_examples(coco: Coco) -> None:
    for item in every(coco, "annotations"):
        item["bbox"] = [100 + item["id"], 5, 5, 5]
    (train, val) = check(coco.save()).findings
    assert (train.code, train.split, train.count, len(train.examples)) == ("box-outside", "train", 12, 3)
    assert (val.split, val.count, len(val.examples)) == ("val", 6, 3)


def test_all_findings_are_told_at_once(coco: Coco) -> None:
    (coco.folder("train") / "000000000002.jpg").unlink()
    for broken in (bytes_of(FIRST, lambda _: b"404"), changed("val", "annotations", 0, bbox=None), renamed, with_background):
        broken(coco)
    codes = {finding.code for finding in check(coco.save()).errors}
    assert codes == {"image-missing", "image-unreadable", "annotation-odd", "class-lists-differ", "class-background"}


# What can be wrong with VOC's form


def home_of(root: Path) -> Path:
    return root / "VOCdevkit/VOC2012"


VOC_CASES = [
    Case(
        "an XML file that is not there",
        lambda r: (home_of(r) / "Annotations/2012_000001.xml").unlink(),
        {"file-unreadable"},
        "2012_000001.xml is missing",
    ),
    Case(
        "an XML file that is torn",
        lambda r: (home_of(r) / "Annotations/2012_000001.xml").write_text("<annotation><size>"),
        {"file-unreadable"},
        "2012_000001.xml: no element found",
    ),
    Case(
        "an object without a box",
        lambda r: voc_file(home_of(r) / "Annotations/2012_000001.xml", "<object><name>bicycle</name></object>", "2012_000001.jpg"),
        {"annotation-odd"},
        "without xmin",
    ),
    Case(
        "a class in another case than in the list",
        lambda r: voc_file(home_of(r) / "Annotations/2012_000001.xml", voc_object("Bicycle", (1, 1, 9, 9)), "2012_000001.jpg"),
        {"annotation-without-class"},
        "'Bicycle' (the list has 'bicycle')",
    ),
    Case("a mask that is not there", lambda r: (home_of(r) / "SegmentationClass/2012_000001.png").unlink(), {"label-missing"}, "mask is"),
    Case(
        "a mask in colours",
        lambda r: photograph(home_of(r) / "SegmentationClass/2012_000001.png"),
        {"label-colours"},
        "2012_000001.png: RGB",
    ),
    Case(
        "a mask that is a text",
        lambda r: (home_of(r) / "SegmentationClass/2012_000001.png").write_text("mask"),
        {"label-unreadable"},
        "2012_000001.png: not an image",
    ),
    Case(
        "a value that no class has",
        lambda r: mask(home_of(r) / "SegmentationClass/2012_000001.png", np.full((48, 64), 3, np.uint8)),
        {"label-value"},
        "2012_000001.png: 3",
    ),
]


@pytest.mark.parametrize("case", VOC_CASES, ids=str)
def test_a_broken_data_set_of_voc_s_form(case: Case, tmp_path: Path) -> None:
    voc(tmp_path)
    case.broken(tmp_path)
    tell(case, tmp_path)


# What can be wrong with masks of classes

MASK_CASES = [
    Case(
        "a mask of another size",
        lambda r: mask(r / "ann_dir/val/val0.png", np.eye(32, dtype=np.uint8)),
        {"label-size"},
        "val0.png: 32 x 32, the image is 64 x 48",
    ),
    Case("a mask of background alone", lambda r: mask(r / "ann_dir/val/val0.png", np.zeros((48, 64), np.uint8)), {"label-empty"}, "val0"),
    Case("a mask without an image", lambda r: mask(r / "ann_dir/val/extra.png"), {"label-without-image"}, "(val/extra.png)"),
    Case(
        "16 bits",
        lambda r: mask(r / "ann_dir/val/val0.png", np.full((48, 64), 700, np.uint16)),
        {"label-value"},
        "val0.png: 700",
    ),
    # ps 1110: the loss was 0, because 255 is left out
    Case(
        "black and white",
        lambda r: [mask(path, np.uint8(255) * (np.arange(48 * 64).reshape(48, 64) % 2 == 0)) for path in r.glob("ann_dir/*/*.png")],
        {"label-black-white", "class-unseen"},
        "write the class's number, 1",
    ),
    Case("no list of classes", lambda r: (r / "classes.txt").unlink(), {"class-names-unknown"}, "values 0, 1, 2"),
]


@pytest.mark.parametrize("case", MASK_CASES, ids=str)
def test_a_broken_data_set_of_masks(case: Case, tmp_path: Path) -> None:
    masks(tmp_path)
    case.broken(tmp_path)
    tell(case, tmp_path)


def test_void_is_no_value_without_a_class(tmp_path: Path) -> None:
    values = np.zeros((48, 64), np.uint8)
    values[:20], values[20:30], values[30:] = 255, 1, 2
    mask(masks(tmp_path) / "ann_dir/val/val0.png", values)
    report = check(tmp_path)
    assert report.findings == []
    assert report.dataset.void == 255


def test_the_number_of_classes_that_training_is_given_is_the_data_s(coco: Coco) -> None:
    """mm 4828: `num_classes` (3) does not match the length of CLASSES (80)."""
    coco.save()
    assert check(coco.root, classes=3).findings == []
    tell(Case("", None, {"class-count"}, "80 stated, the data has 3 (cat, dog, bird)"), coco.root, classes=80)  # type: ignore[arg-type]


def test_an_error_can_be_allowed(coco: Coco) -> None:
    copied(coco)
    report = check(coco.save(), allow=["image-in-two-splits"])
    assert report.errors == []
    assert [finding.code for finding in report.warnings] == ["image-in-two-splits"]


def test_allowing_what_does_not_exist_is_an_error(coco: Coco) -> None:
    with pytest.raises(DataError, match=r"there is no finding 'leaks'; available: file-unreadable,"):
        check(coco.save(), allow=["leaks"])


def test_a_run_prints_the_report_and_is_refused_by_an_error(coco: Coco) -> None:
    report = Recorder()
    assert admit(coco.save(), report).classes == ["cat", "dog", "bird"]
    assert report.texts[-1].startswith("no errors, no warnings")
    renamed(coco)
    with pytest.raises(DataError, match=r"nothing was started, because its data has 1 error:\n .*'cat' is not in val"):
        admit(coco.save(), report)


def test_every_kind_of_finding_is_shown_here_or_with_its_form() -> None:
    shown = {code for case in [*COCO_CASES, *VOC_CASES, *MASK_CASES] for code in case.codes}
    assert set(KINDS) - shown == {"file-odd", "class-count"}, "of these two, the tests above"
