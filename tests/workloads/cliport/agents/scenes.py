"""Drawn scenes: flat coloured blocks and bowls on a dark table, and which block goes into which bowl."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from cliport.data.codec import encode
from cliport.data.episode import Episode, Step
from cliport.data.store import opened
from cliport.sim import poses
from cliport.sim.action import Action
from cliport.sim.observation import HeightMap
from cliport.sim.pixels import pixel_to_position

COLOURS = {"red": (220, 50, 50), "green": (60, 190, 80), "blue": (60, 90, 230), "yellow": (235, 210, 60)}
TASK = "put-block-in-bowl-seen-colors"


def blank() -> tuple[np.ndarray, np.ndarray]:
    return np.full((320, 160, 3), 40, np.uint8), np.zeros((320, 160), np.float32)


def draw_block(view: tuple[np.ndarray, np.ndarray], centre: tuple[int, int], yaw: float, colour: str) -> None:
    """An oblong, 24 x 12 pixels, its long side along +column at yaw 0."""
    rows, columns = np.mgrid[:320, :160]
    down, right = rows - centre[0], columns - centre[1]
    along, across = right * math.cos(yaw) + down * math.sin(yaw), down * math.cos(yaw) - right * math.sin(yaw)
    inside = (np.abs(along) <= 12) & (np.abs(across) <= 6)
    view[0][inside], view[1][inside] = COLOURS[colour], 0.04


def draw_bowl(view: tuple[np.ndarray, np.ndarray], centre: tuple[int, int], colour: str) -> None:
    rows, columns = np.mgrid[:320, :160]
    away = np.hypot(rows - centre[0], columns - centre[1])
    view[0][(away > 12) & (away <= 19)], view[1][away <= 19] = COLOURS[colour], 0.02


def places(rng: np.random.Generator, count: int) -> list[tuple[int, int]]:
    """Pixels far enough from each other and from the border."""
    found: list[tuple[int, int]] = []
    while len(found) < count:
        one = int(rng.integers(40, 280)), int(rng.integers(30, 130))
        if all(math.dist(one, other) > 50 for other in found):
            found.append(one)
    return found


def episode(seed: int, task: str = TASK, blocks: int = 2) -> Episode:
    """One pick and place: the block that the instruction names, into the bowl that it names."""
    rng = np.random.default_rng(seed)
    colours = [str(colour) for colour in rng.permutation(list(COLOURS))[:blocks]]
    bowls = [str(colour) for colour in rng.permutation(list(COLOURS))[:blocks]]
    centres, yaw = places(rng, 2 * blocks), float(rng.uniform(-math.pi, math.pi))
    view, after = blank(), blank()
    for bowl, centre in zip(bowls, centres[blocks:], strict=True):
        draw_bowl(view, centre, bowl)
        draw_bowl(after, centre, bowl)
    for number, (colour, centre) in enumerate(zip(colours, centres[:blocks], strict=True)):
        draw_block(view, centre, yaw, colour)
        draw_block(after, centres[blocks] if number == 0 else centre, yaw, colour)
    pick, place = (pixel_to_position(centre, view[1]) for centre in (centres[0], centres[blocks]))
    action = Action(poses.from_euler(pick), poses.from_euler(place))
    info = {"lang_goal": f"put the {colours[0]} block in the {bowls[0]} bowl"}
    mask = np.zeros((320, 160), np.int32)
    return Episode(task, seed, (Step(HeightMap(*view, mask), action, 0.0, info), Step(HeightMap(*after, mask), None, 1.0, info)))


def write_demonstrations(data: Path, task: str = TASK, train: int = 6, val: int = 3, blocks: int = 2, geometry: str = "exact") -> Path:
    """`<task>-train` and `<task>-val` in a data folder."""
    for mode, count, first in (("train", train, 0), ("val", val, 1)):
        with opened(data / f"{task}-{mode}", task, mode, geometry=geometry) as store:
            for number in range(count):
                made = episode(first + 2 * number, task, blocks)
                store.add(made.seed, made.actions, made.reward, encode(made))
    return data
