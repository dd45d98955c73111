"""CVAT's form "for images 1.1", https://docs.cvat.ai/docs/dataset_management/formats/format-cvat: one annotations.xml beside images/.

<image id name width height subset?> with <box label xtl ytl xbr ybr> and <polygon label points="x,y;..">; <meta> lists the labels in order.
"""

from __future__ import annotations

from operator import methodcaller
from pathlib import Path
from xml.etree import ElementTree

from .by_globox import take as take_box
from .coco import whole
from .dataset import Dataset, Picture, Split
from .drafts import Draft, finish, in_order, used
from .findings import Findings
from .places import beginning, files, folders, located, nearest_home, split_of

NAME = "cvat"
LAYOUT = "annotations.xml of CVAT for images 1.1, beside images/"


def annotation_files(folder: Path) -> list[Path]:
    return [path for place in folders(folder, 1) for path in files(place, ".xml")[:20] if is_cvat(path)]


def is_cvat(path: Path) -> bool:
    return b"<annotations>" in beginning(path, 2048)


def recognised(folder: Path) -> bool:
    return bool(annotation_files(folder))


def read(folder: Path, findings: Findings) -> Dataset:
    drafts: dict[str, Draft] = {}
    names: list[str] = []
    for path in annotation_files(folder):
        source = str(path.relative_to(folder))
        try:
            root = ElementTree.parse(path).getroot()
        except (ElementTree.ParseError, OSError, ValueError) as fault:
            findings.add("file-unreadable", f"{source}: {fault}")
            continue
        if root.find("track") is not None:
            findings.add("file-odd", f"{source}: it is CVAT for video; export it as CVAT for images 1.1")
        names += [name.text for name in root.findall("./meta//labels/label/name") if name.text and name.text not in names]
        items = root.findall("image")
        homes = [path.parent / "images", path.parent, *folders(folder)]
        home = nearest_home(homes, [name for item in items if (name := item.get("name"))])
        default = split_of(path.stem) or (split_of(path.parent.name) if path.parent != folder else None) or "all"
        for item in items:
            stated = item.get("subset") or default
            name = split_of(stated) or stated
            take(drafts.setdefault(name, Draft(Split(name, source))), item, home, findings)
    return finish(Dataset(folder, NAME), drafts.values(), names or in_order(used(drafts.values()), findings), findings)


def take(draft: Draft, item: ElementTree.Element, home: Path, findings: Findings) -> None:
    """Take an image and its objects."""
    file, split = item.get("name"), draft.split.name
    width, height = (whole(number(item.get(side))) for side in ("width", "height"))
    if not file or width is None or height is None:
        findings.add("annotation-odd", f"image {item.get('id')}: must have name, width and height", split)
        return
    place = len(draft.split.pictures)
    draft.split.pictures.append(Picture(file, located(home, file, split, findings), width, height, item.get("id")))
    for count, shape in enumerate(item, 1):
        where = f"{file}, shape {count}"
        if shape.tag == "box":
            take_box(draft, place, methodcaller("from_cvat", shape), where, findings)
        elif shape.tag == "polygon":
            points = points_of(shape.get("points", ""))
            node = {"label": shape.get("label", ""), "points": list(zip(points[::2], points[1::2], strict=False))}
            take_box(draft, place, methodcaller("from_labelme", node), where, findings, polygon=points if len(points) >= 6 else None)


def points_of(text: str) -> list[float]:
    """`x,y;x,y;..` as [x, y, ..]; none if it is something else."""
    try:
        return [float(side) for point in text.split(";") for side in point.split(",")]
    except ValueError:
        return []


def number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None
