"""From what a run names as its data to what a training loop iterates over."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from harness.errors import ParameterError
from harness.s3 import SCHEME
from harness.torch.distributed import share_of_rank
from harness.torch.workers import loaders

from .batches import Batches
from .config import DataConfig
from .formats import split
from .model import Clip
from .own_data import OwnHeldOut, OwnPairs, own_data
from .pairs import HeldOut, Pairs, collate
from .sources import Folder, Source
from .streaming import Stream
from .tables import Reading


def datasets(clip: Clip, settings: Any, folder: Path | None, seed: int) -> tuple[Pairs, HeldOut]:
    """Pairs to train on, and pairs held out.

    Args:
        clip: the model that takes them.
        settings: with `data`, and for `data.module` with `train.batch_size`.
        folder: image-text pairs, or None where settings name the data.
        seed: of crops, captions and order.

    Raises:
        ParameterError: for settings that contradict each other.
        DataError: for data that do not do.
        StoreError: for a store that does not answer or refuses.
    """
    data: DataConfig = settings.data
    check(data, folder)
    if data.module:
        return own_data(clip, data, settings.train.batch_size, seed)
    reading = Reading(data.image_column, data.caption_column, data.encoding)
    left_out: list[str] = []
    training, heldout = split(source_of(data, folder), data.heldout, data.split_seed, data.format, reading, left_out)
    common = (clip.tokenize, clip.resample, clip.size)
    keep = data.keep_in_memory
    pairs = Pairs(training, *common, seed=seed, keep=keep)
    pairs.left_out = left_out
    return pairs, HeldOut(heldout, *common, seed=seed, keep=keep, transform=clip.transform)


def source_of(data: DataConfig, folder: Path | None) -> Source:
    """Where the files are."""
    if data.stream:
        return Stream(data.stream, round(data.cache_gb * 1e9))
    assert folder is not None  # `check`
    return Folder(folder)


def check(data: DataConfig, folder: Path | None) -> None:
    """Whether the data are named once, and no setting means nothing.

    Raises:
        ParameterError: with all that is wrong.
    """
    given = {"dataset_id or dataset_path": folder is not None, "data.stream": bool(data.stream), "data.module": bool(data.module)}
    named = [name for name, there in given.items() if there]
    problems: list[str] = []
    if not named:
        problems.append(
            "dataset_id is required: image-text pairs (or dataset_path=FOLDER, data.stream=s3://..., data.module=package:Class)"
        )
    if len(named) > 1:
        problems.append(f"{' and '.join(named)} each name the data; keep one")
    if data.stream and not data.stream.startswith(SCHEME):
        problems.append(f"data.stream={data.stream}: must begin with {SCHEME}; a folder is named by dataset_path")
    default = asdict(DataConfig())
    changed = {key: value for key, value in asdict(data).items() if value != default[key]}
    if data.module:
        problems += [
            f"data.{key}={value}: means nothing with data.module, which reads, splits and loads by itself"
            for key, value in changed.items()
            if key not in ("module", "module_options", "stream")
        ]
    elif "module_options" in changed:
        problems.append("data.module_options: means nothing without data.module")
    if "cache_gb" in changed and not data.stream and not data.module:
        problems.append(f"data.cache_gb={data.cache_gb}: means nothing without data.stream")
    if problems:
        raise ParameterError(problems)


def make_loaders(training: Pairs, heldout: HeldOut, batches: Batches, settings: Any) -> tuple[Any, Any]:
    """What gives this rank's `Batch`es to train on, and those held out."""
    if isinstance(training, OwnPairs):
        return training.loader(batches), heldout_loader(heldout, settings.data, settings.train.batch_size)
    return (
        DataLoader(training, batch_sampler=batches, **common(settings.data)),
        heldout_loader(heldout, settings.data, settings.train.batch_size),
    )


def heldout_loader(heldout: HeldOut, data: DataConfig, batch_size: int) -> Any:
    """What gives this rank's `Batch`es of the pairs held out."""
    if isinstance(heldout, OwnHeldOut):
        return heldout.loader()
    return DataLoader(heldout, sampler=list(share_of_rank(range(len(heldout)))), batch_size=batch_size, **common(data))


def common(data: DataConfig) -> dict[str, Any]:
    return {
        "collate_fn": collate,
        "num_workers": loaders(data.workers),
        "persistent_workers": data.workers > 0,
        "pin_memory": torch.cuda.is_available(),
    }
