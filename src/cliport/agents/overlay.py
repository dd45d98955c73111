"""What an agent thinks of a scene, as a picture: heat maps of pick and place over the image."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from training.pictures import Line, captioned, sheet

COLUMNS = 3
WIDTH = 480
OPAQUE = 1000
TRUTH, CHOICE = (70, 220, 90), (255, 255, 255)


def heated(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """An image, uint8 (H, W, 3), with a map (H, W) of probabilities over it in red: from what chance would give to OPAQUE times that."""
    share = np.clip(np.log(heat * heat.size + 1e-12) / np.log(OPAQUE), 0, 0.9)[..., None]
    return (image * (1 - share) + np.array([255, 40, 30]) * share).astype(np.uint8)


def marked(image: np.ndarray, truth: tuple[int, int], choice: tuple[int, int], zoom: int) -> Image.Image:
    """An image enlarged, with a cross where the demonstration is, and a ring where the agent would be."""
    picture = Image.fromarray(image).resize((image.shape[1] * zoom, image.shape[0] * zoom), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(picture)
    row, column = ((pixel + 0.5) * zoom for pixel in truth)
    draw.line([(column - 6, row), (column + 6, row)], TRUTH, 2)
    draw.line([(column, row - 6), (column, row + 6)], TRUTH, 2)
    row, column = ((pixel + 0.5) * zoom for pixel in choice)
    draw.ellipse([(column - 5, row - 5), (column + 5, row + 5)], outline=CHOICE, width=2)
    return picture


def overlay(
    image: np.ndarray, instruction: str, maps: list[np.ndarray], pixels: list[tuple[tuple[int, int], tuple[int, int]]], right: list[bool]
) -> Image.Image:
    """One scene: the pick's map beside the place's, with the instruction below.

    Args:
        image: float (6, H, W), as agents see it.
        instruction: what was asked for.
        maps: for pick and place, probabilities (H, W).
        pixels: for pick and place, where the demonstration is, and where the agent would be.
        right: for pick and place, whether the agent would be near it.
    """
    colours = (np.clip(image[:3], 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    zoom = max(1, round(WIDTH / colours.shape[0]))
    pictures = []
    for heat, (truth, choice) in zip(maps, pixels, strict=True):
        pictures.append(marked(heated(colours, heat), truth, choice, zoom))
    lines = [Line(instruction), Line("pick", mark=right[0]), Line("place", mark=right[1])]
    return captioned(sheet(pictures, 2), lines, WIDTH)


def gallery(pictures: list[Image.Image]) -> Image.Image:
    """Several scenes side by side."""
    return sheet(pictures, min(COLUMNS, len(pictures)))
