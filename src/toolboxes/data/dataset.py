"""A data set for detection or segmentation, in whatever form it lies in its folder: splits, images, objects, classes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

Task = Literal["detection", "instance segmentation", "semantic segmentation"]
Box = tuple[float, float, float, float]
"""left, top, width, height in pixels, from 0."""


@dataclass(frozen=True)
class Category:
    """A class: its id in the annotations, and its name."""

    id: Any
    name: str


@dataclass(slots=True)
class Header:
    """What an image file's header says."""

    width: int
    height: int
    """As a viewer and OpenCV show it: turned as EXIF says."""
    mode: str
    turn: int = 1
    """EXIF's orientation; 1 is upright, from 5 on width and height are exchanged in the file."""


@dataclass(slots=True)
class Picture:
    """An image of a split."""

    file: str
    """As the annotations state it."""
    path: Path
    """Where it should lie."""
    width: int | None = None
    height: int | None = None
    """As the annotations state them."""
    id: Any = None
    label: Path | None = None
    """Its mask of classes, where one belongs to it."""
    header: Header | None = None
    """None until it was read, and if it cannot be read."""

    @property
    def size(self) -> tuple[int, int] | None:
        """(width, height) as stated, or else as they are."""
        if self.width is not None and self.height is not None:
            return self.width, self.height
        return (self.header.width, self.header.height) if self.header else None


@dataclass(slots=True)
class Thing:
    """An annotated object."""

    picture: int
    """Its place in `Split.pictures`."""
    category: int
    """Its place in `Split.categories`."""
    box: Box
    area: float | None = None
    """As stated, in pixels."""
    crowd: bool = False
    segmentation: Any = None
    """COCO's forms: polygons [[x, y, ..], ..], or run lengths {"size": [height, width], "counts": list or str}."""


@dataclass
class Split:
    """A part of a data set, such as train or val."""

    name: str
    source: str
    """The file or folder that lists it, relative to the data set's folder."""
    categories: list[Category] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    things: list[Thing] = field(default_factory=list)

    def boxes(self) -> np.ndarray:
        """(N, 4) float."""
        return np.array([thing.box for thing in self.things], float).reshape(-1, 4)

    def owners(self) -> np.ndarray:
        """(N,) int: each object's image."""
        return np.array([thing.picture for thing in self.things], int)

    def kinds(self) -> np.ndarray:
        """(N,) int: each object's class, as a place in `categories`."""
        return np.array([thing.category for thing in self.things], int)


@dataclass
class Dataset:
    """A data set as it was read."""

    folder: Path
    form: str
    splits: dict[str, Split] = field(default_factory=dict)
    classes: list[str] = field(default_factory=list)
    """Of objects, in the order of their indexes. The background is none of them."""
    values: list[str] = field(default_factory=list)
    """Of masks of classes: the name of each value, from 0."""
    void: int | None = None
    """The value of pixels that belong to no class, in masks of classes."""

    @property
    def tasks(self) -> list[Task]:
        """What can be trained on it."""
        found: list[Task] = []
        if any(split.things for split in self.splits.values()):
            found.append("detection")
        if any(thing.segmentation for split in self.splits.values() for thing in split.things):
            found.append("instance segmentation")
        if any(picture.label for _, picture in self.pictures()):
            found.append("semantic segmentation")
        return found

    def pictures(self) -> Iterator[tuple[Split, Picture]]:
        for split in self.splits.values():
            for picture in split.pictures:
                yield split, picture
