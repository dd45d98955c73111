"""An agent's decision as a picture: the scene, and heat maps of pick and place over it in gray."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from harness.torch.pictures import Line, captioned, sheet

from ..sim.observation import HeightMap

if TYPE_CHECKING:
    from .agent import Decision

COLUMNS = 2
SIDE, WIDTH = 480, 720
"""Height of one image, and width of the three images of a scene, in pixels."""
OPAQUE = 1000
"""Multiple of the uniform probability at which a heat map covers the image."""
TRUTH, CHOICE = (70, 220, 90), (255, 255, 255)
HEAD = 9
"""Length of an arrow's head, in pixels of the picture."""
Pixel = tuple[int, int]
"""Row and column."""


def heated(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """An image, uint8 (H, W, 3), in gray under a map (H, W) of probabilities in red, on a log scale from the uniform one upwards.

    In gray, because red would be invisible on red objects.
    """
    share = np.clip(np.log(heat * heat.size + 1e-12) / np.log(OPAQUE), 0, 0.9)[..., None]
    return np.asarray(image.mean(2, keepdims=True) * (1 - share) + np.array([255, 40, 30]) * share, np.uint8)


def enlarged(image: np.ndarray, zoom: int) -> Image.Image:
    return Image.fromarray(image).resize((image.shape[1] * zoom, image.shape[0] * zoom), Image.Resampling.NEAREST)


def arrow(picture: Image.Image, pick: Pixel, place: Pixel, zoom: int, yaws: tuple[float, float] = (0.0, 0.0)) -> None:
    """Draw an arrow from pick to place on an enlarged image, and at both ends a line along the tool's x axis at this yaw in radians."""
    draw = ImageDraw.Draw(picture)
    (x, y), (end_x, end_y) = (((pixel[1] + 0.5) * zoom, (pixel[0] + 0.5) * zoom) for pixel in (pick, place))
    for (at, down), yaw in zip(((x, y), (end_x, end_y)), yaws, strict=True):  # a column more is x, a row more is y
        along, across = HEAD * math.cos(yaw), HEAD * math.sin(yaw)
        draw.line([(at - along, down - across), (at + along, down + across)], TRUTH, 3)
    draw.line([(x, y), (end_x, end_y)], CHOICE, 2)
    way = math.atan2(end_y - y, end_x - x)
    for side in (way + 2.6, way - 2.6):
        draw.line([(end_x, end_y), (end_x + HEAD * math.cos(side), end_y + HEAD * math.sin(side))], CHOICE, 2)
    draw.ellipse([(x - 5, y - 5), (x + 5, y + 5)], outline=CHOICE, width=2)


def marked(image: np.ndarray, truth: Pixel | None, choice: Pixel | None, zoom: int) -> Image.Image:
    """An enlarged image with a cross at the demonstrated pixel and a ring at the agent's, of those that there are."""
    picture = enlarged(image, zoom)
    draw = ImageDraw.Draw(picture)
    if truth is not None:
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
    maps: Sequence[np.ndarray],
    pixels: Sequence[tuple[Pixel | None, Pixel | None]],
    right: Sequence[bool | None],
    yaw: float | None = None,
) -> Image.Image:
    """One scene three times: plain, with the pick's map and with the place's; the instruction is below.

    Args:
        image: float (6, H, W), as agents see it.
        instruction: the instruction.
        maps: probabilities (H, W) of pick and place.
        pixels: for pick and place, the demonstrated pixel and the agent's, or None.
        right: for pick and place, whether the agent is near the demonstration; None if there is none.
        yaw: by how much the agent turns what it picks, in radians: then the plain image has an arrow from pick to place.
    """
    colours = (np.clip(image[:3], 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    zoom = max(1, round(SIDE / colours.shape[0]))
    pictures = [enlarged(colours, zoom)]
    (_, pick), (_, place) = pixels
    if yaw is not None and pick is not None and place is not None:
        arrow(pictures[0], pick, place, zoom, (0.0, yaw))
    for heat, (truth, choice) in zip(maps, pixels, strict=True):
        pictures.append(marked(heated(colours, heat), truth, choice, zoom))
    lines = [Line(instruction), Line("middle: where to pick", mark=right[0]), Line("right: where to place", mark=right[1])]
    return captioned(sheet(pictures, 3), lines, WIDTH)


def picture_of(view: HeightMap, instruction: str, decision: Decision) -> Image.Image:
    """A decision about a height map, without a demonstration to compare it with."""
    from .batch import image_of

    scale = view.height.shape[0] // decision.pick_map.shape[0]
    pick, place = ((pixel[0] // scale, pixel[1] // scale) for pixel in (decision.pick, decision.place))
    maps = [decision.pick_map, decision.place_map.sum(0)]
    return overlay(image_of(view, scale)[0].numpy(), instruction, maps, [(None, pick), (None, place)], [None, None], decision.angle)


def gallery(pictures: list[Image.Image]) -> Image.Image:
    """Several scenes side by side."""
    return sheet(pictures, min(COLUMNS, len(pictures)))
