"""Masks of classes: an image whose pixels are class numbers. Which values they hold, and which they may."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from .checks import check_use
from .dataset import Dataset, Picture
from .findings import Findings
from .images import mapped, told

SAMPLE = 1000
"""Masks of a split that are read; with `deep`, all are."""
INDEXED = frozenset({"1", "L", "P", "I", "I;16", "I;16B"})
VOID = 255
"""The value that the toolboxes leave out unless they are told another one."""


@dataclass(frozen=True)
class Label:
    """What a mask holds."""

    width: int
    height: int
    mode: str
    values: tuple[int, ...] = ()
    """None of a mask of colours."""


def read(path: Path) -> np.ndarray:
    """The class numbers (height, width) of a mask: a palette's indexes, not its colours."""
    with Image.open(path) as image:
        return np.asarray(image)


def summary(path: Path) -> Label | str | None:
    """What a mask holds; why it cannot be read, as text; None if there is no such file."""
    try:
        with Image.open(path) as image:
            if image.mode not in INDEXED:
                return Label(image.width, image.height, image.mode)
            pixels = np.asarray(image)
            if pixels.dtype in (np.uint8, np.bool_):
                values = np.flatnonzero(np.bincount(pixels.ravel().view(np.uint8), minlength=256))
            else:
                values = np.unique(pixels)
            return Label(image.width, image.height, image.mode, tuple(values.tolist()))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except Exception as fault:  # a damaged image's error may be of any type
        return told(fault)


def check_labels(dataset: Dataset, findings: Findings, *, deep: bool) -> dict[str, int]:
    """Read the masks, note what is wrong with them, and return how many of each split were read.

    Where nothing names the values, those that are found become their names.
    """
    taken: dict[str, int] = {}
    found: dict[str, list[tuple[Picture, Label]]] = {}
    for split in dataset.splits.values():
        with_label = [picture for picture in split.pictures if picture.label is not None]
        chosen = with_label if deep else spread(with_label, SAMPLE)
        if chosen:
            taken[split.name] = len(chosen)
            paths = [picture.label for picture in chosen if picture.label is not None]
            found[split.name] = [
                (picture, label)
                for picture, label in zip(chosen, mapped(summary, paths), strict=True)
                if sound(picture, label, split.name, findings) and isinstance(label, Label)
            ]
    if not found:
        return taken
    every = Counter(value for labels in found.values() for _, label in labels for value in label.values)
    if dataset.void is None and every[VOID]:
        dataset.void = VOID
    if not dataset.values and every:
        findings.add("class-names-unknown", f"values {', '.join(map(str, sorted(every)[:20]))}")
        dataset.values = [str(number) for number in range(max((value for value in every if value != dataset.void), default=0) + 1)]
    if every.keys() == {0, VOID}:
        findings.add("label-black-white", "", count=sum(map(len, found.values())))
    else:
        for name, labels in found.items():
            check_values(dataset, name, labels, findings)
    if not dataset.classes:  # otherwise, what is said of the objects' classes is enough
        names = dict(enumerate(dataset.values))
        counts = {name: Counter(names.get(value, "") for _, label in labels for value in label.values) for name, labels in found.items()}
        check_use(counts, dataset.values, findings)
    return taken


def spread(pictures: Sequence[Picture], count: int) -> list[Picture]:
    """At most `count` of them, evenly spread."""
    if len(pictures) <= count:
        return list(pictures)
    return [pictures[place] for place in np.linspace(0, len(pictures) - 1, count).astype(int)]


def sound(picture: Picture, label: Label | str | None, split: str, findings: Findings) -> bool:
    """Whether a mask can be used; otherwise, why not is noted."""
    name = picture.label.name if picture.label else picture.file
    if label is None:
        findings.add("label-missing", f"{picture.file}: {name}", split)
        return False
    if isinstance(label, str):
        findings.add("label-unreadable", f"{name}: {label}", split)
        return False
    size = (picture.header.width, picture.header.height) if picture.header else picture.size
    if size and size != (label.width, label.height):
        findings.add("label-size", f"{name}: {label.width} x {label.height}, the image is {size[0]} x {size[1]}", split)
    if label.mode not in INDEXED:
        findings.add("label-colours", f"{name}: {label.mode}", split)
        return False
    return True


def check_values(dataset: Dataset, split: str, labels: Sequence[tuple[Picture, Label]], findings: Findings) -> None:
    allowed = {*range(len(dataset.values)), *({dataset.void} if dataset.void is not None else ())}
    for picture, label in labels:
        name = picture.label.name if picture.label else picture.file
        if odd := [value for value in label.values if value not in allowed]:
            told = ", ".join(map(str, odd[:6])) + (", .." if len(odd) > 6 else "")
            findings.add("label-value", f"{name}: {told}", split)
        elif set(label.values) <= {0, dataset.void}:
            findings.add("label-empty", name, split)
