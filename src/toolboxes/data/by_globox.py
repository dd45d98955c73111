"""Boxes in the forms of annotation tools, read by the library globox.

It reads the boxes of YOLO, LabelMe, CVAT and OpenImages, and needs nothing that is not here anyway. It stops at a file's first fault, so
it is given one object at a time, and what it says becomes a finding. Polygons, which it reduces to boxes, are taken beside it.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any

from harness.errors import DataError

from .drafts import Draft, Named
from .findings import Findings


def globox() -> Any:
    """The library.

    Raises:
        DataError: this environment lacks it.
    """
    try:
        return importlib.import_module("globox")
    except ImportError as fault:
        raise DataError("this form of data set is read by the library globox, which this environment lacks: pip install globox") from fault


def take(draft: Draft, picture: int, make: Callable[[Any], Any], where: str, findings: Findings, **more: Any) -> None:
    """Take the object that globox makes into a split, or note why there is none.

    Args:
        draft: the split.
        picture: the place of its image.
        make: given globox's class BoundingBox, returns one.
        where: names the object, for people.
        more: its polygon, and whether it is a crowd.
    """
    library = globox()
    try:
        found = make(library.BoundingBox)
        left, top, width, height = map(float, found.ltwh)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, AssertionError, library.errors.ParsingError) as fault:
        findings.add("annotation-odd", f"{where}: {fault or type(fault).__name__}", draft.split.name)
        return
    if not all(map(math.isfinite, (left, top, width, height))):
        findings.add("annotation-odd", f"{where}: not finite", draft.split.name)
        return
    draft.objects.append(Named(picture, str(found.label), (left, top, width, height), **more))
