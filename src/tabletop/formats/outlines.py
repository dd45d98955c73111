"""Polygons that cover a mask to the pixel: outlines along the borders of its pixels."""

from __future__ import annotations

import numpy as np

Corner = tuple[int, int]
"""x and y in pixels; pixel (column, row) has the corners (column, row) to (column + 1, row + 1)."""


def polygons(mask: np.ndarray) -> list[list[int]]:
    """The outline x1, y1, x2, y2, .. of each part of a mask (H, W) bool. Rasterized as COCO does, together they are the mask again.

    A hole is part of its outline, which reaches it on a line that it also returns on.
    """
    found = loops(mask)
    outer = [loop for loop in found if area(loop) > 0]
    for hole in (loop for loop in found if area(loop) < 0):
        around = min((loop for loop in outer if contains(loop, beside(hole))), key=area)
        near = min(range(len(around)), key=lambda number: np.hypot(*np.subtract(around[number], hole[0])))
        around[near : near + 1] = [around[near], *hole, hole[0], around[near]]
    return [[value for corner in loop for value in corner] for loop in outer]


def loops(mask: np.ndarray) -> list[list[Corner]]:
    """Closed ways along the borders of the mask, which is to their right: the corners where they turn. They run backwards around holes."""
    padded = np.pad(mask, 1)
    follows: dict[Corner, list[Corner]] = {}
    for (dy, dx), start, step in (
        ((-1, 0), (0, 0), (1, 0)),
        ((1, 0), (1, 1), (-1, 0)),
        ((0, -1), (0, 1), (0, -1)),
        ((0, 1), (1, 0), (0, 1)),
    ):
        beyond = np.roll(padded, (-dy, -dx), (0, 1))[1:-1, 1:-1]
        for row, column in np.argwhere(mask & ~beyond).tolist():
            corner = (column + start[0], row + start[1])
            follows.setdefault(corner, []).append((corner[0] + step[0], corner[1] + step[1]))
    found = []
    while follows:
        here = first = next(iter(follows))
        way, heading = [], (0, 0)
        while True:
            # Where two pixels touch at a corner only, the way turns right, and they stay apart.
            options = follows[here]
            right = (here[0] - heading[1], here[1] + heading[0])
            ahead = options.pop(options.index(right) if right in options else 0)
            if not options:
                del follows[here]
            turn = (ahead[0] - here[0], ahead[1] - here[1])
            if turn != heading:
                way.append(here)
            here, heading = ahead, turn
            if here == first:
                break
        found.append(way)
    return found


def area(loop: list[Corner]) -> float:
    """The area in pixels that a loop encloses; negative around a hole."""
    x, y = np.transpose(loop)
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def beside(loop: list[Corner]) -> tuple[float, float]:
    """A point of the mask at the border of a loop."""
    (x, y), (next_x, next_y) = loop[:2]
    along = np.sign([next_x - x, next_y - y])
    return float(x + (along[0] - along[1]) / 2), float(y + (along[1] + along[0]) / 2)


def contains(loop: list[Corner], point: tuple[float, float]) -> bool:
    """Whether a loop goes around a point."""
    x, y = np.transpose(loop)
    vertical = x == np.roll(x, -1)
    low, high = np.minimum(y, np.roll(y, -1)), np.maximum(y, np.roll(y, -1))
    return bool((vertical & (x > point[0]) & (low < point[1]) & (point[1] < high)).sum() % 2)
