"""Image-text pairs in a folder: an image and a .txt file of the same stem, wherever below it they are.

Every random choice is a function of (seed, epoch, index), so that it does not matter which process makes it, or when.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import Dataset

from harness.errors import DataError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pair:
    """Where an image and its captions are."""

    image: Path
    captions: Path

    @property
    def stem(self) -> str:
        return self.image.stem


class Unusable(Exception):  # noqa: N818  it is no error of the run: the pair is skipped and counted
    """A pair without a readable image or without a caption."""


def image_suffixes() -> set[str]:
    """Every suffix, in lower case, of a format that Pillow opens."""
    Image.init()
    return {suffix for suffix, name in Image.registered_extensions().items() if name in Image.OPEN}


def find_pairs(folder: Path) -> list[Pair]:
    """The pairs below `folder`, sorted by stem. What has no partner, or a stem that came before, is left out and counted in the log.

    Raises:
        DataError: when there is none.
    """
    suffixes = image_suffixes()
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    images: dict[str, Path] = {}
    captions: dict[str, Path] = {}
    twice = 0
    for path in files:
        suffix = path.suffix.lower()
        kind = captions if suffix == ".txt" else images if suffix in suffixes else {}
        twice += path.stem in kind
        kind.setdefault(path.stem, path)
    both = sorted(images.keys() & captions.keys())
    if not both:
        raise DataError(
            f"{folder} holds no image-text pairs: {len(images)} images and {len(captions)} .txt files, none of the same stem "
            f"(a.jpg goes with a.txt, in whatever sub-folder)"
        )
    for count, what in (
        (len(images) - len(both), "images have no .txt file of their stem"),
        (len(captions) - len(both), ".txt files have no image of their stem"),
        (twice, "files have the stem of an earlier one"),
    ):
        if count:
            log.warning("%s: %d %s; left out", folder, count, what)
    return [Pair(images[stem], captions[stem]) for stem in both]


def split(folder: Path, share: float, seed: int) -> tuple[list[Pair], list[Pair]]:
    """Pairs to train on and pairs held out: the folders train/ and heldout/, or a seeded draw where they are not there."""
    if (folder / "train").is_dir() and (folder / "heldout").is_dir():
        return find_pairs(folder / "train"), find_pairs(folder / "heldout")
    pairs = find_pairs(folder)
    if len(pairs) < 2:
        raise DataError(f"{folder} holds one pair; training and holding out needs two at least")
    heldout = min(max(1, round(len(pairs) * share)), len(pairs) - 1)
    chosen = set(np.random.default_rng(seed).permutation(len(pairs))[:heldout].tolist())
    return [p for i, p in enumerate(pairs) if i not in chosen], [p for i, p in enumerate(pairs) if i in chosen]


def read_captions(path: Path) -> list[str]:
    """The non-empty lines of a caption file.

    Raises:
        Unusable: when there is none, or it is no UTF-8 text.
    """
    try:
        lines = [line.strip() for line in path.read_text("utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable(f"{path}: {error}") from error
    captions = [line for line in lines if line]
    if not captions:
        raise Unusable(f"{path}: holds no caption")
    return captions


def read_image(path: Path) -> Image.Image:
    """A decoded image in RGB.

    Raises:
        Unusable: when Pillow cannot read it, truncated files and implausibly large ones included.
    """
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, ValueError, SyntaxError, EOFError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise Unusable(f"{path}: {error}") from error


def random_crop_box(width: int, height: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """RandomResizedCrop(scale=(.75, 1), ratio=(1, 1)): left, top, right, bottom of a square of 75 to 100 % of the area.

    Where ten such squares are larger than the image (it is far from square), the largest one in the middle.
    """
    for area in rng.uniform(0.75, 1, 10) * width * height:
        side = round(float(np.sqrt(area)))
        if side <= min(width, height):
            left, top = int(rng.integers(width - side + 1)), int(rng.integers(height - side + 1))
            return left, top, left + side, top + side
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


@dataclass
class Sample:
    """One pair as a model takes it, and the pairs that were skipped on the way to it."""

    index: int
    image: Tensor  # (3, S, S) uint8
    tokens: Tensor  # (context length,) int64
    skipped: dict[int, str]


class Pairs(Dataset[Sample | None]):
    """Pairs, read when they are asked for.

    Args:
        pairs: what to read.
        tokenize: text to tokens.
        resample: the filter of Pillow with which the model's images are scaled.
        size: side of the images in pixels.
        seed: of crops and captions.
        keep: whether to keep what was read.
    """

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
            DataError: when no pair at all is usable.
        """
        epoch, wanted = place
        skipped: dict[int, str] = {}
        for index in [*range(wanted, len(self)), *range(wanted)]:
            try:
                image, captions = self.read(index)
            except Unusable as error:
                skipped[index] = str(error)
                continue
            rng = np.random.default_rng([self.seed, epoch, wanted])
            caption = captions[int(rng.integers(len(captions)))]
            box = random_crop_box(*image.size, rng)
            small = image.resize((self.size, self.size), self.resample, box, reducing_gap=None)
            return Sample(index, as_tensor(small), self.tokenize(caption), skipped)
        raise DataError(f"none of {len(self)} pairs can be used; the first: {skipped[wanted]}")

    def read(self, index: int) -> tuple[Image.Image, list[str]]:
        if self.kept is not None and index in self.kept:
            return self.kept[index]
        pair = self.pairs[index]
        found = read_image(pair.image), read_captions(pair.captions)
        if self.kept is not None:
            self.kept[index] = found
        return found


class HeldOut(Pairs):
    """Pairs as they are evaluated: the first caption, the image scaled and cropped in the model's own way; unusable ones left out."""

    def __init__(self, *arguments: object, transform: Callable[[Image.Image], Image.Image], **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        self.transform = transform
        self.texts: dict[int, str] = {}

    def __getitem__(self, index: int) -> Sample | None:  # type: ignore[override]
        try:
            image, captions = self.read(index)
        except Unusable as error:
            log.warning("held-out pair left out: %s", error)
            return None
        return Sample(index, as_tensor(self.transform(image)), self.tokenize(captions[0]), {})

    def caption(self, index: int) -> str:
        """The text that a pair is evaluated with."""
        if index not in self.texts:
            self.texts[index] = read_captions(self.pairs[index].captions)[0]
        return self.texts[index]


def as_tensor(image: Image.Image) -> Tensor:
    """An RGB image as (3, H, W) uint8."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


@dataclass
class Batch:
    """Samples stacked."""

    index: Tensor  # (B,)
    images: Tensor  # (B, 3, S, S) uint8
    tokens: Tensor  # (B, context length)
    skipped: dict[int, str]

    def pin_memory(self) -> Batch:
        """Called by torch's loader, to let copies to a GPU overlap with work."""
        return Batch(self.index.pin_memory(), self.images.pin_memory(), self.tokens.pin_memory(), self.skipped)


def collate(samples: Iterable[Sample | None]) -> Batch:
    """Stack the samples that are there."""
    there = [sample for sample in samples if sample is not None]
    return Batch(
        torch.tensor([sample.index for sample in there], dtype=torch.int64),
        torch.stack([sample.image for sample in there]) if there else torch.empty(0),
        torch.stack([sample.tokens for sample in there]) if there else torch.empty(0),
        {index: reason for sample in there for index, reason in sample.skipped.items()},
    )
