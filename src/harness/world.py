"""A process's rank, and the number of ranks, as set by torchrun or Paddle's launcher; by default a single process."""

from __future__ import annotations

import os


def rank() -> int:
    """The rank among all processes of the run; rank 0 reports."""
    return int(os.environ.get("RANK", os.environ.get("PADDLE_TRAINER_ID", "0")))


def local_rank() -> int:
    """The rank among the processes of this machine."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def world_size() -> int:
    """The number of ranks."""
    return int(os.environ.get("WORLD_SIZE", os.environ.get("PADDLE_TRAINERS_NUM", "1")))


def local_world_size() -> int:
    """The number of ranks on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
