"""How many processes load data."""

from __future__ import annotations

import os


def loaders(asked: int) -> int:
    """As many as asked for, but no more than the cores that this process may use: more would only take turns."""
    return min(asked, len(os.sched_getaffinity(0)))
