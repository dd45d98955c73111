"""From a folder of pairs to what a training loop iterates over."""

from __future__ import annotations

from pathlib import Path

import torch
from torch.utils.data import DataLoader

from training.distributed import share_of_rank

from .batches import Batches
from .config import TrainConfig
from .model import Clip
from .pairs import HeldOut, Pairs, collate, split


def datasets(clip: Clip, settings: TrainConfig, folder: Path, seed: int) -> tuple[Pairs, HeldOut]:
    training, heldout = split(folder, settings.data.heldout, settings.data.split_seed)
    common = (clip.tokenize, clip.resample, clip.size)
    keep = settings.data.keep_in_memory
    return Pairs(training, *common, seed=seed, keep=keep), HeldOut(heldout, *common, seed=seed, keep=keep, transform=clip.transform)


def make_loaders(training: Pairs, heldout: HeldOut, batches: Batches, settings: TrainConfig) -> tuple[DataLoader, DataLoader]:
    workers = settings.data.workers
    common = {
        "collate_fn": collate,
        "num_workers": workers,
        "persistent_workers": workers > 0,
        "pin_memory": torch.cuda.is_available(),
    }
    mine = list(share_of_rank(range(len(heldout))))
    return (
        DataLoader(training, batch_sampler=batches, **common),
        DataLoader(heldout, sampler=mine, batch_size=settings.train.batch_size, **common),
    )
