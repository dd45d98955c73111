"""Settings of the commands, importable without PyBullet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness.params import setting

BASIC = ("cube", "ball", "cylinder", "cone", "bowl", "plate")
SHAPE_NAMES = (*BASIC, "pyramid", "bottle", "cup", "ring", "star", "cross")
PARTS = {"pairs": ("train", "heldout"), "coco": ("train", "val"), "voc": ("train", "val"), "sherlock": ("train", "val", "test")}
"""The parts of each format's data set; what is held out is shared evenly among all but the first."""


@dataclass
class RenderConfig:
    """Settings of `command=render`."""

    format: str = setting("pairs", "layout: captions; boxes and masks; classes by pixel; clues and inferences", choices=tuple(PARTS))
    name: str = setting("", "under which the data set is published; empty is tabletop-<format>")
    n: int = setting(600, "scenes to render, the held-out ones included", unit="scenes", ge=1, le=1_000_000)
    heldout: float = setting(1 / 6, "share of the scenes in the held-out part", ge=0, lt=1)
    image_size: int = setting(224, "height of the images", unit="pixels", ge=16, le=2048)
    aspect: float = setting(1.0, "width of the images over their height", ge=0.5, le=3)
    supersampling: int = setting(2, "rays per pixel along each axis, averaged", ge=1, le=4)
    min_objects: int = setting(2, "fewest objects in a scene", ge=1, le=8)
    max_objects: int = setting(4, "most objects in a scene", ge=1, le=8)
    shapes: list[str] = setting(list(BASIC), "what stands on the table; the classes, in this order", choices=SHAPE_NAMES)
    varied: bool = setting(False, "things turned about the vertical, cameras low and high, near and far, some things cut by the edge")
    captions: int = setting(4, "different captions per scene, or observations in format=sherlock", ge=1, le=8)
    workers: int = setting(0, "processes; 0 is one per core. The result does not depend on it", ge=0, le=256)
    debug_images: int = setting(12, "scenes shown with their labels beside the run", ge=0, le=100)

    @property
    def dataset(self) -> str:
        """The name of the data set and of its folder."""
        return self.name or f"tabletop-{self.format}"

    @property
    def sizes(self) -> dict[str, int]:
        """How many scenes each part has; the held-out ones are the last."""
        first, *others = PARTS[self.format]
        heldout = round(self.n * self.heldout)
        shares = {part: (heldout + len(others) - 1 - number) // len(others) for number, part in enumerate(others)}
        return {first: self.n - heldout, **shares}

    def part(self, index: int) -> str:
        """The part that a scene belongs to."""
        for part, size in self.sizes.items():
            if index < size:
                return part
            index -= size
        raise IndexError(index)

    def problems(self) -> Iterator[str]:
        """What contradicts itself in these settings."""
        if self.min_objects > self.max_objects:
            yield f"min_objects={self.min_objects} is above max_objects={self.max_objects}"
        if not re.fullmatch(r"\w[\w.-]{2,99}", self.dataset):
            yield f"name={self.name}: must be 3 to 100 letters, digits, underscores, dots and hyphens"
        if not self.shapes or len(set(self.shapes)) < len(self.shapes):
            yield f"shapes={self.shapes}: must name one or more shapes, each once"
        empty = [part for part, size in self.sizes.items() if not size]
        if self.format != "pairs" and empty:
            yield f"n={self.n} heldout={self.heldout:g}: leaves no scene for {' and '.join(empty)}, which format={self.format} needs"
