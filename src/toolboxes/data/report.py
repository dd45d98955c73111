"""The report about a data set: its facts, and what is wrong with it."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import harness.report
from harness.errors import DataError

from . import forms
from .checks import check_annotations, check_boxes, check_classes, check_count, check_images, check_leaks
from .dataset import Dataset, Split
from .findings import KINDS, Finding, Findings
from .labels import check_labels

SMALL, LARGE = 32**2, 96**2
"""COCO's limits of an object's area, in pixels."""


@dataclass
class Report:
    """What a check found."""

    dataset: Dataset
    findings: list[Finding]
    masks_read: dict[str, int] = field(default_factory=dict)
    """How many masks of classes were read, by split."""
    seconds: float = 0.0

    @property
    def errors(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity == "error"]

    @property
    def warnings(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity == "warning"]

    def lines(self) -> Iterator[str]:
        """The report, for people."""
        dataset = self.dataset
        yield f"{dataset.folder}: {dataset.form}, for {', '.join(dataset.tasks) or 'no task: nothing is annotated'}"
        if dataset.classes:
            yield f"{len(dataset.classes)} classes: {', '.join(dataset.classes)}"
        if dataset.values:
            void = "" if dataset.void is None else f"; void: {dataset.void}"
            yield f"{len(dataset.values)} values of masks: {', '.join(dataset.values)}{void}"
        for split in dataset.splits.values():
            numbers = (f"{key.replace('_', ' ')} {value}" for key, value in told(facts(split)).items())
            yield f"{split.name}: {', '.join(numbers)} ({split.source})"
        for name, count in self.masks_read.items():
            whole = sum(picture.label is not None for picture in dataset.splits[name].pictures)
            if count < whole:
                yield f"{name}: {count:,} of {whole:,} masks were read; a deep check reads all"
        for finding in self.findings:
            yield f"{finding.severity}: {finding.sentence} [{finding.code}]"
        yield f"{count_of(self.errors, 'error')}, {count_of(self.warnings, 'warning')}; checked in {self.seconds:.1f} s"

    def stated(self) -> dict[str, Any]:
        """The report, for programs."""
        dataset = self.dataset
        return {
            "folder": str(dataset.folder),
            "form": dataset.form,
            "tasks": dataset.tasks,
            "classes": dataset.classes,
            "values": dataset.values,
            "void": dataset.void,
            "splits": {split.name: facts(split) | {"source": split.source} for split in dataset.splits.values()},
            "masks_read": self.masks_read,
            "findings": [asdict(finding) | {"sentence": finding.sentence} for finding in self.findings],
            "seconds": round(self.seconds, 2),
        }


def count_of(findings: Collection[Finding], what: str) -> str:
    return f"{len(findings) or 'no'} {what}{'' if len(findings) == 1 else 's'}"


def facts(split: Split) -> dict[str, Any]:
    """A split in numbers: images and their sizes, objects, their areas by COCO's limits, and how many of each class."""
    found: dict[str, Any] = {"images": len(split.pictures)}
    sizes = np.array([picture.size for picture in split.pictures if picture.size], int).reshape(-1, 2)
    if len(sizes):
        found["sizes"] = {"smallest": sizes[sizes.prod(1).argmin()].tolist(), "largest": sizes[sizes.prod(1).argmax()].tolist()}
    if labels := sum(picture.label is not None for picture in split.pictures):
        found["masks"] = labels
    if split.things:
        areas = np.array([thing.box[2] * thing.box[3] if thing.area is None else thing.area for thing in split.things])
        counts = Counter(split.categories[thing.category].name for thing in split.things)
        found |= {
            "annotated_images": len({thing.picture for thing in split.things}),
            "objects": len(split.things),
            "crowds": sum(thing.crowd for thing in split.things),
            "with_mask": sum(thing.segmentation is not None for thing in split.things),
            "areas": {"small": int((areas < SMALL).sum()), "medium": int(((areas >= SMALL) & (areas <= LARGE)).sum())},
            "of_class": {category.name: counts[category.name] for category in split.categories},
        }
        found["areas"]["large"] = len(areas) - sum(found["areas"].values())
    return found


def told(found: dict[str, Any]) -> dict[str, str]:
    """A split's numbers on one line."""
    line = {key: f"{value:,}" for key, value in found.items() if isinstance(value, int)}
    if "sizes" in found:
        least, most = (" x ".join(map(str, found["sizes"][key])) for key in ("smallest", "largest"))
        line["sizes"] = least if least == most else f"{least} to {most}"
    if "areas" in found:
        line["areas"] = "small {small:,} medium {medium:,} large {large:,}".format(**found["areas"])
    return line


def check(folder: Path, form: str | None = None, *, deep: bool = False, allow: Collection[str] = (), classes: int | None = None) -> Report:
    """Read a data set once and tell everything about it.

    Args:
        folder: where it is.
        form: one of `FORMS`; by default, the folder's contents decide.
        deep: decode every image and read every mask, instead of headers and a sample.
        allow: codes of errors that shall only be warnings.
        classes: the number of classes that a run was given.

    Raises:
        DataError: it is of no form, or of several; or `allow` names a code that does not exist.
    """
    started = time.monotonic()
    if unknown := sorted(set(allow) - set(KINDS)):
        raise DataError(f"there is no finding {', '.join(map(repr, unknown))}; available: {', '.join(KINDS)}")
    findings = Findings(allow)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's about large images and damaged EXIF data: what matters of it becomes a finding
        dataset = forms.read(folder, findings, form)
        check_images(dataset, findings, deep=deep)
        for split in dataset.splits.values():
            check_boxes(split, findings)
            check_annotations(split, findings)
        check_classes(dataset, findings)
        read = check_labels(dataset, findings, deep=deep)
        check_count(dataset, classes, findings)
        check_leaks(dataset, findings)
    return Report(dataset, findings.listed(), read, time.monotonic() - started)


def admit(folder: Path, report: harness.report.Report, **options: Any) -> Dataset:
    """The data set that a run is about to use: what a check finds is printed.

    Args:
        folder: where it is.
        report: the run's.
        options: those of `check`.

    Raises:
        DataError: the check found an error.
    """
    found = check(folder, **options)
    for line in found.lines():
        report.text(line)
    if found.errors:
        told = "".join(f"\n    {finding.sentence} [{finding.code}]" for finding in found.errors)
        raise DataError(f"{folder}: nothing was started, because its data has {count_of(found.errors, 'error')}:{told}")
    return found.dataset
