"""Pairs whose images were cropped and normalised in advance: .npz files with `data`, float16 (3, S, S), as the command make_npz writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from harness.errors import DataError, ParameterError

from .augmentation import varied
from .config import AugmentConfig, DataConfig
from .dataloaders import datasets
from .file_trees import Folder
from .model import Clip
from .pairing import paired
from .pairs import HeldOut, Pair, Pairs, UnusableError
from .splits import by_lists, drawn, warn_left_out

FOLDERS = ("img", "text", "npz")
FOLDER_SUFFIXES = (("npz", ".npz"), ("text", ".txt"))
"""Folder and suffix of the prepared images, and of their texts."""


@dataclass(frozen=True)
class NpzPair(Pair):
    """A pair whose `image` is an .npz file."""

    image: Path
    size: int = 0
    """Side of the model's input, in pixels."""

    def read_image(self) -> Tensor:
        """(3, S, S) float16, normalised.

        Raises:
            UnusableError: for a file that cannot be read, or holds something else.
        """
        data = read_npz(self.image)
        if data.shape != (3, self.size, self.size) or not np.isfinite(data).all():
            raise UnusableError(f"{self.image}: `data` is {data.shape}, must be finite and (3, {self.size}, {self.size})")
        return torch.from_numpy(data.astype(np.float16))


def read_npz(path: Path) -> np.ndarray:
    """`data` of a file, with leading axes of length one removed.

    Raises:
        UnusableError: when it cannot be read, or has no such entry.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            data: np.ndarray = file["data"]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise UnusableError(f"{path}: {error}") from error
    return data.reshape(data.shape[-3:]) if data.ndim > 3 and data.size == np.prod(data.shape[-3:]) else data


class NpzPairs(Pairs):
    """Training pairs from .npz files: only the caption is drawn, since the crop is fixed."""

    def augmented(self, image: Any, _: np.random.Generator) -> Tensor:
        tensor: Tensor = image
        return tensor


class NpzHeldOut(HeldOut):
    """Held-out pairs from .npz files; `transform` turns a file's content back into a picture."""

    def prepared(self, image: Any) -> Tensor:
        tensor: Tensor = image
        return tensor


def npz_datasets(
    clip: Clip, data: DataConfig, folder: Path | None, seed: int, batch_size: int = 0, augment: AugmentConfig | None = None
) -> tuple[Pairs, HeldOut]:
    """As `dataloaders.datasets`, except that a folder with npz/ and text/ gives its .npz files as the images.

    Raises:
        ParameterError: also for an augmentation of images that are cropped and normalised already.
        DataError: also when no .npz file has a caption of its stem, or their size is not the model's.
    """
    if folder is None or not any((folder / "npz").glob("*.npz")):
        return datasets(clip, data, folder, seed, batch_size, augment)
    if changed := varied(augment):
        raise ParameterError([f"{key}={value}: the images in {folder / 'npz'} were cropped in advance" for key, value in changed.items()])
    pairs, left_out = npz_pairs(folder, clip.size, data.encoding)
    check_size(pairs[0].image, clip)
    training, heldout = by_lists(pairs, Folder(folder), data.encoding) or drawn(pairs, data.heldout, data.split_seed, Folder(folder))
    common = (clip.tokenize, clip.resample, clip.size)
    keep = data.keep_in_memory
    prepared = NpzPairs(training, *common, seed=seed, keep=keep)
    prepared.left_out = left_out
    return prepared, NpzHeldOut(heldout, *common, seed=seed, keep=keep, transform=lambda content: picture(content, clip))


def npz_pairs(folder: Path, size: int, encoding: str) -> tuple[list[NpzPair], list[str]]:
    """The files of npz/ with their texts in text/; and which files are in no pair, and why.

    Raises:
        DataError: when there is no pair.
    """
    names = Folder(folder).names()
    images, texts = ([name for name in names if name.parts[0] == part and name.suffix == suffix] for part, suffix in FOLDER_SUFFIXES)
    found = paired(images, texts)
    if not found.pairs:
        raise DataError(f"{folder}: no file in npz/ has a .txt file of the same stem in text/, which holds {len(texts)}")
    left_out = [f"{folder}/{line}" for line in found.left_out]
    warn_left_out(Folder(folder), {"files belong to no pair": len(left_out)}, left_out)
    return [NpzPair(folder / image, folder / text, encoding=encoding, size=size) for image, text in found.pairs], left_out


def check_size(path: Path, clip: Clip) -> None:
    """Check that the files were made for this model, by looking at the first: they were all made in one run, so one message is enough.

    Raises:
        DataError: when they were made for another model.
    """
    try:
        shape = read_npz(path).shape
    except UnusableError:
        return  # this one is skipped and counted
    if shape != (3, clip.size, clip.size):
        raise DataError(
            f"{path}: `data` is {shape}, but {clip.name} needs (3, {clip.size}, {clip.size}); "
            f"make the files again: python -m clip_training.npz model_name={clip.name}"
        )


def picture(data: Tensor, clip: Clip) -> Image.Image:
    """The image before it was normalised."""
    pixels = (data.float() * clip.std.view(3, 1, 1) + clip.mean.view(3, 1, 1)).clamp(0, 1) * 255
    return Image.fromarray(pixels.round().byte().permute(1, 2, 0).numpy())
