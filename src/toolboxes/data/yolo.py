"""YOLO's form, https://docs.ultralytics.com/datasets/detect: a text file per image, its lines
`class x y width height` in parts of the image.

data.yaml (path, train, val, test, names) with images/train beside labels/train, or train/images beside train/labels as Roboflow writes it.
A line of seven or more numbers is a class with a polygon. Without data.yaml, classes.txt or obj.names lists the classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from harness.yaml_file import read_yaml

from .by_globox import take as take_box
from .dataset import Dataset, Header, Picture, Split
from .drafts import Draft, finish, in_order, used
from .findings import Findings
from .images import header
from .places import IMAGES, beginning, class_list, entries, files, folders, images, portable, split_of

NAME = "yolo"
LAYOUT = "data.yaml with images/ and labels/ of text files; or classes.txt with text files of numbers beside the images"
PARTS = ("train", "val", "test")


def description(folder: Path) -> Path | None:
    """The data.yaml of a folder: the first YAML file that names classes and parts."""
    for path in files(folder, ".yaml", ".yml"):
        try:
            stated = read_yaml(path)
        except ValueError:
            continue
        if isinstance(stated, dict) and "names" in stated and set(PARTS) & stated.keys():
            return path
    return None


def recognised(folder: Path) -> bool:
    return description(folder) is not None or any(any(map(is_label, files(place, ".txt")[:3])) for place in folders(folder))


def is_label(path: Path) -> bool:
    """Whether a text file has lines of a class's number and four or more others."""
    words = beginning(path, 2000).decode(errors="replace").partition("\n")[0].split()
    try:
        return len(words) >= 5 and words[0].isdigit() and all(0 <= float(word) <= 1 for word in words[1:5])
    except ValueError:
        return False


def read(folder: Path, findings: Findings) -> Dataset:
    dataset = Dataset(folder, NAME)
    path = description(folder)
    stated: dict[str, Any] = read_yaml(path) if path else {}
    names = named(stated.get("names")) or class_list(folder)
    if path and isinstance(stated.get("nc"), int) and names is not None and stated["nc"] != len(names):
        findings.add("class-count", f"{path.name}: nc is {stated['nc']}, names has {len(names)}")
    drafts = [draft_of(name, found, folder, names, findings) for name, found in parts(folder, stated, findings)]
    return finish(dataset, drafts, names or in_order(used(drafts), findings), findings)


def named(stated: Any) -> list[str] | None:
    """The classes of data.yaml: a list, or a mapping from numbers."""
    if isinstance(stated, dict) and all(isinstance(key, int) for key in stated):
        return [str(stated.get(number, number)) for number in range(max(stated, default=-1) + 1)]
    return [str(name) for name in stated] if isinstance(stated, list) else None


def parts(folder: Path, stated: dict[str, Any], findings: Findings) -> Iterator[tuple[str, list[Path]]]:
    """Each split with its images."""
    if stated:
        for name in PARTS:
            if stated.get(name):
                each = stated[name] if isinstance(stated[name], list) else [stated[name]]
                yield name, [path for text in each for path in listed(folder, str(stated.get("path") or ""), str(text), name, findings)]
        return
    homes = [place for place in folders(folder) if any(map(is_label, files(place, ".txt")[:3]))]
    found: dict[str, list[Path]] = {}
    for home in homes:
        beside = Path(*("images" if part == "labels" else part for part in home.parts))
        inner = home.relative_to(folder).parts
        name = next((told for part in reversed(inner) if (told := split_of(part))), "all")
        found.setdefault(name, []).extend(Path(entry.path) for entry in entries(beside) if Path(entry.name).suffix.lower() in IMAGES)
    yield from found.items()


def listed(folder: Path, base: str, text: str, split: str, findings: Findings) -> list[Path]:
    """The images of a folder, or of a list, that data.yaml states; its path may be of the machine where it was written."""
    stated = PurePosixPath(portable(text))
    inner = [part for part in stated.parts if part not in ("..", ".", "/")]
    tries = [folder / base / stated, folder / stated, folder.joinpath(*inner)] + [folder.joinpath(*inner[-last:]) for last in (2, 1)]
    place = next((each for each in tries if each.exists()), None)
    if place is None:
        findings.add("file-odd", f"data.yaml: {split} is {text}, which is not in the folder", split)
        return []
    if place.is_dir():
        return list(images(place))
    lines = (line.strip() for line in place.read_text("utf-8-sig", errors="replace").splitlines())
    found = [folder / portable(line).removeprefix("./") for line in lines if line]
    return [path if path.is_file() else folder / base / path.relative_to(folder) if path.is_relative_to(folder) else path for path in found]


def label_of(image: Path) -> Path:
    """An image's text file: in labels/ where the image is in images/, or else beside it."""
    parts = list(image.parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == "images":
            parts[place] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def draft_of(name: str, found: list[Path], folder: Path, names: list[str] | None, findings: Findings) -> Draft:
    draft = Draft(Split(name, "labels"))
    for place, path in enumerate(found):
        file = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
        picture = Picture(file, path, id=path.stem)
        draft.split.pictures.append(picture)
        seen = header(path)
        picture.header = seen if isinstance(seen, Header) else None
        if picture.header is None or not label_of(path).is_file():
            continue
        lines = label_of(path).read_text("utf-8-sig", errors="replace").splitlines()
        for number, line in enumerate(lines, 1):
            if line.strip():
                take(draft, place, line, f"{label_of(path).name}, line {number}", names, findings)
    return draft


def take(draft: Draft, place: int, line: str, where: str, names: list[str] | None, findings: Findings) -> None:
    """Take the object of a line."""
    words = line.split()
    seen = draft.split.pictures[place].header
    assert seen is not None
    size = (seen.width, seen.height)
    number = int(words[0]) if words[0].isdigit() else None
    label = words[0] if names is None or number is None or number >= len(names) else names[number]
    outline = len(words) >= 7 and len(words) % 2 == 1

    def make(box: Any) -> Any:
        found = (box.from_yolo_seg if outline else box.from_yolo_darknet)(line, image_size=size)
        found.label = label
        return found

    take_box(draft, place, make, where, findings, polygon=points_of(words[1:], size) if outline else None)


def points_of(words: list[str], size: tuple[int, int]) -> list[float] | None:
    """A polygon in pixels."""
    try:
        return [float(word) * size[place % 2] for place, word in enumerate(words)]
    except ValueError:
        return None
