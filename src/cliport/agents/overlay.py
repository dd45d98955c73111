"""An agent's decision as a picture: the scene, and heat maps of pick and place over it in gray."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from harness.torch.pictures import Line, captioned, sheet

COLUMNS = 2
SIDE, WIDTH = 480, 720
"""Height of one image, and width of the three images of a scene, in pixels."""
OPAQUE = 1000
"""Multiple of the uniform probability at which a heat map covers the image."""
TRUTH, CHOICE = (70, 220, 90), (255, 255, 255)


def heated(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """An image, uint8 (H, W, 3), in gray under a map (H, W) of probabilities in red, on a log scale from the uniform one upwards.

    In gray, because red would be invisible on red objects.
    """
    share = np.clip(np.log(heat * heat.size + 1e-12) / np.log(OPAQUE), 0, 0.9)[..., None]
    return np.asarray(image.mean(2, keepdims=True) * (1 - share) + np.array([255, 40, 30]) * share, np.uint8)


def enlarged(image: np.ndarray, zoom: int) -> Image.Image:
    return Image.fromarray(image).resize((image.shape[1] * zoom, image.shape[0] * zoom), Image.Resampling.NEAREST)


def marked(image: np.ndarray, truth: tuple[int, int], choice: tuple[int, int] | None, zoom: int) -> Image.Image:
    """An enlarged image with a cross at the demonstrated pixel and a ring at the agent's, if it has one."""
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
    """One scene three times: plain, with the pick's map and with the place's; the instruction is below.

    Args:
        image: float (6, H, W), as agents see it.
        instruction: the instruction.
        maps: probabilities (H, W) of pick and place.
        pixels: for pick and place, the demonstrated pixel and the agent's, or None.
        right: for pick and place, whether the agent is near the demonstration.
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
