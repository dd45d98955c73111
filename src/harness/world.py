"""Where a process stands among the ranks of its run, as torchrun, Paddle's launcher or nobody has told it."""

from __future__ import annotations

import os


def rank() -> int:
    """Its number among all ranks; 0 reports."""
    return int(os.environ.get("RANK", os.environ.get("PADDLE_TRAINER_ID", "0")))


def local_rank() -> int:
    """Its number among the ranks of this machine."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def world_size() -> int:
    """How many ranks there are."""
    return int(os.environ.get("WORLD_SIZE", os.environ.get("PADDLE_TRAINERS_NUM", "1")))


def local_world_size() -> int:
    """How many there are on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
