"""Sharing work and results among the ranks of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch import distributed as dist

from harness.world import rank, world_size


def share_of_rank(items: Sequence[int]) -> Iterator[int]:
    """This rank's items: every world_size-th, so that the shares differ by at most one item."""
    return iter(items[rank() :: world_size()])


def mean_over_ranks(values: Tensor) -> Tensor:
    """The mean of each value over all ranks. Every rank must call this; no gradient flows."""
    if world_size() == 1:
        return values
    total = values.detach().clone()
    dist.all_reduce(total)
    return total / world_size()


def gather_rows(rows: Tensor) -> Tensor:
    """The rows (N_r, ...) of all ranks stacked in order of rank. Ranks may have different numbers of rows; no gradient flows."""
    if world_size() == 1:
        return rows
    count = torch.tensor([len(rows)], device=rows.device)
    counts = [torch.zeros_like(count) for _ in range(world_size())]
    dist.all_gather(counts, count)
    longest = int(max(counts))
    padded = torch.zeros((longest, *rows.shape[1:]), dtype=rows.dtype, device=rows.device)
    padded[: len(rows)] = rows
    parts = [torch.zeros_like(padded) for _ in counts]
    dist.all_gather(parts, padded)
    return torch.cat([part[: int(size)] for part, size in zip(parts, counts, strict=True)])
