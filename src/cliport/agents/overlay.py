"""What an agent thinks of a scene, as a picture: the scene, and heat maps of pick and place over it in grey."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from harness.torch.pictures import Line, captioned, sheet

COLUMNS = 2
SIDE, WIDTH = 480, 720
"""Height of an image, and width of a scene's three, in pixels."""
OPAQUE = 1000
TRUTH, CHOICE = (70, 220, 90), (255, 255, 255)


def heated(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """An image, uint8 (H, W, 3), in grey with a map (H, W) of probabilities over it in red: from chance's to OPAQUE times that.

    In grey because red would not be seen on what is red itself.
    """
    share = np.clip(np.log(heat * heat.size + 1e-12) / np.log(OPAQUE), 0, 0.9)[..., None]
    return np.asarray(image.mean(2, keepdims=True) * (1 - share) + np.array([255, 40, 30]) * share, np.uint8)


def enlarged(image: np.ndarray, zoom: int) -> Image.Image:
    return Image.fromarray(image).resize((image.shape[1] * zoom, image.shape[0] * zoom), Image.Resampling.NEAREST)


def marked(image: np.ndarray, truth: tuple[int, int], choice: tuple[int, int] | None, zoom: int) -> Image.Image:
    """An image enlarged, with a cross where the demonstration is, and a ring where the agent would be, if anywhere."""
    picture = enlarged(image, zoom)
    draw = ImageDraw.Draw(picture)
    row, column = ((pixel + 0.5) * zoom for pixel in truth)
    draw.line([(column - 6, row), (column + 6, row)], TRUTH, 2)
    draw.line([(column, row - 6), (column, row + 6)], TRUTH, 2)
    if choice is not None:
        row, column = ((pixel + 0.5) * zoom for pixel in choice)
        draw.ellipse([(column - 5, row - 5), (column + 5, row + 5)], outline=CHOICE, width=2)
    return picture


def overlay(
    image: np.ndarray,
    instruction: str,
    maps: list[np.ndarray],
    pixels: list[tuple[tuple[int, int], tuple[int, int] | None]],
    right: list[bool],
) -> Image.Image:
    """One scene: as it is, with the pick's map, and with the place's; the instruction is below.

    Args:
        image: float (6, H, W), as agents see it.
        instruction: what was asked for.
        maps: for pick and place, probabilities (H, W).
        pixels: for pick and place, where the demonstration is, and where the agent would be, or None.
        right: for pick and place, whether the agent would be near it.
    """
    colours = (np.clip(image[:3], 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    zoom = max(1, round(SIDE / colours.shape[0]))
    pictures = [enlarged(colours, zoom)]
    for heat, (truth, choice) in zip(maps, pixels, strict=True):
        pictures.append(marked(heated(colours, heat), truth, choice, zoom))
    lines = [Line(instruction), Line("pick", mark=right[0]), Line("place", mark=right[1])]
    return captioned(sheet(pictures, 3), lines, WIDTH)


def gallery(pictures: list[Image.Image]) -> Image.Image:
    """Several scenes side by side."""
    return sheet(pictures, min(COLUMNS, len(pictures)))
