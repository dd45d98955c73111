"""Scores that are no numbers, as a model that diverged gives them."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def everywhere(scores: Tensor) -> Tensor:
    return scores * float("nan")


def one_row(scores: Tensor) -> Tensor:
    scores[2] = float("nan")
    return scores


def the_target(scores: Tensor) -> Tensor:
    scores[2, 2] = float("nan")
    return scores


def all_but_the_target(scores: Tensor) -> Tensor:
    scores[2, :2] = scores[2, 3:] = float("nan")
    return scores


def one_of_infinity(scores: Tensor) -> Tensor:
    scores[2, 2] = float("inf")
    return scores


PATTERNS: dict[str, Callable[[Tensor], tuple[Tensor, set[int]]]] = {
    "everywhere": lambda scores: (everywhere(scores.clone()), set(range(len(scores)))),
    "one row": lambda scores: (one_row(scores.clone()), {2}),
    "the target": lambda scores: (the_target(scores.clone()), {2}),
    "all but the target": lambda scores: (all_but_the_target(scores.clone()), {2}),
    "an infinity": lambda scores: (one_of_infinity(scores.clone()), {2}),
}
"""Of scores (N, C) whose right answers are on the diagonal: the spoilt ones, and in which rows nothing may count as right."""
