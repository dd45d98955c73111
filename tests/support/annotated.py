"""Small annotated data sets, sound as they are made: COCO's form, VOC's, and masks of classes."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIZE = (64, 48)
"""Width and height of the images."""
CLASSES = ["cat", "dog", "bird"]


def photograph(path: Path, size: tuple[int, int] = SIZE, mode: str = "RGB", **options: Any) -> Path:
    """Noise that no other path has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(zlib.crc32(path.as_posix().encode()))
    Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).convert(mode).save(path, **options)
    return path


def mask(path: Path, values: np.ndarray | None = None, palette: list[int] | None = None) -> Path:
    """A mask of classes: by default, 0 with a bar of 1 and one of 2."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if values is None:
        values = np.zeros(SIZE[::-1], np.uint8)
        values[10:20], values[30:40] = 1, 2
    image = Image.fromarray(values)
    if palette:
        image.putpalette(palette)
    image.save(path)
    return path


@dataclass
class Coco:
    """COCO's folder with four images to train on and two to validate on; every image has an object of each class."""

    root: Path
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What the annotation file of each split will state."""

    def __post_init__(self) -> None:
        number = 0
        for split, count in (("train", 4), ("val", 2)):
            stated: dict[str, Any] = {"images": [], "annotations": []}
            stated["categories"] = [{"id": place, "name": name, "supercategory": "animal"} for place, name in enumerate(CLASSES, 1)]
            for _ in range(count):
                number += 1
                name = f"{number:012d}.jpg"
                photograph(self.folder(split) / name)
                stated["images"].append({"id": number, "file_name": name, "width": SIZE[0], "height": SIZE[1]})
                stated["annotations"] += [annotation(number, kind) for kind in (1, 2, 3)]
            self.files[split] = stated

    def folder(self, split: str) -> Path:
        return self.root / f"{split}2017"

    def save(self) -> Path:
        """Write the annotation files, and return the data set's folder."""
        for split, stated in self.files.items():
            path = self.root / f"annotations/instances_{split}2017.json"
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(stated))
        return self.root


def annotation(image: int, kind: int) -> dict[str, Any]:
    """An object of class `kind` in an image, with a rectangle for its mask."""
    left, top, width, height = 4 + 18 * (kind - 1), 6, 12, 10 + kind
    corners = [left, top, left + width, top, left + width, top + height, left, top + height]
    return {
        "id": 10 * image + kind,
        "image_id": image,
        "category_id": kind,
        "bbox": [left, top, width, height],
        "area": width * height,
        "segmentation": [corners],
        "iscrowd": 0,
    }


VOC_OBJECT = "<object><name>{name}</name><difficult>{difficult}</difficult><bndbox>{box}</bndbox></object>"
VOC_FILE = (
    "<annotation><folder>VOC2012</folder><filename>{file}</filename>"
    "<size><width>{width}</width><height>{height}</height><depth>3</depth></size><segmented>1</segmented>{objects}</annotation>"
)


def voc_object(name: str, box: tuple[float, float, float, float], difficult: int = 0) -> str:
    sides = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    return VOC_OBJECT.format(name=name, difficult=difficult, box="".join(f"<{side}>{value}</{side}>" for side, value in sides))


def voc_file(path: Path, objects: str, file: str, size: tuple[int, int] = SIZE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(VOC_FILE.format(file=file, width=size[0], height=size[1], objects=objects))
    return path


def voc(root: Path) -> Path:
    """VOC2012's folder with two images to train on and one to validate on; masks where value 1 is aeroplane and 2 is bicycle."""
    home = root / "VOCdevkit/VOC2012"
    stems = {"train": ["2012_000001", "2012_000002"], "val": ["2012_000003"]}
    for stem in [*stems["train"], *stems["val"]]:
        photograph(home / f"JPEGImages/{stem}.jpg")
        objects = voc_object("aeroplane", (1, 11, 64, 20)) + voc_object("bicycle", (5, 31, 60, 40), 1)
        voc_file(home / f"Annotations/{stem}.xml", objects, f"{stem}.jpg")
        mask(home / f"SegmentationClass/{stem}.png", palette=[0, 0, 0, 128, 0, 0, 0, 128, 0])
    for use in ("Main", "Segmentation"):
        (home / "ImageSets" / use).mkdir(parents=True)
        for name, members in {**stems, "trainval": stems["train"] + stems["val"]}.items():
            (home / "ImageSets" / use / f"{name}.txt").write_text("".join(f"{stem}\n" for stem in members))
    (root / "labels.txt").write_text("aeroplane\nbicycle\n")
    (home / "ImageSets/Main/aeroplane_train.txt").write_text("2012_000001  1\n2012_000002 -1\n")
    return root


def masks(root: Path) -> Path:
    """MMSegmentation's folder, with classes.txt."""
    for split, count in (("train", 3), ("val", 2)):
        for number in range(count):
            photograph(root / f"img_dir/{split}/{split}{number}.jpg")
            mask(root / f"ann_dir/{split}/{split}{number}.png")
    (root / "classes.txt").write_text("background\nroad\nhouse\n")
    return root
