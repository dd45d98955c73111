"""What can be wrong with a data set, whatever its form: its images, boxes, classes, and what its splits share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from . import images
from .dataset import Dataset, Header, Picture, Split
from .findings import Findings
from .places import IMAGES, entries, is_background, plain

SLACK = 1.0
"""Pixels that a box may reach over its image's edge: forms count from 0 or from 1, and round."""
UNLABELLED = "test"
"""The split that may come without annotations."""


def check_images(dataset: Dataset, findings: Findings, *, deep: bool) -> None:
    """Read the headers, or with `deep` all, of the images, and note what is wrong with them."""
    for split in dataset.splits.values():
        if not split.pictures:
            findings.add("split-without-images", split.source, split.name)
        for picture, found in zip(split.pictures, headers(split.pictures, deep=deep), strict=True):
            check_image(picture, found, split.name, findings)
            if found is None:
                findings.add("image-missing", relative(picture.path, dataset.folder), split.name)
        for path, count in Counter(picture.path for picture in split.pictures).items():
            if count > 1:
                findings.add("image-twice", path.name, split.name)
    check_unlisted(dataset, findings)


def headers(pictures: list[Picture], *, deep: bool) -> Iterable[Header | str | None]:
    """The images' headers, or why there is none; decoding takes all cores, reading headers alone would not gain by that."""
    if deep:
        return images.mapped(lambda picture: images.header(picture.path, deep=True), pictures)
    return (picture.header or images.header(picture.path) for picture in pictures)


def check_image(picture: Picture, found: Header | str | None, split: str, findings: Findings) -> None:
    picture.header = found if isinstance(found, Header) else None
    if isinstance(found, str):
        findings.add("image-unreadable", f"{picture.file}: {found}", split)
    elif found is not None:
        if found.turn != 1:
            findings.add("image-turned", picture.file, split)
        if found.mode not in images.USUAL_MODES:
            findings.add("image-mode", f"{picture.file}: {found.mode}", split)
        stated, seen = (picture.width, picture.height), (found.width, found.height)
        if None not in stated and stated != seen:
            turned = ", turned by its EXIF data" if found.turn >= images.SIDEWAYS else ""
            findings.add("image-size", f"{picture.file}: {stated[0]} x {stated[1]}, it is {seen[0]} x {seen[1]}{turned}", split)


def check_unlisted(dataset: Dataset, findings: Findings) -> None:
    """Images that lie among the listed ones."""
    known = {path for _, picture in dataset.pictures() for path in (picture.path, picture.label) if path}
    for folder in sorted({picture.path.parent for _, picture in dataset.pictures()}):
        for entry in entries(folder):
            path = Path(entry.path)
            if path.suffix.lower() in IMAGES and path not in known:
                findings.add("image-unlisted", relative(path, dataset.folder))


def relative(path: Path, folder: Path) -> Path:
    """A path as it is below a folder, if it is."""
    return path.relative_to(folder) if path.is_relative_to(folder) else path


def check_boxes(split: Split, findings: Findings) -> None:
    """Boxes against their images: what lies outside, has no area, or is in another form than COCO's."""
    boxes = split.boxes()
    if not len(boxes):
        return
    sizes = np.array([split.pictures[owner].size or (np.nan, np.nan) for owner in split.owners()], float)
    areas = np.array([np.nan if thing.area is None else thing.area for thing in split.things])
    start, extent = boxes[:, :2], boxes[:, 2:]
    end = start + extent
    if boxes.max() <= 1 and (extent > 0).all() and (sizes > 2).all():
        note(split, findings, "boxes-are-relative", np.ones(len(boxes), bool))
        return
    over = (end > sizes + SLACK).any(1)
    if over.mean() > 0.2 and ((extent > start) & (extent <= sizes + SLACK)).all():
        note(split, findings, "boxes-are-corners", np.ones(len(boxes), bool))
        return
    negative = (extent < 0).any(1)
    hollow = ~negative & ((extent == 0).any(1) | (areas <= 0))
    outside = ~negative & ~hollow & ((start >= sizes) | (end <= 0)).any(1)
    edge = ~negative & ~hollow & ~outside & (over | (start < -SLACK).any(1))
    for code, found in (("box-negative", negative), ("box-without-area", hollow), ("box-outside", outside), ("box-over-edge", edge)):
        note(split, findings, code, np.asarray(found))


def note(split: Split, findings: Findings, code: str, found: np.ndarray) -> None:
    """Note the objects for which `found` (N,) is true."""
    places = np.flatnonzero(found)
    for place in places[:10]:
        thing = split.things[place]
        findings.add(code, f"{split.pictures[thing.picture].file}: {[round(side, 3) for side in thing.box]}", split.name)
    if len(places) > 10:
        findings.add(code, "", split.name, len(places) - 10)


def check_annotations(split: Split, findings: Findings) -> None:
    """Images without annotations, annotations that repeat others, and masks that only some objects have."""
    seen = Counter((thing.picture, thing.category, thing.box) for thing in split.things)
    for (owner, _, box), count in seen.items():
        if count > 1:
            findings.add("annotation-twice", f"{split.pictures[owner].file}: {list(box)}", split.name, count - 1)
    masked = sum(thing.segmentation is not None for thing in split.things)
    if 0 < masked < len(split.things):
        findings.add("mask-partial", "", split.name, len(split.things) - masked)
    owners = {thing.picture for thing in split.things}
    bare = [picture for place, picture in enumerate(split.pictures) if place not in owners and picture.label is None]
    if split.things:
        for picture in bare:
            findings.add("image-without-annotations", picture.file, split.name)
    elif bare and len(bare) == len(split.pictures) and split.name != UNLABELLED:
        findings.add("split-without-annotations", split.source, split.name)


def check_names(split: Split, findings: Findings) -> None:
    """The names of a split's classes."""
    names = [category.name for category in split.categories]
    for name in names:
        if not name or name != name.strip():
            findings.add("class-name-odd", repr(name), split.name)
    for name, count in Counter(names).items():
        if count > 1:
            findings.add("class-names-equal", name, split.name)
    for one, other in combinations(sorted(set(names)), 2):
        if plain(one) == plain(other):
            findings.add("class-names-alike", f"{one} and {other}", split.name)
    counts = Counter(thing.category for thing in split.things)
    for place, name in enumerate(names):
        if is_background(name):
            code = "class-background" if counts[place] else "class-background-listed"
            findings.add(code, name, split.name, counts[place] or 1)


def check_classes(dataset: Dataset, findings: Findings) -> None:
    """The classes of the splits against each other, and against what is annotated."""
    listing = [split for split in dataset.splits.values() if split.categories]
    for split in dataset.splits.values():
        labelled = any(picture.label for picture in split.pictures)
        if not split.categories and not labelled and split.name != UNLABELLED:
            findings.add("no-classes", split.source, split.name)
    for split in listing:
        check_names(split, findings)
    if not listing:
        return
    first = listing[0]
    numbers = [category.id for category in first.categories]
    if dataset.form == "coco" and sorted(map(str, numbers)) != sorted(str(number + 1) for number in range(len(numbers))):
        findings.add(
            "class-ids-gaps", f"{len(numbers)} classes, ids {', '.join(map(str, numbers[:12]))}{', ..' if len(numbers) > 12 else ''}"
        )
    for other in listing[1:]:
        compare(first, other, findings)
    counts = {split.name: Counter(split.categories[thing.category].name for thing in split.things) for split in listing}
    common = [name for name in dataset.classes if all(any(name == each.name for each in split.categories) for split in listing)]
    check_use(counts, common, findings)


def compare(first: Split, other: Split, findings: Findings) -> None:
    """The lists of classes of two splits."""
    ones, others = ({category.name: category for category in split.categories} for split in (first, other))
    for name in ones.keys() ^ others.keys():
        missing_in, rest = (other, others) if name in ones else (first, ones)
        alike = next((each for each in rest if plain(each) == plain(name)), None)
        hint = f", which lists {alike!r}" if alike else ""
        findings.add("class-lists-differ", f"{name!r} is not in {missing_in.name}{hint}")
    for name in ones.keys() & others.keys():
        if ones[name].id != others[name].id:
            findings.add("class-ids-differ", f"{name!r}: {ones[name].id} in {first.name}, {others[name].id} in {other.name}")
    if ones.keys() == others.keys() and not findings.has("class-ids-differ") and list(ones) != list(others):
        place = next(place for place, names in enumerate(zip(ones, others, strict=True)) if len(set(names)) > 1)
        told = f"place {place + 1} is {list(ones)[place]!r} in {first.name}, {list(others)[place]!r} in {other.name}"
        findings.add("class-order-differs", told)


def check_use(counts: Mapping[str, Mapping[Any, int]], names: Iterable[str], findings: Findings) -> None:
    """Which classes occur in which splits, given how often each does."""
    used = {name: [split for split, count in counts.items() if count.get(name)] for name in names}
    full = [split for split, count in counts.items() if count]
    for name, splits in used.items():
        if is_background(name):
            continue
        if not splits:
            findings.add("class-unseen", name)
        elif len(splits) < len(full):
            findings.add("class-in-one-split", f"{name}: {', '.join(splits)} only")


def check_count(dataset: Dataset, classes: int | None, findings: Findings) -> None:
    """The number of classes that a run was given."""
    lists = [names for names in (dataset.classes, dataset.values) if names] or [[]]
    if classes is not None and classes not in map(len, lists):
        has = " or ".join(f"{len(names)} ({', '.join(names[:5])}{', ..' if len(names) > 5 else ''})" for names in lists)
        findings.add("class-count", f"{classes} stated, the data has {has}")


def check_leaks(dataset: Dataset, findings: Findings) -> None:
    """Images that two splits share, by their place or their contents."""
    for one, other in combinations(dataset.splits.values(), 2):
        ones = {picture.path: picture.file for picture in one.pictures}
        others = {picture.path: picture.file for picture in other.pictures}
        for here, there in images.twins(ones, others):
            findings.add("image-in-two-splits", f"{ones[here]} of {one.name} is {others[there]} of {other.name}")
