"""What can go wrong with tasks.

TaskError           an unknown name, or a scene that could not be made
└── NoRoom          things do not fit beside each other; the scene is drawn again
"""

from __future__ import annotations

from harness.errors import HarnessError


class TaskError(HarnessError):
    """An unknown task, group, mode or split, or a scene that could not be made in a bounded number of attempts."""


class NoRoom(TaskError):  # noqa: N818 - a condition that its catcher answers, seldom seen as an error
    """No free place was found in a bounded number of draws."""
