"""A page of samples with their boxes, masks and class names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from harness.errors import DataError
from harness.files import replaced

from . import labels, segmentation
from .dataset import Box, Dataset, Picture, Split, Thing

WIDTH, MARGIN, LINE = 360, 10, 22
INK, PAPER, GREY = (32, 33, 36), (255, 255, 255), (110, 113, 118)
VOID_COLOUR = (224, 224, 224)
MOST_LEGEND = 40
Sample = tuple[str, str, Image.Image]
"""Split, file, and the image with its annotations."""


def colour(number: int) -> tuple[int, int, int]:
    """A class's colour: hues a golden section apart, so that neighbours differ, in three strengths."""
    hue = (number * 0.61803398875 + 0.02) % 1
    strength = (230, 190, 245)[number % 3]
    ramp = [np.clip(abs((hue * 6 + shift) % 6 - 3) - 1, 0, 1) for shift in (0, 4, 2)]
    red, green, blue = (int(strength * (0.18 + 0.82 * part)) for part in ramp)
    return red, green, blue


def chosen(dataset: Dataset, split: str | None, count: int) -> list[tuple[Split, int]]:
    """`count` images evenly spread over a split, or over all: annotated ones come before others."""
    splits = [each for each in dataset.splits.values() if split in (None, each.name)]
    found: list[tuple[Split, int]] = []
    for share, each in zip(shares([len(part.pictures) for part in splits], count), splits, strict=True):
        owners = {thing.picture for thing in each.things}
        readable = [place for place, picture in enumerate(each.pictures) if picture.header is not None]
        annotated = [place for place in readable if place in owners or each.pictures[place].label]
        pool = annotated if len(annotated) >= share else annotated + [place for place in readable if place not in set(annotated)]
        steps = np.linspace(0, len(pool) - 1, min(share, len(pool))).astype(int)
        found += [(each, pool[step]) for step in steps]
    return found


def shares(sizes: Sequence[int], count: int) -> list[int]:
    """How many of `count` each part gets: all alike, as far as they reach."""
    given = [0] * len(sizes)
    while sum(given) < min(count, sum(sizes)):
        for place, size in enumerate(sizes):
            if given[place] < size and sum(given) < count:
                given[place] += 1
    return given


def pictures(dataset: Dataset, split: str | None = None, count: int = 16) -> Iterator[Sample]:
    """Samples of a split, or of all."""
    for each, place in chosen(dataset, split, count):
        drawn = sample(dataset, each, place)
        if drawn is not None:
            yield each.name, each.pictures[place].file, drawn


def sample(dataset: Dataset, split: Split, place: int) -> Image.Image | None:
    """An image scaled to the page's width, with masks, boxes and names; None if it cannot be decoded."""
    picture = split.pictures[place]
    try:
        with Image.open(picture.path) as image:
            canvas = ImageOps.exif_transpose(image).convert("RGB")
    except Exception:  # a damaged image's error may be of any type; the report names it
        return None
    things = [thing for thing in split.things if thing.picture == place]
    size = canvas.size
    scale = WIDTH / size[0]
    canvas = canvas.resize((WIDTH, max(1, round(size[1] * scale))), Image.Resampling.LANCZOS)
    canvas = with_label(canvas, dataset, picture)
    for thing in things:
        canvas = with_mask(canvas, thing, picture.size or size)
    draw = ImageDraw.Draw(canvas)
    shown = [(thing, box) for thing in things if (box := visible(thing, scale, canvas.size))]
    for thing, box in shown:
        draw.rectangle(box, outline=colour(thing.category), width=2)
    for thing, box in shown:
        name = split.categories[thing.category].name
        draw_name(draw, f"{name} (crowd)" if thing.crowd else name, box, colour(thing.category), canvas.width)
    return canvas


def tinted(canvas: Image.Image, mask: np.ndarray, tone: tuple[int, int, int], strength: float = 0.5) -> Image.Image:
    """The image with a colour over the pixels (height, width) of a mask."""
    layer = Image.fromarray(mask.astype(np.uint8) * 255).resize(canvas.size, Image.Resampling.NEAREST)
    return Image.composite(Image.blend(canvas, Image.new("RGB", canvas.size, tone), strength), canvas, layer)


def with_mask(canvas: Image.Image, thing: Thing, size: tuple[int, int]) -> Image.Image:
    """The image with an object's mask, stated for an image of (width, height). Polygons are drawn at the page's scale."""
    if thing.segmentation is None:
        return canvas
    if isinstance(thing.segmentation, dict):
        mask = segmentation.decoded(thing.segmentation, size)
    else:
        scale = canvas.width / size[0], canvas.height / size[1]
        polygons = [[side * scale[place % 2] for place, side in enumerate(polygon)] for polygon in thing.segmentation]
        mask = segmentation.decoded(polygons, canvas.size)
    return tinted(canvas, mask, colour(thing.category))


def with_label(canvas: Image.Image, dataset: Dataset, picture: Picture) -> Image.Image:
    """The image under its mask of classes; value 0 stays clear where it is the background, void is light grey."""
    if picture.label is None:
        return canvas
    try:
        values = labels.read(picture.label)
    except (OSError, ValueError, SyntaxError):
        return canvas
    if values.ndim != 2:
        return canvas
    first = 1 if dataset.values and dataset.values[0].lower().startswith("background") else 0
    for value in np.unique(values).tolist():
        if value == dataset.void:
            canvas = tinted(canvas, values == value, VOID_COLOUR, 0.75)
        elif value >= first:
            canvas = tinted(canvas, values == value, colour(value - first), 0.55)
    return canvas


def visible(thing: Thing, scale: float, size: tuple[int, int]) -> tuple[float, float, float, float] | None:
    """The corners of a box on the page, cut just outside of the image; None if all of it is outside."""
    left, top, width, height = (side * scale for side in thing.box)
    ends = sorted((left, left + width)), sorted((top, top + height))
    (left, right), (top, bottom) = ((max(-2.0, low), min(side + 2.0, high)) for (low, high), side in zip(ends, size, strict=True))
    return (left, top, right, bottom) if left <= right and top <= bottom else None


def draw_name(draw: ImageDraw.ImageDraw, name: str, box: Box, tone: tuple[int, int, int], width: int) -> None:
    """The name of a class above its box, given by its corners; where there is no room, within or below it."""
    left, top, _, bottom = box
    font = ImageFont.load_default(size=12)
    wide = font.getlength(name)
    x = min(max(0.0, left), max(0.0, width - wide - 6))
    y = top - 15 if top >= 15 else max(0.0, top) if bottom - top > 30 else bottom
    draw.rectangle([x, y, x + wide + 5, y + 15], fill=tone)
    draw.text((x + 3, y), name, INK if sum(tone) > 330 else PAPER, font)


def page(dataset: Dataset, samples: Sequence[Sample], columns: int = 4) -> Image.Image:
    """Samples in a grid, each with its split and file below, and the classes' colours at the end."""
    cells = [titled(image, f"{name}: {file}") for name, file, image in samples]
    columns = max(1, min(columns, len(cells)))
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    heights = [max(cell.height for cell in row) for row in rows]
    width = columns * (WIDTH + MARGIN) + MARGIN
    key = legend(dataset, width - 2 * MARGIN)
    sheet = Image.new("RGB", (width, sum(heights) + MARGIN * (len(rows) + 2) + key.height), PAPER)
    top = MARGIN
    for row, height in zip(rows, heights, strict=True):
        for place, cell in enumerate(row):
            sheet.paste(cell, (MARGIN + place * (WIDTH + MARGIN), top))
        top += height + MARGIN
    sheet.paste(key, (MARGIN, top))
    return sheet


def titled(image: Image.Image, text: str) -> Image.Image:
    """An image with a line of text below it, cut at its beginning if it is too long."""
    font = ImageFont.load_default(size=13)
    while font.getlength(text) > WIDTH and len(text) > 8:
        text = f"..{text[4:]}"
    cell = Image.new("RGB", (WIDTH, image.height + LINE), PAPER)
    cell.paste(image)
    ImageDraw.Draw(cell).text((0, image.height + 3), text, GREY, font)
    return cell


def legend(dataset: Dataset, width: int) -> Image.Image:
    """The classes' names, each after a patch of its colour."""
    names = list(enumerate(dataset.classes))
    if not names and dataset.values:
        first = 1 if dataset.values[0].lower().startswith("background") else 0
        names = [(number, name) for number, name in enumerate(dataset.values[first:])]
    entries = [(colour(number), name) for number, name in names[:MOST_LEGEND]]
    if dataset.void is not None:
        entries.append((VOID_COLOUR, "void"))
    if len(names) > MOST_LEGEND:
        entries.append((PAPER, f"and {len(names) - MOST_LEGEND} more"))
    font, x, y, places = ImageFont.load_default(size=14), 0.0, 0, []
    for _, name in entries:
        wide = 22 + font.getlength(name) + 18
        if x and x + wide > width:
            x, y = 0.0, y + LINE
        places.append((x, y))
        x += wide
    canvas = Image.new("RGB", (width, y + LINE), PAPER)
    draw = ImageDraw.Draw(canvas)
    for (tone, name), (x, y) in zip(entries, places, strict=True):
        draw.rectangle([x, y + 3, x + 14, y + 17], fill=tone)
        draw.text((x + 22, y + 1), name, INK, font)
    return canvas


def save(dataset: Dataset, samples: Sequence[Sample], output: Path) -> None:
    """Write the page as an image file, completely or not at all.

    Raises:
        DataError: the file's ending is of no form of images, or it cannot be written.
    """
    form = Image.registered_extensions().get(output.suffix.lower())
    if form is None:
        raise DataError(f"{output}: {output.suffix or 'no ending'} is of no form of images; choose a name that ends in .png")
    try:
        with replaced(output) as beside:
            page(dataset, samples).save(beside, format=form)
    except OSError as fault:
        raise DataError(f"{output} cannot be written: {fault}") from fault
