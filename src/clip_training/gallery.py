"""Sheets of evaluated images with their best-matching captions or classes, right and wrong ones marked."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageOps

from harness.torch.pictures import INK, PAPER, RIGHT, WRONG, Line, captioned, sheet

from .class_folders import ClassFolders
from .file_trees import File
from .pairs import HeldOut, UnusableError, read_image
from .retrieval import Retrieval
from .zero_shot import Accuracy

COLUMNS = 4
WIDTH = 240
SHOWN = 26
"""Characters of a name that fit below an image."""
NO_SCORE = "(no finite score)"


def gallery(heldout: HeldOut, count: int, indices: list[int], captions: list[str], result: Retrieval) -> Image.Image:
    """A sheet of `count` images spread over the pairs, each with its three best captions, and its own if none of those is right."""
    return sheet([with_captions(heldout, row, indices, captions, result) for row in spread(len(indices), count)], COLUMNS)


def with_captions(heldout: HeldOut, row: int, indices: list[int], captions: list[str], result: Retrieval) -> Image.Image:
    image, _ = heldout.read(indices[row])
    found = [captions[number] if number >= 0 else NO_SCORE for number in result.best[row].tolist()]
    lines = [Line(text, RIGHT if text == captions[row] else WRONG, text == captions[row]) for text in found]
    if captions[row] not in found:
        lines.append(Line(f"({captions[row]})", INK))
    return captioned(heldout.transform(image), lines, WIDTH)


def class_gallery(folders: ClassFolders, count: int, indices: list[int], result: Accuracy) -> Image.Image:
    """A sheet of `count` images spread over the data, each with its best class, and its own if that is wrong."""
    names, best = list(folders.classes.words), result.best.tolist()
    pictures = []
    for row in spread(len(indices), count):
        index = indices[row]
        found, right = names[best[row]] if best[row] >= 0 else NO_SCORE, names[folders.labels[index]]
        lines = [Line(found, RIGHT if found == right else WRONG, found == right), *([] if found == right else [Line(f"({right})")])]
        pictures.append(captioned(folders.transform(read_image(folders.paths[index])), lines, WIDTH))
    return sheet(pictures, COLUMNS)


def best_gallery(query: str, image: Image.Image | None, matches: Sequence[tuple[File, str, float]]) -> Image.Image:
    """A page of a query and its best matches in order, each with rank, score and the end of its name; first the query's image."""
    pictures = [tile(image, [Line("the query")])] if image else []
    for rank, (file, name, score) in enumerate(matches, 1):
        lines = [Line(f"{rank}: {score:.3f}"), Line(name if len(name) <= SHOWN else f"…{name[1 - SHOWN :]}")]
        try:
            pictures.append(tile(read_image(file), lines))
        except UnusableError:
            pictures.append(tile(Image.new("RGB", (WIDTH, WIDTH), PAPER), [*lines, Line("(cannot be read)", WRONG)]))
    page = sheet(pictures, COLUMNS)
    return sheet([captioned(Image.new("RGB", (page.width, 1), PAPER), [Line(query)], page.width), page], 1)


def tile(image: Image.Image, lines: Sequence[Line]) -> Image.Image:
    """The whole image on a square, with lines below."""
    return captioned(ImageOps.pad(image, (WIDTH, WIDTH), color=PAPER), lines, WIDTH)


def spread(size: int, count: int) -> list[int]:
    """`count` evenly spaced rows of `size`, or all if there are fewer."""
    return list(range(0, size, max(1, size // count)))[:count]
