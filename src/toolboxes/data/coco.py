"""COCO's form, https://cocodataset.org/#format-data: a JSON file per split, with images, annotations and categories.

annotations/instances_train2017.json, instances_val2017.json      beside train2017/, val2017/: as COCO itself
annotations/train.json, train.json                                beside images/, images/train/, train/
train/_annotations.coco.json                                      among the images: as Roboflow writes it
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

from . import segmentation
from .dataset import Box, Category, Dataset, Picture, Split, Thing
from .findings import Findings, printable
from .places import beginning, ending, files, folders, located, nearest_home, split_of

NAME = "coco"
LAYOUT = "JSON files with images, annotations and categories: annotations/instances_train2017.json, train/_annotations.coco.json"
KEYS = re.compile(rb'"(images|annotations|categories)"\s*:\s*\[\s*[{\]]')
LARGEST, LONGEST = 1e18, 2**31
"""What no coordinate, and no side of an image, reaches."""
OTHERS = ("captions_", "person_keypoints_", "stuff_", "panoptic_", "image_info_")
"""COCO's files of other tasks, beside those of instances."""


def annotation_files(folder: Path) -> list[Path]:
    """The annotation files in a folder, or those of instances where it has such."""
    found: list[Path] = []
    for place in folders(folder):
        listed = files(place, ".json")
        found += listed if len(listed) <= 20 else [path for path in listed if split_of(path.stem)]
    found = [path for path in found if not path.name.startswith(OTHERS) and is_coco(path)]
    return [path for path in found if path.name.startswith("instances_")] or found


def is_coco(path: Path) -> bool:
    """Whether a file looks like COCO's, by its beginning and its end: it may be torn, or too large to be read for this alone."""
    return bool(KEYS.search(beginning(path))) or bool(KEYS.search(ending(path)))


def recognised(folder: Path) -> bool:
    return bool(annotation_files(folder))


def read(folder: Path, findings: Findings) -> Dataset:
    dataset = Dataset(folder, NAME)
    paths = annotation_files(folder)
    homes = folders(folder)
    for path, name in named(paths):
        split = Split(name, str(path.relative_to(folder)))
        dataset.splits[name] = split
        stated = document(path, split, findings)
        if stated is not None:
            Reader(split, path, homes, findings).take(stated)
    first = next((split for split in dataset.splits.values() if split.categories), None)
    dataset.classes = [category.name for category in first.categories] if first else []
    return dataset


def named(paths: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Each file with its split: train before val before test; where two are of the same, the second keeps its own name."""
    order = ["train", "trainval", "val", "test"]
    told = [(path, split_of(path.stem) or split_of(path.parent.name) or path.stem) for path in paths]
    taken: set[str] = set()
    for path, name in sorted(told, key=lambda each: (order.index(each[1]) if each[1] in order else len(order), str(each[0]))):
        free = name if name not in taken else str(path.with_suffix("")).replace("/", " ").split()[-1]
        free = free if free not in taken else str(path)
        taken.add(free)
        yield path, free


def document(path: Path, split: Split, findings: Findings) -> Mapping[str, Any] | None:
    """What a file states, with its three lists, each empty if it is not there."""
    try:
        stated = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as fault:
        findings.add("file-unreadable", f"{split.source}: {fault}", split.name)
        return None
    if not isinstance(stated, dict):
        findings.add("file-odd", f"{split.source}: a {type(stated).__name__} instead of an object", split.name)
        return None
    lists = {key: stated.get(key) for key in ("images", "annotations", "categories")}
    for key, value in lists.items():
        if not isinstance(value, list) and not (key == "annotations" and split.name == "test" and value is None):
            findings.add("file-odd", f"{split.source}: no list of {key}", split.name)
    return {key: value if isinstance(value, list) else [] for key, value in lists.items()}


class Reader:
    """Takes what a file states into a split; what cannot be taken is noted and left out."""

    def __init__(self, split: Split, path: Path, homes: Iterable[Path], findings: Findings) -> None:
        self.split, self.path, self.homes, self.findings = split, path, list(homes), findings
        self.places: dict[Any, int] = {}
        """The place of each image, by its id."""
        self.kinds: dict[Any, int] = {}
        """The place of each class, by its id."""

    def note(self, code: str, example: object = "", count: int = 1) -> None:
        self.findings.add(code, example, self.split.name, count)

    def take(self, stated: Mapping[str, Any]) -> None:
        for item in stated["categories"]:
            self.take_category(item)
        self.take_pictures([item for item in stated["images"] if self.is_object(item, "image")])
        numbers: Counter[Any] = Counter()
        for item in stated["annotations"]:
            if self.is_object(item, "annotation"):
                numbers[identity(item.get("id"))] += 1
                self.take_thing(item)
        missing = numbers.pop(None, 0)
        if missing:
            self.note("annotation-odd", "no id", missing)
        for number, count in numbers.items():
            if count > 1:
                self.note("annotation-id-twice", number)

    def is_object(self, item: Any, what: str) -> bool:
        if not isinstance(item, dict):
            self.note("annotation-odd", f"{what}: {item!r}")
        return isinstance(item, dict)

    def key(self, value: Any, what: str) -> Any:
        """An id as a number, noted if it is text; None if it is neither."""
        if isinstance(value, str):
            self.note("id-is-text", f"{what} {json.dumps(value)}")
        return identity(value)

    def take_category(self, item: Any) -> None:
        if not self.is_object(item, "category"):
            return
        number, name = self.key(item.get("id"), "category id"), item.get("name")
        if number is None or not isinstance(name, str):
            self.note("class-name-odd", f"{name!r}, id {item.get('id')!r}")
        if number in self.kinds:
            self.note("class-id-twice", f"{number}: {self.split.categories[self.kinds[number]].name}, {name}")
            return
        self.kinds[number] = len(self.split.categories)
        self.split.categories.append(Category(number, printable(name) if isinstance(name, str) else str(number)))

    def take_pictures(self, items: Sequence[dict[str, Any]]) -> None:
        named_items = [item for item in items if is_path(item.get("file_name"))]
        candidates = [*sorted(self.homes, key=lambda home: split_of(home.name) != self.split.name), self.path.parent]
        home = nearest_home(candidates, [item["file_name"] for item in named_items])
        for item in items:
            number = self.key(item.get("id"), "image id")
            stated = item.get("file_name")
            width, height = (whole(item.get(side)) for side in ("width", "height"))
            if None in (number, width, height) or not is_path(stated):
                self.note("annotation-odd", f"image {brief(item)}: must have id, file_name, width and height")
            if number is None or not is_path(stated):
                continue
            if number in self.places:
                self.note("image-id-twice", f"{number}: {self.split.pictures[self.places[number]].file}, {stated}")
                continue
            self.places[number] = len(self.split.pictures)
            path = located(home, stated, self.split.name, self.findings)
            self.split.pictures.append(Picture(stated, path, width, height, number))

    def take_thing(self, item: dict[str, Any]) -> None:
        owner, kind = self.key(item.get("image_id"), "image_id"), self.key(item.get("category_id"), "category_id")
        known = True
        if owner not in self.places:
            self.note("annotation-without-image", f"annotation {item.get('id')}: image {item.get('image_id')!r}")
            known = False
        if kind not in self.kinds:
            self.note("annotation-without-class", f"annotation {item.get('id')}: category {item.get('category_id')!r}")
            known = False
        box = box_of(item.get("bbox"))
        if box is None:
            self.note("annotation-odd", f"annotation {item.get('id')}: bbox {item.get('bbox')!r}")
        if not known or box is None:
            return
        area = item.get("area")
        if not is_number(area):
            self.note("annotation-without-size", f"annotation {item.get('id')}: area {area!r}")
            area = None
        picture = self.split.pictures[self.places[owner]]
        mask, fault = item.get("segmentation") or None, None
        if mask is not None and (fault := segmentation.fault(mask, picture.size)):
            self.note("mask-odd", f"annotation {item.get('id')}: {fault}")
        if picture.size is None or fault:
            mask = None
        crowd = item.get("iscrowd") in (1, True, "1")
        self.split.things.append(Thing(self.places[owner], self.kinds[kind], box, area, crowd, mask))


def identity(value: Any) -> Any:
    """An id; a number that stands as text becomes one, and what can be no id becomes None."""
    if isinstance(value, str):
        return int(value) if re.fullmatch(r"-?\d{1,18}", value) else value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -LARGEST < value < LARGEST


def is_path(value: Any) -> TypeGuard[str]:
    """Whether a file may have such a name."""
    return isinstance(value, str) and value != "" and "\0" not in value and printable(value) == value


def whole(value: Any) -> int | None:
    """A side of an image in pixels, or None."""
    return int(value) if is_number(value) and 1 <= value < LONGEST and value == int(value) else None


def box_of(value: Any) -> Box | None:
    """Four numbers, or None."""
    if isinstance(value, list) and len(value) == 4 and all(map(is_number, value)):
        left, top, width, height = value
        return left, top, width, height
    return None


def brief(item: Mapping[str, Any]) -> str:
    return json.dumps({key: item[key] for key in ("id", "file_name", "width", "height") if key in item}, default=str)
