"""Where things lie in a data set's folder: names of splits, images by extension, lists of classes."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from .dataset import Category
from .findings import Findings

IMAGES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".jp2"})
SPLITS = {"train": "train", "training": "train", "trainval": "trainval", "val": "val", "valid": "val", "validation": "val", "dev": "val"}
SPLITS |= {"eval": "val", "test": "test", "testing": "test", "minival": "val"}
WORD = re.compile(rf"(?<![a-z])({'|'.join(sorted(SPLITS, key=len, reverse=True))})(?![a-z])")
CLASS_LISTS = ("classes.txt", "labels.txt", "label_list.txt", "class_names.txt", "label.txt", "obj.names", "_classes.txt")
BACKGROUNDS = frozenset({"background", "__background__", "_background_", "bg", "back ground"})
PEEK = 65536
DEEPEST = 2
"""How many folders below a data set's folder its parts are looked for."""


def split_of(text: str) -> str | None:
    """The split that a file's or folder's name tells: `instances_train2017` is of train, `valid` of val."""
    found = WORD.search(text.lower())
    return SPLITS[found[1]] if found else None


def is_background(name: str) -> bool:
    return name.strip().lower() in BACKGROUNDS


def folders(root: Path, depth: int = DEEPEST) -> list[Path]:
    """A folder and those below it, nearest first; hidden ones are left out."""
    level, found = [root], [root]
    for _ in range(depth):
        level = [Path(entry.path) for folder in level for entry in entries(folder) if entry.is_dir()]
        found += level
    return found


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder, sorted, without what is hidden; nothing if it is no folder that can be read."""
    try:
        return sorted((entry for entry in os.scandir(folder) if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except OSError:
        return []


def beginning(path: Path, count: int = PEEK) -> bytes:
    """The first bytes of a file; none if it cannot be read."""
    try:
        with path.open("rb") as stream:
            return stream.read(count)
    except OSError:
        return b""


def ending(path: Path) -> bytes:
    """The last bytes of a file; none if it cannot be read."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - PEEK))
            return stream.read()
    except OSError:
        return b""


def files(folder: Path, *ends: str) -> list[Path]:
    """The files of a folder whose name ends so, whatever its case."""
    return [Path(entry.path) for entry in entries(folder) if entry.name.lower().endswith(ends) and entry.is_file()]


def images(folder: Path) -> Iterator[Path]:
    """The images in a folder and below it."""
    for place, below, names in os.walk(folder):
        below.sort()
        yield from (Path(place, name) for name in sorted(names) if os.path.splitext(name)[1].lower() in IMAGES)


def portable(name: str) -> str:
    """A stated path with / between its parts, whatever system wrote it."""
    return name.replace("\\", "/")


def nearest_home(candidates: Iterable[Path], names: Sequence[str], sample: int = 20) -> Path:
    """The folder that has most of the stated files, judged by a few of them; the first one if all have as many."""
    step = max(1, len(names) // sample)
    probes = [portable(name) for name in names[::step][:sample]]
    places = list(dict.fromkeys(candidates))
    return max(places, key=lambda place: sum((place / probe).is_file() for probe in probes))


def located(home: Path, stated: str, split: str, findings: Findings) -> Path:
    """Where a stated image is: at its path below `home`, or else there by its last part, which is noted."""
    name = portable(stated)
    path = home / name
    foreign = name.startswith("/") or re.match(r"[A-Za-z]:", name) or name != stated
    if not foreign:
        return path
    last = home / name.rpartition("/")[2]
    right = next((place for place in (path, last) if place.is_file()), last)  # `home / name` is `name` itself where that is absolute
    if right.is_file():
        findings.add("image-path", stated, split)
    return right


def class_list(*places: Path) -> list[str] | None:
    """The names in the first list of classes that is found: a text file with one name per line, or manifest.json's `classes`."""
    for place in places:
        for name in CLASS_LISTS:
            if (place / name).is_file():
                lines = (place / name).read_text("utf-8-sig", errors="replace").splitlines()
                return [line.strip() for line in lines if line.strip()]
        if (place / "manifest.json").is_file():
            try:
                stated = json.loads((place / "manifest.json").read_text())
            except (ValueError, OSError):
                continue
            names = stated.get("classes") if isinstance(stated, dict) else None
            if isinstance(names, list) and all(isinstance(name, str) for name in names):
                return names
    return None


def numbered(names: Iterable[str]) -> list[Category]:
    """Classes whose ids are their places."""
    return [Category(number, name) for number, name in enumerate(names)]


def pairs(folder: Path, *ends: str) -> Iterator[tuple[Path, list[tuple[str, str]]]]:
    """Lists such as train.txt, with their lines of two paths: an image, and a file whose name ends so. Other lists are left out."""
    for path in files(folder, ".txt"):
        if path.stem.lower() not in SPLITS:
            continue
        lines = [line.strip() for line in path.read_text("utf-8-sig", errors="replace").splitlines() if line.strip()]
        rows = [row for line in lines if (row := pair(line))]
        if rows and len(rows) == len(lines) and all(second.lower().endswith(tuple(ends)) for _, second in rows):
            yield path, rows


def pair(line: str) -> tuple[str, str] | None:
    """The two paths in a line, which blanks, a tab, a comma or a bar part; None if there are not two."""
    for sign in ("\t", " ", ",", "|"):
        parts = [part.strip() for part in line.split(sign) if part.strip()]
        if len(parts) == 2:
            return portable(parts[0]), portable(parts[1])
    return None


def plain(name: str) -> str:
    """A name of a class without case, and without the signs that stand for blanks."""
    return " ".join(name.replace("_", " ").replace("-", " ").lower().split())


def several(text: str) -> list[str]:
    """The names in a text, which commas part."""
    return [name.strip() for name in text.split(",")]
