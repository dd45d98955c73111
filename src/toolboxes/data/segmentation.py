"""Masks of objects in COCO's three forms, as its API documents them (pycocotools, `mask.py`):

[[x, y, x, y, ..], ..]                                polygons, in pixels
{"size": [height, width], "counts": [n, n, ..]}       run lengths column by column from the top, beginning with a run of zeros
{"size": [height, width], "counts": "text"}           the same, packed: 5 bits a character from the lowest up, differences from the third on
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

FAR = 1e6
"""Pixels beyond which a polygon is cut, because Pillow takes no larger numbers."""
OFFSET, MORE, SIGN, BITS = 48, 0x20, 0x10, 5


def fault(segmentation: Any, size: tuple[int, int] | None) -> str | None:
    """What is wrong with an object's mask in an image of (width, height), or None."""
    if isinstance(segmentation, dict):
        return fault_of_runs(segmentation, size)
    if not isinstance(segmentation, list):
        return f"neither polygons nor run lengths: {segmentation!r}"
    return next(filter(None, map(fault_of_polygon, segmentation)), None)


def fault_of_polygon(polygon: Any) -> str | None:
    if not isinstance(polygon, list):
        return "polygons must be a list of lists [x, y, x, y, ..]"
    try:
        numbers = all(map(math.isfinite, polygon))
    except (TypeError, OverflowError):
        numbers = False
    if not numbers:
        return "a polygon holds something else than numbers"
    if len(polygon) % 2:
        return f"a polygon has an odd number of coordinates: {len(polygon)}"
    return f"a polygon has {len(polygon) // 2} points; it takes three" if len(polygon) < 6 else None


def fault_of_runs(segmentation: dict[str, Any], size: tuple[int, int] | None) -> str | None:
    stated, counts = segmentation.get("size"), segmentation.get("counts")
    if not (isinstance(stated, list) and len(stated) == 2 and all(isinstance(side, int) and side > 0 for side in stated)):
        return f"run lengths must have a size [height, width]: {stated!r}"
    if size and stated != [size[1], size[0]]:
        return f"run lengths of {stated[1]} x {stated[0]} in an image of {size[0]} x {size[1]}"
    try:
        runs = unpacked(counts).tolist() if isinstance(counts, str) else list(counts or ())
        if min(runs, default=0) < 0 or not all(isinstance(run, int) for run in runs):
            raise ValueError(counts)
    except (ValueError, TypeError):
        return "run lengths whose counts are no list of whole numbers, nor such a list packed"
    total = sum(runs)
    return f"run lengths of {total} pixels in a mask of {stated[0] * stated[1]}" if total != stated[0] * stated[1] else None


def unpacked(text: str) -> np.ndarray:
    """The run lengths of a packed mask."""
    codes = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.int64) - OFFSET
    if codes.size == 0 or codes.min() < 0 or codes.max() >= 2 * MORE or codes[-1] & MORE:
        raise ValueError(text)
    ends = np.flatnonzero((codes & MORE) == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    shifts = BITS * (np.arange(codes.size) - np.repeat(starts, lengths))
    values = np.add.reduceat((codes & (MORE - 1)) << shifts, starts)
    values = np.where(codes[ends] & SIGN, values - (1 << (BITS * lengths)), values)
    for first in (1, 2):  # from the third on, each is stated as what it is more than the one before the last
        values[first::2] = np.cumsum(values[first::2])
    return values


def decoded(segmentation: Any, size: tuple[int, int]) -> np.ndarray:
    """The mask (height, width) bool of a segmentation without a fault, in an image of (width, height).

    Polygons are drawn by Pillow, whose right and lower edges are up to a pixel further out than those of pycocotools.
    """
    if isinstance(segmentation, dict):
        counts = segmentation["counts"]
        counts = unpacked(counts) if isinstance(counts, str) else np.array(counts, int)
        return np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(segmentation["size"], order="F")
    canvas = Image.new("1", size)
    draw = ImageDraw.Draw(canvas)
    for polygon in segmentation:
        draw.polygon(np.clip(polygon, -FAR, FAR).tolist(), fill=1)
    return np.asarray(canvas)
