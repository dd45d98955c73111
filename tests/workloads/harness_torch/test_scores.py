"""Ranks of right answers compared with a manual count, including ties and non-finite scores."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from support.scores import PATTERNS

from harness.torch.scores import above_and_tied, best_of, first


def by_hand(scores: list[float], right: list[bool]) -> tuple[float, int, int]:
    """Of one row: the best right score, how many wrong ones are above it, and how many equal; NaN where no right one is a number."""
    own = max((score for score, is_right in zip(scores, right, strict=True) if is_right and math.isfinite(score)), default=math.nan)
    wrong = [score for score, is_right in zip(scores, right, strict=True) if not is_right]
    tied = sum(score == own for score in wrong)
    lower = sum(math.isfinite(score) and score < own for score in wrong)
    return own, len(wrong) - tied - lower, tied


def test_counts_equal_those_by_hand() -> None:
    """On small integers, so that many are equal, with NaN and both infinities among them."""
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 4, (300, 6)).astype(float)
    for value in (np.nan, np.inf, -np.inf):
        scores[rng.uniform(size=scores.shape) < 0.08] = value
    right = rng.uniform(size=scores.shape) < 0.3
    right[np.arange(300), rng.integers(0, 6, 300)] = True
    above, tied = above_and_tied(torch.from_numpy(scores), torch.from_numpy(right))
    some_without_a_number = False
    for row, number_above, number_tied in zip(range(300), above.tolist(), tied.tolist(), strict=True):
        own, *expected = by_hand(scores[row].tolist(), right[row].tolist())
        if math.isnan(own):
            some_without_a_number = True
            assert number_above > 1000
        else:
            assert [number_above, number_tied] == expected
    assert some_without_a_number


def test_first_is_the_probability_that_a_right_candidate_leads() -> None:
    """Equal scores are put in every order."""
    scores, right = [2.0, 1.0, 2.0, 2.0], [True, False, False, False]
    orders = list(itertools.permutations(range(4)))
    led = [max(order, key=lambda place: scores[place]) for order in orders]  # the first of the largest
    share = sum(right[place] for place in led) / len(orders)
    assert first(torch.tensor([scores]), torch.tensor([right])).item() == pytest.approx(share) == pytest.approx(1 / 3)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_non_finite_scores_never_come_first(pattern: str) -> None:
    scores, spoilt = PATTERNS[pattern](torch.eye(5))
    assert first(scores, torch.eye(5, dtype=torch.bool)).tolist() == [0.0 if row in spoilt else 1.0 for row in range(5)]


def test_the_best_candidates_have_finite_scores() -> None:
    nan, inf = math.nan, math.inf
    scores = torch.tensor([[0.1, nan, 0.3], [nan, nan, nan], [inf, 0.2, -inf]])
    assert best_of(scores, 3).tolist() == [[2, 0, -1], [-1, -1, -1], [1, -1, -1]]
