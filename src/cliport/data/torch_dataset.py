"""Demonstrations as a PyTorch data set, for loaders with workers."""

from __future__ import annotations

from torch.utils.data import Dataset

from .reader import Sample, Source


class Samples(Dataset[Sample]):
    """Every step of every demonstration, in order. Shuffling, augmentation and batching are the loader's."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.steps = source.steps()

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, index: int) -> Sample:
        return self.source.sample(*self.steps[index])
