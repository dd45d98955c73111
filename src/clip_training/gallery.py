"""Held-out images with the captions that match them best, right and wrong ones marked."""

from __future__ import annotations

from PIL import Image

from harness.torch.pictures import INK, RIGHT, WRONG, Line, captioned, sheet

from .pairs import HeldOut
from .retrieval import Retrieval

COLUMNS = 4
WIDTH = 240


def gallery(heldout: HeldOut, count: int, indices: list[int], captions: list[str], result: Retrieval) -> Image.Image:
    """A sheet of `count` images spread over the held-out pairs, each with its three best captions, and its own where those are wrong."""
    every = max(1, len(indices) // count)
    return sheet([one(heldout, place, indices, captions, result) for place in range(0, len(indices), every)][:count], COLUMNS)


def one(heldout: HeldOut, place: int, indices: list[int], captions: list[str], result: Retrieval) -> Image.Image:
    image, _ = heldout.read(indices[place])
    found = [captions[number] if number >= 0 else "(no score is finite)" for number in result.best[place].tolist()]
    lines = [Line(text, RIGHT if text == captions[place] else WRONG, text == captions[place]) for text in found]
    if captions[place] not in found:
        lines.append(Line(f"({captions[place]})", INK))
    return captioned(heldout.transform(image), lines, WIDTH)
