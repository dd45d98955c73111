"""The base class of the formats: writing the files of each scene and of the whole dataset, and drawing a scene with its labels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..config import RenderConfig
from ..language import captions
from ..scene import Scene, Thing


@dataclass(frozen=True)
class Sample:
    """A scene with its place in the dataset."""

    scene: Scene
    index: int
    part: str
    seed: int
    settings: RenderConfig

    @property
    def stem(self) -> str:
        return f"{self.index:06d}"

    def captions(self) -> list[str]:
        """Captions of the scene; the same ones at each call."""
        return captions(self.scene, np.random.default_rng([self.seed, self.index, 1]), self.settings.captions)

    def covered(self, thing: Thing) -> np.ndarray:
        """The pixels (H, W) bool that show an object."""
        return np.asarray(self.scene.photograph.mask == thing.number)


class Format:
    """A format of a dataset in the folder `root`. Several processes write scenes, each with its own `Format`."""

    def __init__(self, root: Path, settings: RenderConfig, seed: int) -> None:
        self.root, self.settings, self.seed = root, settings, seed

    def aspect(self, index: int) -> float:
        """Width of a scene's image divided by its height."""
        return self.settings.aspect

    def write(self, sample: Sample) -> tuple[dict[str, str], Any]:
        """Write the files of one scene.

        Returns:
            Their paths below the root, including "image", and a note: what `finish` and `picture` need to know about the scene.
        """
        raise NotImplementedError

    def finish(self, notes: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        """Write the files about all scenes, given their parts and notes in order; returns entries for the manifest."""
        return {}

    def picture(self, image: Image.Image, record: dict[str, Any], note: Any) -> Image.Image:
        """An image of a scene with its labels."""
        raise NotImplementedError

    def file(self, name: str) -> Path:
        """The path of a file below the root, whose folder is created."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def save_photograph(self, sample: Sample, name: str) -> None:
        """Write the image as JPEG."""
        Image.fromarray(sample.scene.photograph.image).save(self.file(name), quality=95)

    def save_json(self, name: str, value: Any) -> None:
        self.file(name).write_text(json.dumps(value, separators=(",", ":")))


def box_of(mask: np.ndarray) -> list[int]:
    """The tight bounding box [left, top, width, height] of a mask (H, W), in pixels."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    left, top = int(columns[0]), int(rows[0])
    return [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top]
