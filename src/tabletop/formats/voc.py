"""The folders of PASCAL VOC2012, for segmentation and detection. Below VOCdevkit/VOC2012:

JPEGImages/2012_000001.jpg
SegmentationClass/2012_000001.png      a class per pixel in VOC's palette: 0 is the table, 1 the first shape, .., 255 void along contours
SegmentationObject/2012_000001.png     the same with instance numbers
Annotations/2012_000001.xml            boxes, counted from 1, both ends included
ImageSets/Segmentation/{train,val,trainval}.txt, and the same in ImageSets/Main

Beside VOCdevkit, labels.txt names the values of the masks, from 0: the classes are not VOC's own. label_list.txt names the shapes alone, as
detectors list them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

import numpy as np
from PIL import Image, ImageFilter

from harness.torch.pictures import sheet

from .format import Format, Sample, box_of

FOLDER = "VOCdevkit/VOC2012"
VOID = 255
BORDER = 2  # pixels of void on each side of a contour


class Voc(Format):
    def write(self, sample: Sample) -> tuple[dict[str, str], str]:
        stem = f"2012_{sample.index + 1:06d}"
        files = {
            "image": f"{FOLDER}/JPEGImages/{stem}.jpg",
            "classes": f"{FOLDER}/SegmentationClass/{stem}.png",
            "objects": f"{FOLDER}/SegmentationObject/{stem}.png",
            "boxes": f"{FOLDER}/Annotations/{stem}.xml",
        }
        self.save_photograph(sample, files["image"])
        mask = sample.scene.photograph.mask
        classes = [0, *(self.settings.shapes.index(thing.kind.shape) + 1 for thing in sample.scene.things)]
        void = contours(mask, BORDER)
        for kind, label in (("classes", np.array(classes, np.uint8)[mask]), ("objects", mask)):
            picture = Image.fromarray(np.where(void, VOID, label).astype(np.uint8))
            picture.putpalette(palette())
            picture.save(self.file(files[kind]))
        ElementTree.ElementTree(annotation(sample, stem)).write(self.file(files["boxes"]))
        return files, stem

    def finish(self, notes: Sequence[tuple[str, str]]) -> dict[str, Any]:
        parts = {part: (part,) for part in self.settings.sizes} | {"trainval": tuple(self.settings.sizes)}
        for name, members in parts.items():
            lines = "".join(f"{stem}\n" for part, stem in notes if part in members)
            for use in ("Segmentation", "Main"):
                self.file(f"{FOLDER}/ImageSets/{use}/{name}.txt").write_text(lines)
        classes = ["background", *self.settings.shapes]
        for name, listed in (("labels.txt", classes), ("label_list.txt", self.settings.shapes)):
            self.file(name).write_text("".join(f"{each}\n" for each in listed))
        return {"classes": classes, "void": VOID}

    def picture(self, image: Image.Image, record: dict[str, Any], note: str) -> Image.Image:
        """The image and its classes, side by side."""
        with Image.open(self.root / record["classes"]) as classes:
            return sheet([image.convert("RGB"), classes.convert("RGB")], columns=2)


def contours(mask: np.ndarray, width: int) -> np.ndarray:
    """Where another number is within `width` pixels, in a mask (H, W) of instance numbers: (H, W) bool."""
    picture = Image.fromarray(mask)
    low, high = (np.asarray(picture.filter(kind(2 * width + 1))) for kind in (ImageFilter.MinFilter, ImageFilter.MaxFilter))
    return np.asarray(low != high)


def palette() -> list[int]:
    """VOC's 256 colors: the bits of a class's number, assigned in turn to red, green and blue from their highest bits down."""
    numbers = np.arange(256)
    colours = [sum((numbers >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(3)) for channel in range(3)]
    return np.stack(colours, 1).ravel().tolist()


def annotation(sample: Sample, stem: str) -> ElementTree.Element:
    """The objects' boxes. One that touches the image's edge counts as truncated."""
    height, width = sample.scene.photograph.mask.shape
    root = ElementTree.Element("annotation")
    add(root, {"folder": "VOC2012", "filename": f"{stem}.jpg", "source": {"database": sample.settings.dataset_name}})
    add(root, {"size": {"width": width, "height": height, "depth": 3}, "segmented": 1})
    for thing in sample.scene.things:
        left, top, wide, high = box_of(sample.covered(thing))
        box = {"xmin": left + 1, "ymin": top + 1, "xmax": left + wide, "ymax": top + high}
        cut = left == 0 or top == 0 or left + wide == width or top + high == height
        marks = {"name": thing.kind.shape, "pose": "Unspecified", "truncated": int(cut), "difficult": 0, "bndbox": box}
        add(ElementTree.SubElement(root, "object"), marks)
    ElementTree.indent(root)
    return root


def add(parent: ElementTree.Element, entries: dict[str, Any]) -> None:
    """Add nested entries as child elements."""
    for name, value in entries.items():
        child = ElementTree.SubElement(parent, name)
        if isinstance(value, dict):
            add(child, value)
        else:
            child.text = str(value)
