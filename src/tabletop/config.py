"""Settings of the command; importable without PyBullet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness.settings import setting

BASIC = ("cube", "ball", "cylinder", "cone", "bowl", "plate")
SHAPE_NAMES = (*BASIC, "pyramid", "bottle", "cup", "ring", "star", "cross")
PARTS = {"pairs": ("train", "heldout"), "coco": ("train", "val"), "voc": ("train", "val"), "sherlock": ("train", "val", "test")}
"""The parts of each format's dataset; held-out scenes are divided evenly among all but the first."""


@dataclass
class RenderConfig:
    """Settings of `command=render`."""

    format: str = setting(
        "pairs",
        "format of the dataset. pairs: images and captions; coco: boxes and masks; voc: a class per pixel; sherlock: clues and inferences",
        choices=tuple(PARTS),
    )
    name: str = setting("", "name of the published dataset; default: tabletop-<format>")
    n: int = setting(600, "total number of scenes, held-out ones included", unit="scenes", ge=1, le=1_000_000)
    part_of: int | None = setting(
        None,
        "size of a larger dataset, of which the n scenes are a part: the first of each of its parts",
        unit="scenes",
        ge=1,
        le=1_000_000,
    )
    heldout: float = setting(1 / 6, "share of the scenes that is held out", ge=0, lt=1)
    image_size: int = setting(224, "height of the images", unit="pixels", ge=16, le=2048)
    aspect: float = setting(1.0, "width of the images divided by their height", ge=0.5, le=3)
    supersampling: int = setting(2, "rays per pixel along each axis, averaged", ge=1, le=4)
    min_objects: int = setting(2, "smallest number of objects in a scene", ge=1, le=8)
    max_objects: int = setting(4, "largest number of objects in a scene", ge=1, le=8)
    shapes: list[str] = setting(list(BASIC), "shapes of the objects; they are also the classes, in this order", choices=SHAPE_NAMES)
    varied: bool = setting(False, "rotate objects about the vertical and vary the camera's pose widely; the edge may cut objects off")
    hard: bool = setting(False, "patterned tables, colours that vary, unlabelled clutter, and boards that hide parts of the objects")
    captions: int = setting(4, "largest number of captions per scene, or of observations if format=sherlock", ge=1, le=8)
    workers: int = setting(0, "number of processes; 0 means one per core. The result does not depend on it", ge=0, le=256)
    debug_images: int = setting(12, "number of scenes shown with their labels", ge=0, le=100)

    @property
    def dataset_name(self) -> str:
        """The name of the dataset and of its folder."""
        return self.name or f"tabletop-{self.format}"

    @property
    def sizes(self) -> dict[str, int]:
        """Number of scenes in each part; held-out scenes come last."""
        return self.divided(self.n)

    def divided(self, count: int) -> dict[str, int]:
        """How `count` scenes are divided into parts."""
        first, *others = PARTS[self.format]
        heldout = round(count * self.heldout)
        shares = {part: (heldout + len(others) - 1 - number) // len(others) for number, part in enumerate(others)}
        return {first: count - heldout, **shares}

    def scenes(self) -> list[tuple[int, str]]:
        """Number and part of each scene. A part of a larger dataset has that dataset's numbers, which decide what a scene shows."""
        found, start = [], 0
        for part, size in self.divided(self.part_of or self.n).items():
            found += [(start + number, part) for number in range(self.sizes[part])]
            start += size
        return found

    def problems(self) -> Iterator[str]:
        """Contradictions in these settings."""
        if self.min_objects > self.max_objects:
            yield f"min_objects={self.min_objects} is greater than max_objects={self.max_objects}"
        if self.part_of is not None and self.part_of < self.n:
            yield f"part_of={self.part_of} is less than n={self.n}"
        if not re.fullmatch(r"\w[\w.-]{2,99}", self.dataset_name):
            yield f"name={self.name}: must consist of 3 to 100 letters, digits, underscores, dots and hyphens"
        if not self.shapes or len(set(self.shapes)) < len(self.shapes):
            yield f"shapes={self.shapes}: must name at least one shape, and none twice"
        empty = [part for part, size in self.sizes.items() if not size]
        if self.format != "pairs" and empty:
            yield f"n={self.n} heldout={self.heldout:g}: leaves no scenes for {' and '.join(empty)}, which format={self.format} needs"
