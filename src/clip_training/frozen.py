"""Images that were cropped and normalised ahead: .npz files with `data`, float16 (3, S, S); `npz` makes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from harness.errors import DataError

from .formats import drawn
from .lists import by_lists, tell
from .loading import datasets
from .model import Clip
from .pairing import paired
from .pairs import HeldOut, Pair, Pairs, Unusable
from .sources import Folder

FOLDERS = ("img", "text", "npz")
KINDS = (("npz", ".npz"), ("text", ".txt"))
"""Folder and suffix of images that were frozen, and of their texts."""


@dataclass(frozen=True)
class FrozenPair(Pair):
    """A pair whose `image` is an .npz file."""

    size: int = 0
    """Side that the model takes, in pixels."""

    def read_image(self) -> Tensor:  # type: ignore[override]
        """(3, S, S) float16, normalised, or `Unusable`."""
        assert isinstance(self.image, Path)
        data = read_npz(self.image)
        if data.shape != (3, self.size, self.size) or not np.isfinite(data).all():
            raise Unusable(f"{self.image}: `data` is {data.shape}; the model takes finite numbers of (3, {self.size}, {self.size})")
        return torch.from_numpy(data.astype(np.float16))


def read_npz(path: Path) -> np.ndarray:
    """`data` of a file, without axes of length one before its three.

    Raises:
        Unusable: when it cannot be read, or has no such entry.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            data = file["data"]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise Unusable(f"{path}: {error}") from error
    return data.reshape(data.shape[-3:]) if data.ndim > 3 and data.size == np.prod(data.shape[-3:]) else data


class FrozenPairs(Pairs):
    """Pairs of .npz files: nothing is drawn but the caption."""

    def augmented(self, image: Any, _: np.random.Generator) -> Tensor:
        return image


class FrozenHeldOut(HeldOut):
    """Pairs of .npz files as they are evaluated; `transform` shows what is in one."""

    def prepared(self, image: Any) -> Tensor:
        return image


def frozen_datasets(clip: Clip, settings: Any, folder: Path | None, seed: int) -> tuple[Pairs, HeldOut]:
    """As `loading.datasets`; of a folder with npz/ and text/ the .npz files are taken for the images.

    Raises:
        DataError: also when no .npz file has a caption of its stem, or they are of another size than the model takes.
    """
    if folder is None or not any((folder / "npz").glob("*.npz")):
        return datasets(clip, settings, folder, seed)
    pairs, left_out = frozen_pairs(folder, clip.size, settings.data.encoding)
    check_size(pairs[0], clip)
    training, heldout = by_lists(pairs, Folder(folder), settings.data.encoding) or drawn(
        pairs, settings.data.heldout, settings.data.split_seed, Folder(folder)
    )
    common = (clip.tokenize, clip.resample, clip.size)
    options = {"seed": seed, "keep": settings.data.keep_in_memory}
    frozen = FrozenPairs(training, *common, **options)
    frozen.left_out = left_out
    return frozen, FrozenHeldOut(heldout, *common, **options, transform=lambda data: picture(data, clip))


def frozen_pairs(folder: Path, size: int, encoding: str) -> tuple[list[FrozenPair], list[str]]:
    """The files of npz/ with their texts in text/, and what is in no pair, and why.

    Raises:
        DataError: when there is no pair.
    """
    names = Folder(folder).names()
    images, texts = ([name for name in names if name.parts[0] == part and name.suffix == suffix] for part, suffix in KINDS)
    found = paired(images, texts)
    if not found.pairs:
        raise DataError(f"{folder}: no file in npz/ has a .txt file of its stem in text/, which holds {len(texts)}")
    left_out = [f"{folder}/{line}" for line in found.left_out]
    tell(Folder(folder), {"files are in no pair": len(left_out)}, left_out)
    return [FrozenPair(folder / image, folder / text, encoding=encoding, size=size) for image, text in found.pairs], left_out


def check_size(pair: FrozenPair, clip: Clip) -> None:
    """Whether the files were made for this model, by the first of them: all others being the same, one message does for all."""
    try:
        shape = read_npz(pair.image).shape  # type: ignore[arg-type]
    except Unusable:
        return  # this one is skipped and counted
    if shape != (3, clip.size, clip.size):
        raise DataError(
            f"{pair.image}: `data` is {shape}, and {clip.name} takes (3, {clip.size}, {clip.size}); "
            f"make them anew: python -m clip_training.npz model_name={clip.name}"
        )


def picture(data: Tensor, clip: Clip) -> Image.Image:
    """The image that was normalised."""
    pixels = (data.float() * clip.std.view(3, 1, 1) + clip.mean.view(3, 1, 1)).clamp(0, 1) * 255
    return Image.fromarray(pixels.round().byte().permute(1, 2, 0).numpy())
