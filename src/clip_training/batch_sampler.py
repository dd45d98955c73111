"""The order of training: which pairs form the batch of a step, as a function of seed, step and rank."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from torch.utils.data import Sampler

from harness.errors import DataError, ParameterError


class ResumableBatchSampler(Sampler[list[tuple[int, int]]]):
    """Batches of (epoch, index), shuffled again in each epoch, without the last incomplete batch.

    For any number of ranks, their batches of one step together are the same set of pairs. Iteration starts at the current step, so that
    a resumed run continues in the middle of an epoch.

    Args:
        size: number of pairs.
        batch_size: pairs per rank.
        seed: of the order.
        rank: this rank.
        ranks: number of ranks.
        step: returns how many steps are done.
        limit: batches of an epoch, which has other pairs each time: as `share_of`.

    Raises:
        DataError: when there are fewer pairs than one step needs.
        ParameterError: when the limit leaves no batch.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        *,
        seed: int,
        rank: int = 0,
        ranks: int = 1,
        step: Callable[[], int] = lambda: 0,
        limit: float = 1.0,
    ) -> None:
        if size < batch_size * ranks:
            raise DataError(f"{size} training pairs are fewer than one step needs: train.batch_size={batch_size} x {ranks} processes")
        self.size, self.batch_size, self.seed, self.rank, self.ranks, self.step = size, batch_size, seed, rank, ranks, step
        whole = size // (batch_size * ranks)
        self.length = share_of(whole, limit)
        if not self.length:
            raise ParameterError([f"train.limit_train_batches={limit}: leaves none of the {whole} batches of an epoch"])

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch, done = divmod(self.step(), len(self))
        order = np.random.default_rng([self.seed, epoch]).permutation(self.size)
        taken = self.batch_size * self.ranks
        for step in range(done, len(self)):
            together = order[step * taken : (step + 1) * taken]
            yield [(epoch, int(index)) for index in together[self.rank :: self.ranks]]


def share_of(batches: int, limit: float) -> int:
    """How many of so many batches a limit leaves, as in Lightning: an int is a number of batches, a float a share of them."""
    return min(batches, limit) if isinstance(limit, int) else int(batches * limit)
