"""The order of training is a function of seed, step and rank."""

from __future__ import annotations

import pytest

from clip_training.batch_sampler import ResumableBatchSampler
from harness.errors import DataError


def test_an_epoch_uses_each_pair_at_most_once_and_drops_the_remainder() -> None:
    batches = ResumableBatchSampler(23, 5, seed=0)
    taken = [index for batch in batches for _, index in batch]
    assert len(batches) == 4
    assert len(taken) == len(set(taken)) == 20


def test_epochs_and_seeds_differ() -> None:
    steps = {"now": 0}
    orders = []
    for seed, steps["now"] in ((0, 0), (0, 4), (1, 0)):
        orders.append([index for batch in ResumableBatchSampler(20, 5, seed=seed, step=lambda: steps["now"]) for _, index in batch])
    assert orders[0] != orders[1] != orders[2] != orders[0]


@pytest.mark.parametrize("done", range(9))
def test_iteration_starts_at_the_current_step(done: int) -> None:
    position = 0
    batches = ResumableBatchSampler(20, 5, seed=3, step=lambda: position)
    unbroken = []
    for epoch in range(3):
        position = epoch * 4
        unbroken += list(batches)
    position = done
    assert list(batches) == unbroken[done : (done // 4 + 1) * 4]


def test_ranks_share_the_batch_that_one_process_would_take() -> None:
    whole = list(ResumableBatchSampler(64, 8, seed=0))
    shares = [list(ResumableBatchSampler(64, 2, seed=0, rank=rank, ranks=4)) for rank in range(4)]
    for step, batch in enumerate(whole):
        together = [place for share in shares for place in share[step]]
        assert sorted(together) == sorted(batch)
        assert len(set(together)) == 8


def test_too_few_pairs_are_an_error() -> None:
    with pytest.raises(DataError, match="7 training pairs are fewer than one step needs"):
        ResumableBatchSampler(7, 4, seed=0, ranks=2)
