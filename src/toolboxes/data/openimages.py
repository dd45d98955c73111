"""Open Images' boxes, https://storage.googleapis.com/openimages/web/download_v7.html: a CSV file per split, in parts of the image.

train-annotations-bbox.csv with ImageID, LabelName, XMin, XMax, YMin, YMax, IsGroupOf; class-descriptions-boxable.csv names the labels;
images are train/<ImageID>.jpg, validation/, test/.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from .by_globox import globox
from .by_globox import take as take_box
from .dataset import Dataset, Header, Picture, Split
from .drafts import Draft, finish, in_order, used
from .findings import Findings
from .images import header
from .places import beginning, files, folders, nearest_home, split_of

NAME = "openimages"
LAYOUT = "train-annotations-bbox.csv with ImageID, LabelName, XMin, .., beside train/"
COLUMNS = ("ImageID", "LabelName", "XMin", "XMax", "YMin", "YMax")


def annotation_files(folder: Path) -> list[Path]:
    return [path for place in folders(folder, 1) for path in files(place, ".csv") if set(COLUMNS) <= set(heading(path))]


def heading(path: Path) -> list[str]:
    line = beginning(path, 10_000).decode("utf-8-sig", errors="replace").partition("\n")[0]
    return next(csv.reader([line.strip()]), [])


def recognised(folder: Path) -> bool:
    return bool(annotation_files(folder))


def read(folder: Path, findings: Findings) -> Dataset:
    labels = descriptions(folder)
    drafts = []
    for path in annotation_files(folder):
        draft = Draft(Split(split_of(path.stem) or split_of(path.parent.name) or "all", str(path.relative_to(folder))))
        take(draft, path, folder, labels, findings)
        drafts.append(draft)
    return finish(Dataset(folder, NAME), drafts, list(labels.values()) or in_order(used(drafts), findings), findings)


def descriptions(folder: Path) -> dict[str, str]:
    """The name of each label: /m/01g317 is Person."""
    for place in folders(folder, 1):
        for path in files(place, ".csv"):
            if path.name.startswith("class-descriptions"):
                with path.open(encoding="utf-8-sig", newline="") as stream:
                    rows = [row for row in csv.reader(stream) if len(row) >= 2]
                return {row[0]: row[1] for row in rows if row[0] != "LabelName"}
    return {}


def take(draft: Draft, path: Path, folder: Path, labels: dict[str, str], findings: Findings) -> None:
    """Take the images and objects of a file."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        rows = list(csv.DictReader(stream))
    files_of = [f"{row.get('ImageID')}.jpg" for row in rows]
    home = nearest_home([folder / path.stem.partition("-")[0], *folders(folder)], files_of)
    places: dict[str, int] = {}
    for number, (row, file) in enumerate(zip(rows, files_of, strict=True), 2):
        if file not in places:
            places[file] = len(draft.split.pictures)
            draft.split.pictures.append(Picture(file, home / file, id=row.get("ImageID")))
            seen = header(home / file)
            draft.split.pictures[-1].header = seen if isinstance(seen, Header) else None
        picture = draft.split.pictures[places[file]]
        if picture.size is None:
            continue
        label = labels.get(row["LabelName"] or "", row["LabelName"])

        def make(box: Any, row: dict[str, str] = row, label: Any = label, size: Any = picture.size) -> Any:
            ends = tuple(float(row[side]) for side in ("XMin", "YMin", "XMax", "YMax"))
            return box.create(label=label, coords=ends, box_format=globox().BoxFormat.LTRB, relative=True, image_size=size)

        take_box(draft, places[file], make, f"{path.name}, line {number}", findings, crowd=row.get("IsGroupOf") == "1")
