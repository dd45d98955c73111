"""Images and masks of classes in folders of their own, as the segmentation toolboxes take them.

img_dir/train/a.jpg beside ann_dir/train/a.png                    MMSegmentation; images/ and annotations/: ADE20K
train.txt, val.txt of lines `images/a.jpg labels/a.png`           PaddleSeg, with labels.txt
leftImg8bit/train/CITY/.. beside gtFine/train/CITY/..             Cityscapes
train/images/a.jpg beside train/masks/a.png, or images/ beside masks/
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .dataset import Dataset, Picture, Split
from .findings import Findings
from .places import IMAGES, SPLITS, class_list, entries, folders, images, pairs, several, split_of

NAME = "masks"
LAYOUT = "images/ with annotations/, masks/ or labels/ of PNG masks; train.txt of lines `image mask`; leftImg8bit/ with gtFine/"
PHOTOGRAPHS = ("images", "img_dir", "imgs", "image", "leftImg8bit")
LABELS = ("annotations", "ann_dir", "masks", "labels", "label", "mask", "gtFine")
CITYSCAPES = "leftImg8bit"
ENDS = ("_gtFine_labelTrainIds", "_labelTrainIds", "_mask", "_label", "_labels", "_seg", "_gt")
"""What follows an image's name in the name of its mask."""
RAW_END = "_gtFine_labelIds"
TRAIN_CLASSES = several(
    "road, sidewalk, building, wall, fence, pole, traffic light, traffic sign, vegetation, terrain, sky, person, rider, car, truck, bus, "
    "train, motorcycle, bicycle"
)
"""Cityscapes' classes by `trainId`, from cityscapesScripts' labels.py; everything else has 255."""
RAW_CLASSES = several(
    "unlabeled, ego vehicle, rectification border, out of roi, static, dynamic, ground, road, sidewalk, parking, rail track, building, "
    "wall, fence, guard rail, bridge, tunnel, pole, polegroup, traffic light, traffic sign, vegetation, terrain, sky, person, rider, car, "
    "truck, bus, caravan, trailer, train, motorcycle, bicycle"
)
"""The same by `id`."""


def couples(folder: Path) -> list[tuple[Path, Path]]:
    """Folders of images, each with the folder beside it that has their masks."""
    found = []
    for place in folders(folder, 1):
        inside = {entry.name: Path(entry.path) for entry in entries(place) if entry.is_dir()}
        for name in PHOTOGRAPHS:
            label = next((inside[label] for label in LABELS if label in inside and has_masks(inside[label])), None)
            if name in inside and label is not None:
                found.append((inside[name], label))
                break
    return found


def has_masks(folder: Path) -> bool:
    return next(images(folder), None) is not None


def recognised(folder: Path) -> bool:
    return bool(couples(folder)) or any(True for _ in pairs(folder, *IMAGES))


def read(folder: Path, findings: Findings) -> Dataset:
    dataset = Dataset(folder, NAME, values=class_list(folder) or [])
    if listed := list(pairs(folder, *IMAGES)):
        for path, rows in listed:
            pictures = [Picture(stated, folder / stated, label=folder / label) for stated, label in rows]
            name = SPLITS[path.stem.lower()]
            dataset.splits[name] = Split(name, path.name, pictures=pictures)
        return dataset
    for photographs, labels in couples(folder):
        for split in splits(folder, photographs, labels, findings):
            dataset.splits.setdefault(split.name, Split(split.name, split.source)).pictures += split.pictures
    if not dataset.values and any(photographs.name == CITYSCAPES for photographs, _ in couples(folder)):
        raw = any(picture.label and picture.label.stem.endswith(RAW_END) for _, picture in dataset.pictures())
        dataset.values = RAW_CLASSES if raw else TRAIN_CLASSES
        dataset.void = None if raw else 255
    return dataset


def splits(folder: Path, photographs: Path, labels: Path, findings: Findings) -> Iterator[Split]:
    """The splits below a folder of images: its folders whose names tell one; otherwise it is one itself."""
    inside = [Path(entry.path) for entry in entries(photographs) if entry.is_dir() and split_of(entry.name)]
    for place in inside or [photographs]:
        name = split_of(place.name) or split_of(photographs.parent.name if photographs.parent != folder else "") or "all"
        beside = labels / place.relative_to(photographs)
        masks = {path.relative_to(beside).with_suffix("").as_posix(): path for path in images(beside)}
        free = dict(masks)
        split = Split(name, str(place.relative_to(folder)))
        for path in images(place):
            stem = path.relative_to(place).with_suffix("").as_posix()
            root = stem.removesuffix("_leftImg8bit")
            match = next((root + end for end in ("", *ENDS, RAW_END) if root + end in masks), None)
            label = masks[match] if match else beside / f"{stem}.png"
            free.pop(match or "", None)
            split.pictures.append(Picture(path.relative_to(place).as_posix(), path, id=stem, label=label if match or masks else None))
        if split.name == "test" and not masks:
            for picture in split.pictures:
                picture.label = None
        if photographs.name != CITYSCAPES:  # which has several masks for each image, and polygons
            for path in free.values():
                findings.add("label-without-image", path.relative_to(labels), split.name)
        yield split
