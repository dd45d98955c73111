"""LabelMe's form, https://github.com/wkentaro/labelme: a JSON file per image with `shapes`, `imagePath`, `imageWidth` and `imageHeight`.

Rectangles and polygons are objects; points, lines and circles are none. Folders named so are splits; labels.txt lists the classes.
"""

from __future__ import annotations

import json
import re
from operator import methodcaller
from pathlib import Path
from typing import Any

from .by_globox import take as take_box
from .coco import whole
from .dataset import Dataset, Picture, Split
from .drafts import Draft, finish, in_order, used
from .findings import Findings
from .places import beginning, class_list, files, folders, is_background, portable, split_of

NAME = "labelme"
LAYOUT = "JSON files with shapes and imagePath, one per image"
SHAPES = ("rectangle", "polygon")
KEY = re.compile(rb'"shapes"\s*:\s*\[\s*[{\]]')
UNNAMED = frozenset({"__ignore__"})
"""What LabelMe's converters list before the classes, beside _background_."""


def homes(folder: Path) -> list[Path]:
    return [place for place in folders(folder) if any(map(is_labelme, files(place, ".json")[:3]))]


def is_labelme(path: Path) -> bool:
    return bool(KEY.search(beginning(path)))


def recognised(folder: Path) -> bool:
    return bool(homes(folder))


def read(folder: Path, findings: Findings) -> Dataset:
    drafts: dict[str, Draft] = {}
    for home in homes(folder):
        inner = home.relative_to(folder).parts
        name = next((told for part in reversed(inner) if (told := split_of(part))), "all")
        draft = drafts.setdefault(name, Draft(Split(name, "/".join(inner) or ".")))
        for path in files(home, ".json"):
            take(draft, path, findings)
    stated = class_list(folder)
    names = [each for each in stated if each not in UNNAMED and not is_background(each)] if stated else None
    return finish(Dataset(folder, NAME), drafts.values(), names or in_order(used(drafts.values()), findings), findings)


def take(draft: Draft, path: Path, findings: Findings) -> None:
    """Take the image and the objects of a file."""
    split = draft.split.name
    try:
        stated: Any = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as fault:
        findings.add("file-unreadable", f"{path.name}: {fault}", split)
        return
    if not isinstance(stated, dict) or not isinstance(stated.get("shapes"), list) or not isinstance(stated.get("imagePath"), str):
        findings.add("file-odd", f"{path.name}: must have shapes and imagePath", split)
        return
    file = portable(stated["imagePath"])
    image = path.parent / file
    if not image.is_file() and (path.parent / file.rpartition("/")[2]).is_file():
        image = path.parent / file.rpartition("/")[2]
    place = len(draft.split.pictures)
    width, height = (whole(stated.get(side)) for side in ("imageWidth", "imageHeight"))
    draft.split.pictures.append(Picture(file, image, width, height, path.stem))
    for number, shape in enumerate(stated["shapes"], 1):
        if not isinstance(shape, dict):
            findings.add("annotation-odd", f"{path.name}, shape {number}: {shape!r}", split)
        elif shape.get("shape_type", "polygon") in SHAPES:
            polygon = flat(shape.get("points")) if shape.get("shape_type") != "rectangle" else None
            take_box(draft, place, methodcaller("from_labelme", shape), f"{path.name}, shape {number}", findings, polygon=polygon)


def flat(points: Any) -> list[float] | None:
    """[[x, y], ..] as [x, y, ..]; None if it is something else, or has fewer than three points."""
    try:
        numbers = [float(side) for x, y in points for side in (x, y)]
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) >= 6 else None
