"""Tasks beside the catalogue: a class of one's own, by its full name, and the names of demonstrations that were recorded with a robot."""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, Any

from harness.settings import nearest

from ..errors import TaskError

if TYPE_CHECKING:
    from .task import Task

RECORDED = "own-"
"""How the names of recorded demonstrations begin. They have no scene in the simulator."""
RECORDED_FORM = r"own-[\w-]+"
CLASS_FORM = r"[A-Za-z_]\w*(\.\w+)*\.[A-Z]\w*"
"""`package.module.Class`"""
HOW = "package.module.Class for a task of your own"


def problem_without_scene(name: str) -> str | None:
    """Why a task cannot be simulated, for demonstrations that were recorded; None for all others."""
    if not name.startswith(RECORDED):
        return None
    return "recorded demonstrations have no scene in the simulator; train validates on them, and command=predict answers for pictures"


def task_class(name: str) -> type[Task]:
    """The class with this full name.

    Raises:
        TaskError: when it cannot be imported, or is no task.
    """
    from .task import Task

    where, _, class_name = name.rpartition(".")
    try:
        module = importlib.import_module(where)
    except ImportError as error:
        raise TaskError(
            f"task {name}: the module {where} cannot be imported: {error}; PYTHONPATH=FOLDER names the folder it is in"
        ) from error
    found: Any = getattr(module, class_name, None)
    if found is None:
        classes = [key for key, value in vars(module).items() if inspect.isclass(value) and issubclass(value, Task)]
        raise TaskError(f"task {name}: {module.__file__} has no {class_name}{nearest(class_name, classes)}")
    if not (inspect.isclass(found) and issubclass(found, Task)):
        raise TaskError(f"task {name}: must be a class derived from cliport.tasks.task.Task, is {found!r}")
    return found
