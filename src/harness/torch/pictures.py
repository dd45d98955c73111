"""Pictures for the run's debug samples: images with lines of text below them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

INK, PAPER = (32, 33, 36), (255, 255, 255)
RIGHT, WRONG = (20, 125, 55), (190, 35, 35)
MARGIN = 8


@dataclass(frozen=True)
class Line:
    """One line of text below an image, in a colour."""

    text: str
    colour: tuple[int, int, int] = INK
    mark: bool | None = None
    """True draws a tick before the text, False a cross, None nothing."""


def captioned(image: Image.Image, lines: Sequence[Line], width: int = 320) -> Image.Image:
    """The image scaled to `width` pixels, with lines of text below it. Lines that are too long are wrapped."""
    font = ImageFont.load_default(size=14)
    picture = image.convert("RGB").resize((width, round(image.height * width / image.width)), Image.Resampling.BICUBIC)
    broken = [(line, part, first) for line in lines for first, part in wrapped(line.text, font, width - 2 * MARGIN - 18)]
    canvas = Image.new("RGB", (width, picture.height + 2 * MARGIN + 19 * len(broken)), PAPER)
    canvas.paste(picture)
    draw, top = ImageDraw.Draw(canvas), picture.height + MARGIN
    for line, part, first in broken:
        if first and line.mark is not None:
            draw_mark(draw, MARGIN, top + 3, line.mark)
        draw.text((MARGIN + 18, top), part, line.colour, font)
        top += 19
    return canvas


def wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> list[tuple[bool, str]]:
    """The text wrapped at spaces into parts of at most `width` pixels; True marks the first part."""
    parts: list[str] = []
    for word in text.split():
        longer = f"{parts[-1]} {word}" if parts else word
        if parts and font.getlength(longer) <= width:
            parts[-1] = longer
        else:
            parts.append(word)
    return [(number == 0, part) for number, part in enumerate(parts or [""])]


def draw_mark(draw: ImageDraw.ImageDraw, x: int, y: int, right: bool) -> None:
    """Draw a tick or a cross, because not every font has these characters."""
    if right:
        draw.line([(x, y + 6), (x + 4, y + 10), (x + 11, y)], RIGHT, 2)
    else:
        draw.line([(x, y), (x + 10, y + 10)], WRONG, 2)
        draw.line([(x, y + 10), (x + 10, y)], WRONG, 2)


def sheet(pictures: Sequence[Image.Image], columns: int) -> Image.Image:
    """Pictures of equal width arranged in a grid, row by row."""
    columns = min(columns, len(pictures))
    rows = [pictures[start : start + columns] for start in range(0, len(pictures), columns)]
    heights = [max(picture.height for picture in row) for row in rows]
    width = max(picture.width for picture in pictures)
    canvas = Image.new("RGB", (columns * (width + MARGIN) - MARGIN, sum(heights) + MARGIN * (len(rows) - 1)), PAPER)
    for number, row in enumerate(rows):
        for column, picture in enumerate(row):
            canvas.paste(picture, (column * (width + MARGIN), sum(heights[:number]) + MARGIN * number))
    return canvas
