"""An image with scenes of the tasks."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from harness.torch.pictures import Line, captioned, sheet

from ..sim.environment import Environment
from .task import Task

COLUMNS, WIDTH = 4, 300
TABLE = (0.12, 0.38, 0.88, 0.98)
"""Left, top, right and bottom of the visible part, as shares of the presentation camera's image."""


def gallery(tasks: Sequence[Task], seed: int) -> Image.Image:
    """Each task's scene of `seed`, with the task's name and first instruction."""
    with Environment() as env:
        return sheet([scene(env, task, seed) for task in tasks], COLUMNS)


def scene(env: Environment, task: Task, seed: int) -> Image.Image:
    env.reset(task, seed, observe=False)
    picture = Image.fromarray(env.photograph())
    box = tuple(round(share * side) for share, side in zip(TABLE, picture.size * 2, strict=True))
    return captioned(picture.crop(box), [Line(task.name), Line(task.language())], WIDTH)
