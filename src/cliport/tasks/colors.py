"""The colors of the tasks. The palette is Tableau 10's, with the names that instructions use; colors are RGB in [0, 1].

"Seen" tasks show the training colors in every mode. "Unseen" tasks show them during training and the evaluation colors afterwards.
Three colors are in both sets, so combinations are new as well as colors. Which colors a scene shows is drawn from the episode's random
generator; the lists below never change.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .catalog import choose

PALETTE = {
    "blue": (78, 121, 167),
    "red": (255, 87, 89),
    "green": (89, 169, 79),
    "orange": (242, 142, 43),
    "yellow": (237, 201, 72),
    "purple": (176, 122, 161),
    "pink": (255, 157, 167),
    "cyan": (118, 183, 178),
    "brown": (156, 117, 95),
    "white": (255, 255, 255),
    "gray": (186, 176, 172),
}
Color = tuple[float, float, float]
COLORS: dict[str, Color] = {name: (red / 255, green / 255, blue / 255) for name, (red, green, blue) in PALETTE.items()}

TRAIN = ("blue", "red", "green", "yellow", "brown", "gray", "cyan")
EVALUATION = ("blue", "red", "green", "orange", "purple", "pink", "white")
ALL = tuple(COLORS)
"""In the order of the table, by which distractors are colored."""
STAND_BROWNS: dict[str, Color] = {"lightest": (0.918, 0.688, 0.559), "middle": (0.612, 0.459, 0.373), "darkest": (0.306, 0.229, 0.186)}
"""The three parts of the stands, along y."""


def palette(split: str, mode: str) -> tuple[str, ...]:
    """The names of the colors that a task of this split shows in this mode."""
    unseen = TRAIN if mode == "train" else EVALUATION
    return choose(split, {"seen": TRAIN, "unseen": unseen, "full": ALL, "": ALL}, "split")


def draw(rng: np.random.Generator, names: Sequence[str], count: int) -> list[str]:
    """`count` different names in random order."""
    return [names[index] for index in rng.choice(len(names), count, replace=False)]


SHADES = (0.5, 1.5)
"""The range of factors by which a brown box is darker or lighter than brown."""


def random_brown(rng: np.random.Generator) -> Color:
    """Brown, darker or lighter by a random factor."""
    red, green, blue = (np.array(COLORS["brown"]) * rng.uniform(*SHADES)).tolist()
    return red, green, blue
