"""The 39 tasks of CLIPort: scenes, goals, rewards, instructions and oracles, which draw from the episode's random generator alone.

The packing-{seen,unseen}-google-objects tasks keep their names, but their objects are not scans: they are named objects assembled
from simple solids (`objects`), and every `info` of such a task says so.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from ..errors import TaskError
from .catalog import FIRST_SEED, MODES, choose, emphasis, entry, groups, names
from .outside import problem_without_scene, task_class

if TYPE_CHECKING:
    from .task import Task

__all__ = ["FIRST_SEED", "MODES", "TaskError", "emphasis", "groups", "make", "names"]


def make(name: str, mode: str = "train") -> Task:
    """The task called `name`.

    Args:
        name: one of `names()`, or `package.module.Class` for a class of one's own, which shows all colors.
        mode: "train", "val" or "test": decides which colors and objects an "unseen" task shows.

    Raises:
        TaskError: for an unknown name or mode, or a class that cannot be imported.
    """
    choose(mode, dict.fromkeys(MODES), "mode")
    if "." in name:
        return task_class(name)(name, mode, "full")
    if problem := problem_without_scene(name):
        raise TaskError(f"{name}: {problem}")
    found = entry(name)
    module, class_name = found.implementation.split(":")
    task: Task = getattr(importlib.import_module(f".{module}", __name__), class_name)(name, mode, found.split)
    return task
