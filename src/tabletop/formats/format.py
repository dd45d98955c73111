"""What every layout does: write a scene's files, then what is about all of them, and show a scene with its labels."""

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
    """One scene on its way into a data set."""

    scene: Scene
    index: int
    part: str
    seed: int
    settings: RenderConfig

    @property
    def stem(self) -> str:
        return f"{self.index:06d}"

    def captions(self) -> list[str]:
        """The scene in sentences, the same ones each time."""
        return captions(self.scene, np.random.default_rng([self.seed, self.index, 1]), self.settings.captions)

    def covered(self, thing: Thing) -> np.ndarray:
        """Where the thing is seen, (H, W) bool."""
        return np.asarray(self.scene.photograph.mask == thing.number)


class Format:
    """A layout of files in the folder `root`. Scenes are written by several processes, each with a `Format` of its own."""

    def __init__(self, root: Path, settings: RenderConfig, seed: int) -> None:
        self.root, self.settings, self.seed = root, settings, seed

    def aspect(self, index: int) -> float:
        """Width over height of a scene's picture."""
        return self.settings.aspect

    def write(self, sample: Sample) -> tuple[dict[str, str], Any]:
        """Write the files of one scene.

        Returns:
            Their paths below the root, "image" among them, and what `finish` and `picture` need to know about the scene.
        """
        raise NotImplementedError

    def finish(self, notes: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        """Write the files about all scenes, whose parts and notes come in order; returns what the manifest shall say of them."""
        return {}

    def picture(self, image: Image.Image, record: dict[str, Any], note: Any) -> Image.Image:
        """A scene with its labels."""
        raise NotImplementedError

    def file(self, name: str) -> Path:
        """The path of a file below the root, in a folder that is there."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def save_photograph(self, sample: Sample, name: str) -> None:
        """Write the picture as JPEG."""
        Image.fromarray(sample.scene.photograph.image).save(self.file(name), quality=95)

    def save_json(self, name: str, value: Any) -> None:
        self.file(name).write_text(json.dumps(value, separators=(",", ":")))


def box_of(mask: np.ndarray) -> list[int]:
    """The tight box [left, top, width, height] of what a mask (H, W) covers, in pixels."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    left, top = int(columns[0]), int(rows[0])
    return [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top]
