"""PASCAL VOC's form, as its development kit describes it: an XML file per image, its boxes counted from 1 with both ends included.

VOCdevkit/VOC2012/JPEGImages, Annotations, SegmentationClass, ImageSets/{Main,Segmentation}/{train,val,trainval,test}.txt
train.txt, val.txt of lines `images/a.jpg annotations/a.xml`, with label_list.txt: as PaddleDetection has it
any folder of such XML files, beside their images or beside images/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from .coco import whole
from .dataset import Dataset, Picture, Split
from .drafts import Draft, Named, finish, in_order, used
from .findings import Findings
from .labels import VOID
from .places import IMAGES, SPLITS, beginning, class_list, files, folders, images, is_background, nearest_home, pairs, several, split_of

NAME = "voc"
LAYOUT = "JPEGImages/ with Annotations/*.xml or SegmentationClass/*.png and ImageSets/; or folders of XML files, one per image"
BACKGROUND = "background"
OWN = several(
    "aeroplane, bicycle, bird, boat, bottle, bus, car, cat, chair, cow, diningtable, dog, horse, motorbike, person, pottedplant, sheep, "
    "sofa, train, tvmonitor"
)
"""VOC's own classes, in the order of the values in its masks, from 1."""


@dataclass
class Entry:
    """An image with its files."""

    file: str
    path: Path
    notes: Path | None = None
    """Its XML file."""
    label: Path | None = None


@dataclass
class Listing(Draft):
    """A split with the files that belong to it."""

    entries: list[Entry] = field(default_factory=list)


def is_home(place: Path) -> bool:
    """Whether a folder is laid out like VOC2012."""
    has = {name for name in ("JPEGImages", "Annotations", "SegmentationClass", "ImageSets") if (place / name).is_dir()}
    return bool(has & {"Annotations", "SegmentationClass"}) and bool(has & {"JPEGImages", "ImageSets"})


def note_folders(folder: Path) -> list[Path]:
    """Folders of VOC's XML files."""
    return [place for place in folders(folder) if (found := files(place, ".xml")) and is_note(found[0])]


def is_note(path: Path) -> bool:
    head = beginning(path, 2048)
    return b"<annotation>" in head or b"<annotation " in head


def recognised(folder: Path) -> bool:
    return any(map(is_home, folders(folder))) or bool(note_folders(folder)) or bool(list(pairs(folder, ".xml")))


def read(folder: Path, findings: Findings) -> Dataset:
    dataset = Dataset(folder, NAME)
    homes = [place for place in folders(folder) if is_home(place)]
    drafts: list[Listing] = []
    if homes:
        for home in homes:
            drafts += of_home(home, folder, f"{home.name} " if len(homes) > 1 else "")
    elif listed := list(pairs(folder, ".xml")):
        for path, rows in listed:
            entries = [Entry(stated, folder / stated, folder / notes) for stated, notes in rows]
            drafts.append(Listing(Split(SPLITS[path.stem.lower()], path.name), entries=entries))
    else:
        drafts = of_folders(folder)
    for draft in drafts:
        take(draft, findings)
    stated = class_list(*homes, folder)
    name_classes(dataset, drafts, stated, findings)
    return dataset


def of_home(home: Path, folder: Path, prefix: str) -> list[Listing]:
    """The splits of a folder like VOC2012: what ImageSets lists, or everything. trainval is left out beside train and val."""
    pictures = {path.stem: path for path in images(home / "JPEGImages")}
    boxes, masks = members(home / "ImageSets/Main"), members(home / "ImageSets/Segmentation")
    if not boxes and not masks:
        stems = {path.stem: None for place in ("Annotations", "SegmentationClass") for path in files(home / place, ".xml", ".png")}
        boxes = {"all": list(stems)} if (home / "Annotations").is_dir() else {}
        masks = {"all": list(stems)} if (home / "SegmentationClass").is_dir() else {}
    names = [name for name in ("train", "trainval", "val", "test", "all") if name in boxes or name in masks]
    if {"train", "val"} <= set(names):
        names = [name for name in names if name != "trainval"]
    drafts = []
    for name in names:
        found: dict[str, Entry] = {}
        for uses, kind in ((boxes, "boxes"), (masks, "masks")):
            for stem in (known(stated, pictures) for stated in uses.get(name, ())):
                path = pictures.get(stem, home / "JPEGImages" / f"{stem}.jpg")
                entry = found.setdefault(stem, Entry(path.name, path))
                if kind == "masks" and (home / "SegmentationClass").is_dir():
                    entry.label = home / "SegmentationClass" / f"{stem}.png"
                notes = home / "Annotations" / f"{stem}.xml"
                if (kind == "boxes" and (home / "Annotations").is_dir()) or notes.is_file():
                    entry.notes = notes
        drafts.append(Listing(Split(prefix + name, str(home.relative_to(folder) / "ImageSets")), entries=list(found.values())))
    return drafts


def members(place: Path) -> dict[str, list[str]]:
    """The images that each list of a folder of ImageSets names; the lists of single classes are left out."""
    lists = {path.stem.lower(): path for path in files(place, ".txt") if path.stem.lower() in SPLITS}
    return {
        SPLITS[name]: [line.strip() for line in path.read_text("utf-8-sig").splitlines() if line.strip()] for name, path in lists.items()
    }


def known(stated: str, pictures: Iterable[str]) -> str:
    """An image's name in a list, without what may follow it: its extension, or a 1 for one that shows the class."""
    if stated in pictures:
        return stated
    word = stated.split(maxsplit=1)[0]
    stem, _, end = word.rpartition(".")
    return stem if f".{end.lower()}" in IMAGES else word


def of_folders(folder: Path) -> list[Listing]:
    """Folders of XML files: each is a split if its name, or that of the one above it, tells which."""
    drafts: dict[str, Listing] = {}
    for place in note_folders(folder):
        inner = place.relative_to(folder).parts
        name = next((told for part in reversed(inner) if (told := split_of(part))), "all")
        notes = files(place, ".xml")
        stated = [filename(path) for path in notes]
        home = nearest_home([place, place.parent / "images", place.parent / "JPEGImages", *folders(folder)], stated)
        draft = drafts.setdefault(name, Listing(Split(name, str(Path(*inner)))))
        draft.entries += [Entry(file, home / file, path) for file, path in zip(stated, notes, strict=True)]
    return list(drafts.values())


def filename(notes: Path) -> str:
    """The image's name that an XML file states, without folders; or else the file's own with .jpg."""
    try:
        stated = ElementTree.parse(notes).getroot().findtext("filename")
    except (ElementTree.ParseError, OSError, ValueError):
        stated = None
    name = (stated or "").strip().replace("\\", "/").rpartition("/")[2]
    return name or f"{notes.stem}.jpg"


def take(draft: Listing, findings: Findings) -> None:
    """Read the XML files of a split."""
    split = draft.split
    for place, entry in enumerate(draft.entries):
        picture = Picture(entry.file, entry.path, id=entry.path.stem, label=entry.label)
        split.pictures.append(picture)
        if entry.notes is None:
            continue
        try:
            root = ElementTree.parse(entry.notes).getroot()
        except FileNotFoundError:
            findings.add("file-unreadable", f"{entry.notes.name} is missing", split.name)
            continue
        except (ElementTree.ParseError, OSError, ValueError) as fault:
            findings.add("file-unreadable", f"{entry.notes.name}: {fault}", split.name)
            continue
        size = root.find("size")
        if size is not None:
            picture.width, picture.height = (whole(number(size, side)) for side in ("width", "height"))
            if picture.width is None or picture.height is None:
                findings.add("annotation-odd", f"{entry.notes.name}: a size of no pixels", split.name)
        draft.objects += list(objects(root, place, entry.notes.name, split.name, findings))


def objects(root: ElementTree.Element, place: int, file: str, split: str, findings: Findings) -> Iterator[Named]:
    for item in root.iter("object"):
        name, corners = item.findtext("name"), item.find("bndbox")
        ends = [None] * 4 if corners is None else [number(corners, side) for side in ("xmin", "ymin", "xmax", "ymax")]
        if name is None or None in ends:
            findings.add("annotation-odd", f"{file}: an object without a name, or without xmin, ymin, xmax, ymax", split)
            continue
        left, top, right, bottom = (end for end in ends if end is not None)
        wide, high = (end - start + (end > start) for start, end in ((left, right), (top, bottom)))
        yield Named(place, name.strip(), (left - 1, top - 1, wide, high), crowd=item.findtext("difficult") == "1")


def number(parent: ElementTree.Element, name: str) -> float | None:
    """The number in a child element; None if there is none."""
    try:
        found = float(parent.findtext(name) or "")
    except ValueError:
        return None
    return found if abs(found) < float("inf") else None


def name_classes(dataset: Dataset, drafts: Sequence[Listing], stated: list[str] | None, findings: Findings) -> None:
    """Give each object its class. The order is that of the list, or of VOC's own classes, or alphabetical."""
    found = used(drafts)
    names = [name for name in stated or () if not is_background(name)]
    masks = any(entry.label for draft in drafts for entry in draft.entries)
    if not names and found <= set(OWN) and (found or masks):
        names = OWN
    if not names:
        names = in_order(found, findings)
    if masks and names:
        dataset.values = [BACKGROUND, *names]
    dataset.void = VOID if masks else None
    finish(dataset, drafts, names if found else [], findings)
