"""When an episode counts as solved."""

from __future__ import annotations

import math

SOLVED = 0.99
"""Sum of rewards that a solved episode exceeds; a perfect one has 1."""


def is_solved(reward: float) -> bool:
    """Whether an episode with this sum of rewards is solved; infinity and NaN never are."""
    return SOLVED < reward < math.inf
