"""Which candidate a model's scores prefer. Every measure of right answers counts by these, for what is not finite compares as it likes.

A score that is not finite is never a right answer, and never comes after one.
"""

from __future__ import annotations

import torch
from torch import Tensor

LAST = 2**40
"""How many are above a right answer that has no score: more than any k."""


def above_and_tied(scores: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """For each row (N,), how many wrong candidates score above the best right one, and (N,) how many the same as it.

    Args:
        scores: (N, C).
        right: bool (N, C), one true in a row at least.
    """
    numbers = scores.isfinite()
    own = scores.masked_fill(~(right & numbers), -torch.inf).amax(1, keepdim=True)
    tied = scores == own
    below = numbers & (scores < own)
    above = (~(below | tied | right)).sum(1).masked_fill(own[:, 0] == -torch.inf, LAST)
    return above, (tied & ~right).sum(1)


def first(scores: Tensor, right: Tensor) -> Tensor:
    """For each row (N,) the probability that a right candidate comes first when those of equal score are in a random order."""
    above, tied = above_and_tied(scores, right)
    return (above == 0).double() / (1 + tied)


def best_of(scores: Tensor, k: int = 1) -> Tensor:
    """(N, k) candidates with the highest scores, best first; -1 where there are no more that have one."""
    values, indices = scores.masked_fill(~scores.isfinite(), -torch.inf).topk(k, dim=1)
    return indices.masked_fill(values == -torch.inf, -1)
