"""Small image-text pairs: a square of one colour on another, with two captions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"red": (210, 40, 40), "green": (40, 170, 60), "blue": (40, 70, 210), "yellow": (230, 210, 40), "white": (240, 240, 240)}


def write_pair(folder: Path, stem: str, inner: str, outer: str, size: int = 40) -> None:
    """A square of one colour on a ground of another, and two captions that say so."""
    pixels = np.full((size, size, 3), COLOURS[outer], np.uint8)
    pixels[size // 4 : -size // 4, size // 4 : -size // 4] = COLOURS[inner]
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(folder / f"{stem}.png")
    (folder / f"{stem}.txt").write_text(f"a {inner} square on {outer}\n\n{outer} around {inner}\n")
