"""Image-text pairs: how they are read, and how they are prepared for a model.

Every random choice is a function of (seed, epoch, index), so that it does not matter which process makes it, or when.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from harness.errors import DataError
from harness.torch.decoding import UndecodableError, decode

from .augmentation import Augmentation
from .file_trees import File
from .texts import lines_of, text_of


@dataclass(frozen=True, slots=True)  # there may be millions
class Pair:
    """An image and its captions, not read yet."""

    image: File
    captions: File | tuple[str, ...]
    """A file, or the captions themselves."""
    key: str = "caption"
    """The key of the caption in a .json file; `caption` is tried next."""
    encoding: str = "utf-8"
    """Encoding of a caption file."""

    @property
    def stem(self) -> str:
        return self.image.stem

    def read_image(self) -> Image.Image:
        """The decoded image in RGB. Raises an UnusableError when it cannot be read."""
        return read_image(self.image)

    def read_captions(self) -> list[str]:
        """The captions, at least one. Raises an UnusableError when there is none."""
        if isinstance(self.captions, tuple):
            if not self.captions:
                raise UnusableError(f"{self.image}: has no caption")
            return list(self.captions)
        return read_captions(self.captions, self.key, self.encoding)


class UnusableError(DataError):
    """A pair without a readable image or without a caption. It does not end the run: the pair is skipped and counted."""


def read_captions(file: File, key: str = "caption", encoding: str = "utf-8") -> list[str]:
    """The non-empty lines of a caption file. In a .json file the captions stand under `key` or `caption`, as a text or a list of texts.

    Raises:
        UnusableError: when there is no caption, or the file has another encoding.
    """
    try:
        text = text_of(file.read_bytes(), encoding)
        if file.suffix.lower() == ".json":
            text = caption_in(json.loads(text), key)
            text.encode()  # JSON can state halves of characters, which no tokenizer takes
    except (OSError, ValueError) as error:
        raise UnusableError(f"{file}: {error}") from error
    captions = lines_of(text)
    if not captions:
        raise UnusableError(f"{file}: holds no caption")
    return captions


def caption_in(stated: object, key: str) -> str:
    """The captions in a JSON file's content, separated by newlines."""
    found = next((stated[name] for name in (key, "caption") if stated.get(name)), "") if isinstance(stated, dict) else ""
    return "\n".join(map(str, found)) if isinstance(found, list) else str(found)


def read_image(file: File) -> Image.Image:
    """A decoded image in RGB; see `harness.torch.decoding`.

    Raises:
        UnusableError: when it cannot be read.
    """
    try:
        return decode(file.read_bytes())
    except (OSError, UndecodableError) as error:
        raise UnusableError(f"{file}: {error}") from error


def random_crop_box(width: int, height: int, rng: np.random.Generator, area: float = 0.75) -> tuple[int, int, int, int]:
    """RandomResizedCrop(scale=(area, 1), ratio=(1, 1)): left, top, right, bottom of a square of at least that share of the area.

    When ten such squares do not fit into the image, because it is far from square, this is the largest square in its middle.
    """
    for pixels in rng.uniform(area, 1, 10) * width * height:
        side = round(float(np.sqrt(pixels)))
        if side <= min(width, height):
            left, top = int(rng.integers(width - side + 1)), int(rng.integers(height - side + 1))
            return left, top, left + side, top + side
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


Skipped = dict[int, str]
"""Indices of unusable pairs, and why each is unusable."""


@dataclass
class Sample:
    """One pair prepared for a model, and the pairs that were skipped on the way to it."""

    index: int
    image: Tensor  # (3, S, S) uint8, or normalised
    tokens: Tensor  # (context length,) int64
    skipped: Skipped


class Pairs(Dataset[Sample | Skipped]):
    """Training pairs, read on demand.

    Args:
        pairs: what to read.
        tokenize: turns a text into tokens.
        resample: Pillow's filter for scaling the model's images.
        size: side of the images in pixels.
        seed: of crops and captions.
        keep: whether to keep decoded images in memory.
    """

    left_out: Sequence[str] = ()
    """Files that belong to no pair, and why."""
    augmentation: Augmentation | None = None
    """What happens to a crop; by default nothing."""

    def __init__(
        self, pairs: Sequence[Pair], tokenize: Callable[[str], Tensor], resample: Image.Resampling, size: int, *, seed: int, keep: bool
    ) -> None:
        self.pairs, self.tokenize, self.resample, self.size, self.seed = pairs, tokenize, resample, size, seed
        self.kept: dict[int, tuple[Image.Image, list[str]]] | None = {} if keep else None

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, place: tuple[int, int]) -> Sample:
        """The training sample at (epoch, index). An unusable pair is replaced by the next usable one.

        Raises:
            DataError: when no pair is usable.
        """
        epoch, wanted = place
        skipped: Skipped = {}
        for index in [*range(wanted, len(self)), *range(wanted)]:
            try:
                image, captions = self.read(index)
            except UnusableError as error:
                skipped[index] = str(error)
                continue
            rng = np.random.default_rng([self.seed, epoch, wanted])
            caption = captions[int(rng.integers(len(captions)))]
            return Sample(index, self.augmented(image, rng), self.tokenize(caption), skipped)
        raise DataError(f"none of {len(self)} pairs is usable; the first: {skipped[wanted]}")

    def augmented(self, image: Image.Image, rng: np.random.Generator) -> Tensor:
        """(3, S, S) uint8: a random square of an image, scaled and varied."""
        (width, height), more = image.size, self.augmentation
        box = random_crop_box(width, height, rng, more.area if more else 0.75)
        crop = image.resize((self.size, self.size), self.resample, box, reducing_gap=None)
        return as_tensor(more(crop, rng) if more else crop)

    def read(self, index: int) -> tuple[Image.Image, list[str]]:
        if self.kept is not None and index in self.kept:
            return self.kept[index]
        pair = self.pairs[index]
        found = pair.read_image(), pair.read_captions()
        if self.kept is not None:
            self.kept[index] = found
        return found


class HeldOut(Pairs):
    """Pairs for evaluation: the first caption, and the image scaled and cropped in the model's own way. Unusable pairs give the reason.

    Args:
        transform: scales and crops an image for evaluation.

    The other arguments are those of `Pairs`.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        tokenize: Callable[[str], Tensor],
        resample: Image.Resampling,
        size: int,
        *,
        seed: int,
        keep: bool,
        transform: Callable[[Any], Image.Image],
    ) -> None:
        super().__init__(pairs, tokenize, resample, size, seed=seed, keep=keep)
        self.transform = transform
        self.texts: dict[int, str] = {}

    def __getitem__(self, index: int) -> Sample | Skipped:  # type: ignore[override]
        try:
            image, captions = self.read(index)
        except UnusableError as error:
            return {index: str(error)}
        return Sample(index, self.prepared(image), self.tokenize(captions[0]), {})

    def prepared(self, image: Image.Image) -> Tensor:
        """(3, S, S) uint8."""
        return as_tensor(self.transform(image))

    def caption(self, index: int) -> str:
        """The caption that a pair is evaluated with."""
        if index not in self.texts:
            self.texts[index] = self.pairs[index].read_captions()[0]
        return self.texts[index]


def as_tensor(image: Image.Image) -> Tensor:
    """An RGB image as (3, H, W) uint8."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


@dataclass
class Batch:
    """Stacked samples."""

    index: Tensor  # (B,)
    images: Tensor  # (B, 3, S, S) uint8, or normalised
    tokens: Tensor  # (B, context length)
    skipped: Skipped

    def pin_memory(self) -> Batch:
        """Called by torch's loader, so that copying to a GPU overlaps with computing."""
        return Batch(self.index.pin_memory(), self.images.pin_memory(), self.tokens.pin_memory(), self.skipped)


def collate(samples: Iterable[Sample | Skipped | None]) -> Batch:
    """Stack the usable samples, and collect the reasons for the others."""
    samples = list(samples)
    there = [sample for sample in samples if isinstance(sample, Sample)]
    skipped = [sample.skipped if isinstance(sample, Sample) else sample or {} for sample in samples]
    return Batch(
        torch.tensor([sample.index for sample in there], dtype=torch.int64),
        torch.stack([sample.image for sample in there]) if there else torch.empty(0),
        torch.stack([sample.tokens for sample in there]) if there else torch.empty(0),
        {index: reason for each in skipped for index, reason in each.items()},
    )
