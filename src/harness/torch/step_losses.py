"""The losses of recent training steps, averaged over all ranks."""

from __future__ import annotations

import torch
from torch import Tensor

from .distributed import mean_over_ranks


class StepLosses:
    """The losses of the steps since the last report. Each is the mean over all ranks, whose batches are equally large.

    A rank keeps its own losses until the means are needed, so that reports and checkpoints wait for the other ranks but steps do not.
    """

    def __init__(self) -> None:
        self.own: list[Tensor] = []
        self.means: list[Tensor] = []

    def __len__(self) -> int:
        return len(self.means) + len(self.own)

    def add(self, loss: Tensor) -> None:
        """Add this rank's loss of one step, a scalar."""
        self.own.append(loss.detach())

    def over_ranks(self) -> list[Tensor]:
        """The mean loss of each step, on the CPU. Every rank must call this."""
        if self.own:
            self.means += mean_over_ranks(torch.stack(self.own)).cpu().unbind()
            self.own = []
        return list(self.means)

    def restore(self, means: list[Tensor]) -> None:
        """Continue with what `over_ranks` returned in an interrupted run."""
        self.own, self.means = [], [mean.cpu() for mean in means]

    def clear(self) -> None:
        self.own, self.means = [], []
