"""COCO detection with instance masks.

annotations/instances_{train,val}2017.json    categories are the shapes, in the order of the setting `shapes`; ids start at 1
train2017/000000000001.jpg                    image `id` is the scene's index + 1
val2017/...

A segmentation is a list of polygons, the form that every toolbox reads. They run along the borders of pixels, so that they are the exact
mask, in several parts or with holes too. An object's color and size are in the annotation's `attributes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageDraw

from ..shapes import COLOURS
from .format import Format, Sample, box_of
from .outlines import polygons

IDS_PER_IMAGE = 10  # more than a scene has objects


class Coco(Format):
    def write(self, sample: Sample) -> tuple[dict[str, str], dict[str, Any]]:
        identity = sample.index + 1
        file_name = f"{identity:012d}.jpg"
        path = f"{sample.part}2017/{file_name}"
        self.save_photograph(sample, path)
        height, width = sample.scene.photograph.mask.shape
        image = {"id": identity, "file_name": file_name, "width": width, "height": height}
        return {"image": path}, {"image": image, "annotations": self.annotations(sample, identity)}

    def annotations(self, sample: Sample, image: int) -> list[dict[str, Any]]:
        """One annotation per object; boxes are [x, y, width, height] in pixels."""
        masks = {thing: sample.covered(thing) for thing in sample.scene.things}
        return [
            {
                "id": image * IDS_PER_IMAGE + thing.number,
                "image_id": image,
                "category_id": self.settings.shapes.index(thing.kind.shape) + 1,
                "bbox": box_of(mask),
                "area": int(mask.sum()),
                "segmentation": polygons(mask),
                "iscrowd": 0,
                "attributes": {"colour": thing.kind.colour, "size": thing.kind.size},
            }
            for thing, mask in masks.items()
        ]

    def finish(self, notes: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
        categories = [{"id": number, "name": name, "supercategory": "object"} for number, name in enumerate(self.settings.shapes, 1)]
        for part in self.settings.sizes:
            of_part = [note for owner, note in notes if owner == part]
            labels = {
                "info": {"description": f"{self.settings.dataset_name}: rendered scenes", "version": "1"},
                "licenses": [],
                "categories": categories,
                "images": [note["image"] for note in of_part],
                "annotations": [annotation for note in of_part for annotation in note["annotations"]],
            }
            self.save_json(f"annotations/instances_{part}2017.json", labels)
        return {"categories": list(self.settings.shapes)}

    def picture(self, image: Image.Image, record: dict[str, Any], note: dict[str, Any]) -> Image.Image:
        """Masks in the colors of their objects, boxes, and the names of the categories."""
        canvas = image.convert("RGB")
        draw = ImageDraw.Draw(canvas, "RGBA")
        for annotation in note["annotations"]:
            red, green, blue = (round(255 * part) for part in COLOURS[annotation["attributes"]["colour"]])
            for outline in annotation["segmentation"]:
                draw.polygon(outline, fill=(red, green, blue, 128))
        for annotation in note["annotations"]:
            x, y, width, height = annotation["bbox"]
            draw.rectangle([x, y, x + width - 1, y + height - 1], outline="white")
            draw.text((x + 2, y + 1), self.settings.shapes[annotation["category_id"] - 1], "white")
        return canvas
