"""Data from the user's own LightningDataModule: each of its batches starts with images and texts.

Images are (B, 3, S, S), either uint8, or floating point and normalised for the model. Texts are strings, or tokens (B, context length).
"""

from __future__ import annotations

import copy
import importlib
import os
import tempfile
from collections.abc import Iterator, Sequence, Sized
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
import numpy as np
import torch
from filelock import FileLock
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, DistributedSampler, SequentialSampler

from harness.errors import DataError, ParameterError
from harness.torch.seeds import seed_everything
from harness.world import rank, world_size

from .batch_sampler import ResumableBatchSampler
from .config import DataConfig
from .model import Clip
from .pairs import Batch, HeldOut, Pairs


def module_datasets(clip: Clip, data: DataConfig, batch_size: int, seed: int) -> tuple[ModulePairs, ModuleHeldOut]:
    """The training data and held-out data of `data.module`.

    Raises:
        ParameterError: when it cannot be imported or created, or its batches do not have `batch_size` pairs.
    """
    module = make(data)
    with FileLock(Path(tempfile.gettempdir()) / f"{data.module.replace(':', '.')}.{os.getuid()}.lock"):  # one rank of a machine at a time
        module.prepare_data()
    module.setup("fit")
    training, heldout = module.train_dataloader(), module.val_dataloader()
    problems = [
        f"data.module={data.module}: {name}() must return one loader that has a length, but returned {type(loader).__name__}"
        for name, loader in (("train_dataloader", training), ("val_dataloader", heldout))
        if not has_length(loader)
    ]
    if is_shared(heldout):
        problems.append(f"data.module={data.module}: val_dataloader() must iterate over all pairs, without a DistributedSampler")
    size = getattr(training, "batch_size", None)
    if size is not None and size != batch_size:
        problems.append(f"train.batch_size={batch_size}: must equal the batch size of data.module={data.module}, which is {size}")
    if problems:
        raise ParameterError(problems)
    return ModulePairs(training, batch_size, clip, seed), ModuleHeldOut(heldout, clip, seed)


def make(data: DataConfig) -> lightning.LightningDataModule:
    """An instance of the class that `data.module` names.

    Raises:
        ParameterError: when it cannot be imported or created.
    """
    module, _, name = data.module.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise ParameterError([f"data.module={data.module}: cannot be imported: {error}; the format is package.module:Class"]) from error
    if not (isinstance(found, type) and issubclass(found, lightning.LightningDataModule)):
        raise ParameterError([f"data.module={data.module}: is not a lightning.pytorch LightningDataModule"])
    try:
        return found(**data.module_options)
    except TypeError as error:
        raise ParameterError([f"data.module_options={data.module_options}: {data.module} does not accept them: {error}"]) from error


def has_length(loader: Any) -> bool:
    try:
        return len(loader) > 0 and not isinstance(loader, list | tuple | dict)
    except TypeError:
        return False


class ModulePairs(Pairs):
    """The training pairs of a data module, as many as fill whole batches.

    Args:
        batches: the data module's loader.
        batch_size: pairs in one of its batches.
        clip: the model that the pairs are prepared for.
        seed: of the loader's random numbers.
    """

    def __init__(self, batches: Any, batch_size: int, clip: Clip, seed: int) -> None:
        self.batches, self.batch_size, self.clip, self.seed = batches, batch_size, clip, seed

    def __len__(self) -> int:
        sampler = getattr(self.batches, "sampler", None)
        whole = len(sampler) // self.batch_size if isinstance(sampler, Sized) else len(self.batches)
        return min(whole, len(self.batches)) * self.batch_size * (world_size() if is_shared(self.batches) else 1)

    def notes(self) -> list[str]:
        """What the run says about resuming, for each option of the loader that would prevent it or does."""
        found = []
        if getattr(self.batches, "persistent_workers", False):
            found.append("data.module: its persistent workers are started anew in each epoch, so that a resumed run draws the same numbers")
        if getattr(self.batches, "num_workers", 0) > 1 and not getattr(self.batches, "in_order", True):
            found.append("data.module: in_order=False gives batches in any order, so that a resumed run differs from an uninterrupted one")
        return found

    def loader(self, order: ResumableBatchSampler) -> ModuleLoader:
        """This rank's batches, starting at the current step."""
        return ModuleLoader(self, order)


def is_shared(loader: Any) -> bool:
    """Whether the loader of each rank already gives that rank's part only."""
    return isinstance(getattr(loader, "sampler", None), DistributedSampler)


class ModuleLoader:
    """The batches of one epoch. Of N ranks, each takes every N-th batch, unless the sampler is a DistributedSampler.

    Random numbers are a function of seed, epoch and batch, so that a resumed run continues like an uninterrupted one: the batches that
    it has seen already are loaded again and dropped.
    """

    def __init__(self, pairs: ModulePairs, order: ResumableBatchSampler) -> None:
        self.pairs, self.order = pairs, order

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[Batch]:
        epoch, done = divmod(self.order.step(), len(self))
        share = 1 if is_shared(self.pairs.batches) else world_size()
        if is_shared(self.pairs.batches):
            self.pairs.batches.sampler.set_epoch(epoch)
        for number, items in enumerate(seeded(self.pairs.batches, len(self) * share, self.pairs.seed, epoch)):
            if number // share >= done and number % share == rank() % share:
                yield as_batch(items, number * self.pairs.batch_size, self.pairs.clip)


def seeded(loader: Any, count: int, *place: int) -> Iterator[Any]:
    """The loader's first `count` batches, each fetched with random numbers of its own.

    Raises:
        DataError: when there are fewer.
    """
    seed_everything(*place, 0, 0)
    iterator = iter(restarted(loader))
    for number in range(count):
        seed_everything(*place, number, 1)
        items = next(iterator, None)
        if items is None:
            raise DataError(f"the loader of data.module ended after {number} of {count} batches")
        yield items


def restarted(loader: Any) -> Any:
    """The loader with all random numbers seeded by torch's global generator, whatever it has loaded before.

    Persistent workers, and generators of the loader's or its sampler's own, would carry their state into the next epoch, but a resumed
    run starts without that state.
    """
    if not isinstance(loader, DataLoader):
        return loader
    for owner in (loader, loader.sampler, loader.batch_sampler, getattr(loader.batch_sampler, "sampler", None)):
        if isinstance(generator := getattr(owner, "generator", None), torch.Generator):
            generator.manual_seed(torch.initial_seed())
    return copy.copy(loader) if loader.persistent_workers else loader  # workers persist in the loader that started them


class ModuleHeldOut(HeldOut):
    """The held-out pairs of a data module. Their texts are known only after iterating over them."""

    def __init__(self, batches: Any, clip: Clip, seed: int) -> None:
        self.batches, self.clip, self.seed = batches, clip, seed
        self.texts: dict[int, str] = {}
        self.transform = lambda image: image

    def __len__(self) -> int:
        sampler = getattr(self.batches, "sampler", None)
        return len(sampler if isinstance(sampler, Sized) else self.batches)

    def loader(self) -> ModuleHeldOutLoader:
        """This rank's batches."""
        return ModuleHeldOutLoader(self)

    def caption(self, index: int) -> str:
        return self.texts[index]

    def read(self, index: int) -> tuple[Image.Image, list[str]]:
        """The image, if the loader reads a dataset in order; otherwise a grey placeholder."""
        in_order = isinstance(getattr(self.batches, "sampler", None), SequentialSampler)
        image = self.batches.dataset[index][0] if in_order else None
        picture = as_picture(image, self.clip) if isinstance(image, Tensor) else Image.new("RGB", (self.clip.size,) * 2, (128, 128, 128))
        return picture, [self.caption(index)]


class ModuleHeldOutLoader:
    """The held-out batches. Of N ranks, each takes every N-th batch."""

    def __init__(self, heldout: ModuleHeldOut) -> None:
        self.heldout = heldout

    def __len__(self) -> int:
        return len(range(rank(), len(self.heldout.batches), world_size()))

    def __iter__(self) -> Iterator[Batch]:
        start = 0
        for number, items in enumerate(seeded(self.heldout.batches, len(self.heldout.batches), self.heldout.seed, 0)):
            batch = as_batch(items, start, self.heldout.clip)
            texts = [" ".join(map(str, text.tolist())) if isinstance(text, Tensor) else text for text in items[1]]
            self.heldout.texts |= dict(enumerate(texts, start))
            start += len(batch.index)
            if number % world_size() == rank():
                yield batch


def as_batch(items: Any, start: int, clip: Clip) -> Batch:
    """A Batch from what a data module's loader returned.

    Raises:
        DataError: when that does not start with images and texts, or their shapes are not the model's.
    """
    if not isinstance(items, Sequence) or len(items) < 2:
        raise DataError(f"a batch of data.module must be a tuple of images and texts, not {type(items).__name__}")
    images, texts = items[0], items[1]
    if not isinstance(images, Tensor) or images.ndim != 4 or images.shape[1:] != (3, clip.size, clip.size):
        found = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
        raise DataError(f"images of data.module must be a tensor (B, 3, {clip.size}, {clip.size}), not {found}")
    strings = isinstance(texts, Sequence) and not isinstance(texts, str) and all(isinstance(text, str) for text in texts)
    if not (strings or isinstance(texts, Tensor)) or len(texts) != len(images):
        raise DataError(f"texts of data.module must be {len(images)} strings or a tensor of tokens, not {type(texts).__name__}")
    tokens = texts if isinstance(texts, Tensor) else torch.stack([clip.tokenize(text) for text in texts])
    return Batch(torch.arange(start, start + len(images)), images, tokens, {})


def as_picture(image: Tensor, clip: Clip) -> Image.Image:
    """An image (3, S, S) as a picture."""
    if image.is_floating_point():
        image = ((image * clip.std.view(3, 1, 1) + clip.mean.view(3, 1, 1)).clamp(0, 1) * 255).round().to(torch.uint8)
    return Image.fromarray(np.asarray(image.permute(1, 2, 0)))
