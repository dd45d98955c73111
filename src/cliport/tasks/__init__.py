"""The 39 tasks of CLIPort: scenes, goals, rewards, instructions and oracles, which draw from the episode's random generator alone.

The packing-{seen,unseen}-google-objects tasks show scanned objects where a folder of these is given. Else their objects are stand-ins of
the same names, assembled from simple solids (`objects`), and every `info` of such a task says so.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import TaskError
from .catalog import FIRST_SEED, MODES, choose, emphasis, entry, groups, names
from .outside import problem_without_scene, task_class

if TYPE_CHECKING:
    from .task import Task

__all__ = ["FIRST_SEED", "MODES", "TaskError", "check_assets", "emphasis", "groups", "make", "names", "say_differences"]


def make(name: str, mode: str = "train", assets: str = "") -> Task:
    """The task called `name`.

    Args:
        name: one of `names()`, or `package.module.Class` for a class of one's own, which shows all colors.
        mode: "train", "val" or "test": decides which colors and objects an "unseen" task shows.
        assets: folder of the scanned objects, see `scans`; empty for stand-ins.

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
    task.assets = Path(assets) if assets else None
    return task


def say_differences(task: Task, say: Callable[[str], Any]) -> None:
    """Say what differs from CLIPort's task of this name."""
    for found in task.differs:
        say(f"{task.name}: not as in CLIPort: {found.short}")


def check_assets(assets: str, tasks: Iterable[str], mode: str) -> None:
    """Make sure that the folder of scanned objects, if one is given, has all that these tasks show in this mode.

    Raises:
        AssetError: with everything that is missing or damaged.
    """
    if assets:
        from .scans import check

        check(Path(assets), sorted({shown for name in tasks for shown in make(name, mode).vocabulary(mode).get("objects", ())}))
