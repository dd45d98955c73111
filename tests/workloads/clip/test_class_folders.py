"""Folders of classes as image sets come: ImageFolder's train/ and val/ are parts, and no classes."""

from __future__ import annotations

from pathlib import Path

import pytest
from evaluating import evaluated
from PIL import Image

from clip_training.class_folders import ClassFolders, folders_of, has_class_folders
from clip_training.config import ModelConfig
from clip_training.model import Clip, make_clip
from clip_training.parts import word_of
from harness.errors import DataError
from harness.report import Recorder


@pytest.fixture(scope="module")
def clip(tiny_model: Path) -> Clip:
    return make_clip(ModelConfig(name=str(tiny_model)))


def write(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), "red" if "red" in name else "blue").save(path, "PNG")
    return folder


@pytest.fixture
def parted(tmp_path: Path) -> Path:
    """The layout of torchvision's ImageFolder and ImageNet, with a class that only train/ has."""
    images = {"train": ("red/0", "blue/0", "grey/0"), "val": ("red/1", "red/2", "blue/1"), "test": ("red/3",)}
    return write(tmp_path / "data", *(f"{part}/{name}.png" for part, names in images.items() for name in names))


def test_the_part_that_is_held_out_is_evaluated_and_the_others_are_named(parted: Path, tiny_model: Path, tmp_path: Path) -> None:
    report = Recorder()
    found = evaluated(parted, tmp_path / "out", tiny_model, report, zero_shot__templates="name", evaluate__debug_images=0)
    assert {name: entry["images"] for name, entry in found["zero-shot"]["folders"]["per class"].items()} == {"blue": 1, "red": 2}
    told = f"{parted} holds the parts test, train, val of a dataset, each with folders of classes; evaluated on: val; for test, train: "
    assert any(text.startswith(told) for text in report.texts)


def test_all_of_it_is_evaluated_if_asked(parted: Path, clip: Clip) -> None:
    found = ClassFolders(parted, clip, None, "all")
    assert list(found.classes.words) == ["blue", "grey", "red"]
    assert len(found) == 7


@pytest.mark.parametrize("name", ["train", "val", "test"])
def test_a_part_alone_is_evaluated(name: str, clip: Clip, tmp_path: Path) -> None:
    write(tmp_path, f"{name}/red/0.png", f"{name}/blue/0.png")
    assert list(ClassFolders(tmp_path, clip, None).classes.words) == ["blue", "red"]


def test_parts_without_folders_of_classes_are_refused(clip: Clip, tmp_path: Path) -> None:
    write(tmp_path, "train/0.png", "val/0.png")
    with pytest.raises(DataError, match=r"train, val are parts of a dataset by their names, not classes, and val holds no sub-folders"):
        ClassFolders(tmp_path, clip, None)


def test_a_class_may_be_called_like_a_part(tmp_path: Path) -> None:
    write(tmp_path, "train/0.png", "tram/0.png", "bus/0.png")
    assert folders_of(tmp_path, "heldout") == ([tmp_path], "")


def test_what_systems_leave_behind_is_neither_class_nor_image(clip: Clip, tmp_path: Path) -> None:
    write(tmp_path, "red/0.png", "blue/0.PNG", "__MACOSX/red/._0.png", "red/._0.png", ".cache/0.png")
    for name in ("red/Thumbs.db", "red/.DS_Store", "desktop.ini"):
        (tmp_path / name).write_bytes(b"\0")
    assert has_class_folders(tmp_path)
    found = ClassFolders(tmp_path, clip, None)
    assert (list(found.classes.words), len(found)) == (["blue", "red"], 2)


@pytest.mark.parametrize(
    ("name", "word", "alone"),
    [
        ("train", "train", "train"),
        ("Val", "val", "val"),
        ("train2017", "train", "train"),
        ("held_out", "heldout", "heldout"),
        ("cc3m-validation-0000", "validation", ""),
        ("trainval", "", ""),
        ("train_val", "", ""),
        ("strain", "", ""),
        ("train station", "train", ""),
    ],
)
def test_a_part_is_known_by_whole_words(name: str, word: str, alone: str) -> None:
    """train2017 and val2017 are the folders of COCO; trainval is a part of PASCAL VOC that is both."""
    assert (word_of(name), word_of(name, whole=True)) == (word, alone)
