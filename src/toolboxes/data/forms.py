"""The forms that data sets come in, and which one a folder is of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import DataError

from . import coco, cvat, index_masks, labelme, openimages, voc, yolo
from .dataset import Dataset
from .findings import Findings
from .places import entries

NESTED = 3
"""How many folders that contain nothing but one other folder are entered."""


@dataclass(frozen=True)
class Form:
    """A form: how it is told, and read."""

    name: str
    layout: str
    """What a folder of this form has, for people."""
    recognised: Callable[[Path], bool]
    read: Callable[[Path, Findings], Dataset]


MODULES = (coco, voc, index_masks, yolo, labelme, cvat, openimages)
FORMS: Mapping[str, Form] = {each.NAME: Form(each.NAME, each.LAYOUT, each.recognised, each.read) for each in MODULES}


def read(folder: Path, findings: Findings, form: str | None = None) -> Dataset:
    """Read a data set; without `form`, the folder's contents decide which form it is.

    Raises:
        DataError: there is no such folder or form, or the folder is of none of the forms, or of several.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder")
    if form is not None and form not in FORMS:
        raise DataError(f"there is no form {form!r} of data sets; available: {', '.join(FORMS)}")
    looked = [folder]
    for _ in range(NESTED):
        inside = entries(looked[-1])
        if len(inside) != 1 or not inside[0].is_dir():
            break
        looked.append(Path(inside[0].path))
    for place in looked:
        found = [each for each in FORMS.values() if form in (None, each.name) and each.recognised(place)]
        if len(found) == 1:
            return found[0].read(place, findings)
        if found:
            layouts = "".join(f"\n    {each.name}: {each.layout}" for each in found)
            raise DataError(f"{place}: it could be of {len(found)} forms; state which one, with form or --form:{layouts}")
    wanted = [FORMS[form]] if form else list(FORMS.values())
    layouts = "".join(f"\n    {each.name}: {each.layout}" for each in wanted)
    raise DataError(f"{folder}: there is no data set for detection or segmentation in it. What was looked for:{layouts}")
