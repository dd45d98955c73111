"""When an episode counts as solved, and by which rules it was played."""

from __future__ import annotations

import math

RULES = 2
"""Version of the rules: scenes, primitives, goals and rewards. Under another version a seed gives another scene, and an action another end.

1: this project's own rules. 2: the original's, but for what docs/workloads/cliport.md names.
"""
SOLVED = 0.99
"""Sum of rewards that a solved episode exceeds; a perfect one has 1."""


def is_solved(reward: float) -> bool:
    """Whether an episode with this sum of rewards is solved; infinity and NaN never are."""
    return SOLVED < reward < math.inf
