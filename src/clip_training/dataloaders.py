"""From the data that a run names to the loaders that a training loop iterates over."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from harness.errors import ParameterError
from harness.s3 import SCHEME
from harness.torch.distributed import share_of_rank
from harness.torch.workers import worker_count

from .augmentation import Augmentation, varied
from .batch_sampler import ResumableBatchSampler
from .config import AugmentConfig, DataConfig, TrainingConfig
from .data_module import ModuleHeldOut, ModulePairs, module_datasets
from .file_trees import FileTree, Folder
from .formats import split
from .model import Clip
from .pairs import HeldOut, Pairs, collate
from .streaming import Stream
from .texts import Reading


def datasets(
    clip: Clip, data: DataConfig, folder: Path | None, seed: int, batch_size: int = 0, augment: AugmentConfig | None = None
) -> tuple[Pairs, HeldOut]:
    """Training pairs and held-out pairs.

    Args:
        clip: the model that the pairs are prepared for.
        data: settings of the data.
        folder: image-text pairs, or None where `data` names them.
        seed: of crops, captions and order.
        batch_size: pairs in a training batch of this rank, which those of `data.module` must have.
        augment: how training images are varied.

    Raises:
        ParameterError: for settings that contradict each other.
        DataError: for unusable data.
        StoreError: for a store that does not answer or refuses access.
    """
    check(data, folder, augment)
    if data.module:
        return module_datasets(clip, data, batch_size, seed)
    reading = Reading(data.image_column, data.caption_column, data.encoding)
    left_out: list[str] = []
    training, heldout = split(tree_of(data, folder), data.heldout, data.split_seed, data.format, reading, left_out)
    common = (clip.tokenize, clip.resample, clip.size)
    keep = data.keep_in_memory
    pairs = Pairs(training, *common, seed=seed, keep=keep)
    pairs.left_out = left_out
    pairs.augmentation = Augmentation(augment, clip.size, tuple(clip.mean.tolist()), clip.resample) if augment else None
    return pairs, HeldOut(heldout, *common, seed=seed, keep=keep, transform=clip.transform)


def tree_of(data: DataConfig, folder: Path | None) -> FileTree:
    """Where the files are: a folder or an S3 store."""
    if data.stream:
        return Stream(data.stream, round(data.cache_gb * 1e9))
    assert folder is not None  # `check`
    return Folder(folder)


def check(data: DataConfig, folder: Path | None, augment: AugmentConfig | None = None) -> None:
    """Check that the data are named exactly once, and that every changed setting has an effect.

    Raises:
        ParameterError: with everything that is wrong.
    """
    given = {"dataset_id or dataset_path": folder is not None, "data.stream": bool(data.stream), "data.module": bool(data.module)}
    named = [name for name, there in given.items() if there]
    problems: list[str] = []
    if not named:
        problems.append(
            "dataset_id is required: image-text pairs (or dataset_path=FOLDER, data.stream=s3://..., data.module=package:Class)"
        )
    if len(named) > 1:
        problems.append(f"{' and '.join(named)} cannot be combined: each names the data")
    if data.stream and not data.stream.startswith(SCHEME):
        problems.append(f"data.stream={data.stream}: must begin with {SCHEME}; use dataset_path for a folder")
    default = asdict(DataConfig())
    changed = {key: value for key, value in asdict(data).items() if value != default[key]}
    if data.module:
        problems += [
            f"data.{key}={value}: has no effect with data.module, which reads, splits and loads the data itself"
            for key, value in changed.items()
            if key not in ("module", "module_options", "stream")
        ]
        problems += [f"{key}={value}: has no effect with data.module, which prepares the images" for key, value in varied(augment).items()]
    elif "module_options" in changed:
        problems.append("data.module_options: has no effect without data.module")
    if "cache_gb" in changed and not data.stream and not data.module:
        problems.append(f"data.cache_gb={data.cache_gb}: has no effect without data.stream")
    if problems:
        raise ParameterError(problems)


def make_loaders(training: Pairs, heldout: HeldOut, sampler: ResumableBatchSampler, settings: TrainingConfig) -> tuple[Any, Any]:
    """Loaders of this rank's `Batch`es: for training and for evaluation."""
    if isinstance(training, ModulePairs):
        return training.loader(sampler), heldout_loader(heldout, settings.data, settings.train.batch_size)
    return (
        DataLoader(training, batch_sampler=sampler, **common(settings.data)),
        heldout_loader(heldout, settings.data, settings.train.batch_size),
    )


def heldout_loader(heldout: Any, data: DataConfig, batch_size: int) -> Any:
    """A loader of this rank's `Batch`es of data to evaluate on: held-out pairs, or `class_folders.ClassFolders`."""
    if isinstance(heldout, ModuleHeldOut):
        return heldout.loader()
    return DataLoader(heldout, sampler=list(share_of_rank(range(len(heldout)))), batch_size=batch_size, **common(data))


def common(data: DataConfig) -> dict[str, Any]:
    return {
        "collate_fn": collate,
        "num_workers": worker_count(data.workers),
        "persistent_workers": data.workers > 0,
        "pin_memory": torch.cuda.is_available(),
    }
