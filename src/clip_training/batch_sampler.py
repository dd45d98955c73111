"""The order of training: which pairs form the batch of a step, as a function of seed, step and rank."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from torch.utils.data import Sampler

from harness.errors import DataError


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

    Raises:
        DataError: when there are fewer pairs than one step needs.
    """

    def __init__(
        self, size: int, batch_size: int, *, seed: int, rank: int = 0, ranks: int = 1, step: Callable[[], int] = lambda: 0
    ) -> None:
        if size < batch_size * ranks:
            raise DataError(f"{size} training pairs are fewer than one step needs: train.batch_size={batch_size} x {ranks} processes")
        self.size, self.batch_size, self.seed, self.rank, self.ranks, self.step = size, batch_size, seed, rank, ranks, step

    def __len__(self) -> int:
        return self.size // (self.batch_size * self.ranks)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch, done = divmod(self.step(), len(self))
        order = np.random.default_rng([self.seed, epoch]).permutation(self.size)
        taken = self.batch_size * self.ranks
        for step in range(done, len(self)):
            together = order[step * taken : (step + 1) * taken]
            yield [(epoch, int(index)) for index in together[self.rank :: self.ranks]]
