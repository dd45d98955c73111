"""Ranking candidates by a model's scores. All accuracy measures use these functions, because comparisons with NaN are unreliable.

A candidate whose score is not finite never counts as a right answer, and always counts as ranked before one.
"""

from __future__ import annotations

import torch
from torch import Tensor

LAST = 2**40
"""The count above a right answer without a finite score: more than any k."""


def above_and_tied(scores: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """For each row, the number (N,) of wrong candidates that score above the best right one, and the number (N,) that score the same.

    Args:
        scores: (N, C).
        right: bool (N, C), with at least one true value per row.
    """
    numbers = scores.isfinite()
    own = scores.masked_fill(~(right & numbers), -torch.inf).amax(1, keepdim=True)
    tied = scores == own
    below = numbers & (scores < own)
    above = (~(below | tied | right)).sum(1).masked_fill(own[:, 0] == -torch.inf, LAST)
    return above, (tied & ~right).sum(1)


def first(scores: Tensor, right: Tensor) -> Tensor:
    """For each row (N,), the probability that a right candidate comes first when candidates of equal score are in a random order."""
    above, tied = above_and_tied(scores, right)
    return (above == 0).double() / (1 + tied)


def best_of(scores: Tensor, k: int = 1) -> Tensor:
    """(N, k) candidates with the highest scores, best first; -1 where there are no more with a finite score."""
    values, indices = scores.masked_fill(~scores.isfinite(), -torch.inf).topk(k, dim=1)
    return indices.masked_fill(values == -torch.inf, -1)
