"""The number of data-loading processes."""

from __future__ import annotations

import os


def worker_count(asked: int) -> int:
    """The number asked for, but no more than the cores that this process may use: more would only take turns."""
    return min(asked, len(os.sched_getaffinity(0)))
