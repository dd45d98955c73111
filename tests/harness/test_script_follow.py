"""What a script writes, followed: which files count as whole, when, and under which names they arrive."""

from __future__ import annotations

import contextlib
import os
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from harness.checkpoint import Checkpoints
from harness.report import Recorder
from harness.wrapped.follow import SETTLED, Follower

PATTERNS = ("**/*.pt",)


class Folder:
    """A script's folder, and who follows it, look by look."""

    def __init__(self, tmp_path: Path) -> None:
        self.files, self.report = tmp_path / "files", Recorder()
        self.files.mkdir()
        self.checkpoints = Checkpoints(tmp_path / "checkpoints", keep=10)
        self.follower = self.new()

    def new(self, begin: int = 0) -> Follower:
        return Follower(self.files, self.report, self.checkpoints, PATTERNS, begin)

    def write(self, name: str, contents: bytes, age: float = SETTLED) -> Path:
        path = self.files / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(contents)
        os.utime(path, (time.time() - age,) * 2)
        return path

    def kept(self) -> dict[str, bytes]:
        return {path.stem: path.read_bytes() for path in sorted(self.checkpoints.folder.glob("*.ckpt"))}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_a_checkpoint_that_is_overwritten_is_kept_in_each_of_its_states(folder: Folder) -> None:
    folder.write("out/last.pt", b"one")
    folder.follower.look(SETTLED)
    folder.follower.look(SETTLED)
    folder.write("out/last.pt", b"two")
    folder.follower.look(SETTLED)
    assert folder.kept() == {"step=00000001": b"one", "step=00000002": b"two"}
    assert folder.checkpoints.latest() is not None  # its manifest says the same


def test_a_file_that_has_just_changed_waits_until_it_has_settled(folder: Folder) -> None:
    folder.write("last.pt", b"half", age=0)
    folder.follower.look(SETTLED)
    assert folder.kept() == {}
    folder.write("last.pt", b"whole")
    folder.follower.look(SETTLED)
    assert folder.kept() == {"step=00000001": b"whole"}


def test_a_zip_archive_says_itself_whether_it_is_whole(folder: Folder, tmp_path: Path) -> None:
    """torch.save writes one, whose directory comes last."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("weights", b"0" * 1000)
    whole = (tmp_path / "a.zip").read_bytes()
    folder.write("torn.pt", whole[:-30])
    folder.write("fresh.pt", whole, age=0)
    folder.follower.look(SETTLED)
    assert folder.kept() == {"step=00000001": whole}


def test_a_script_that_ended_well_leaves_whole_files_and_one_that_was_killed_may_not(folder: Folder) -> None:
    with folder.follower:
        folder.write("good.pt", b"good", age=0)
    assert folder.kept() == {"step=00000001": b"good"}
    with contextlib.suppress(KeyError), folder.new():
        folder.write("torn.pt", b"torn", age=0)
        raise KeyError
    assert folder.kept() == {"step=00000001": b"good"}


def test_numbers_go_on_and_what_was_there_before_is_not_taken_again(folder: Folder) -> None:
    folder.write("old.pt", b"old")
    follower = folder.new(begin=4)
    folder.write("new.pt", b"new")
    follower.look(0)
    assert folder.kept() == {"step=00000005": b"new"}
    assert folder.new().number == 5


def test_what_is_linked_is_the_repository_s(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "repository").mkdir()
    (tmp_path / "repository" / "pretrained.pt").write_bytes(b"theirs")
    (folder.files / "weights").symlink_to(tmp_path / "repository")
    (folder.files / "pretrained.pt").symlink_to(tmp_path / "repository" / "pretrained.pt")
    folder.follower.look(0)
    assert folder.kept() == {}


@pytest.mark.parametrize(
    ("name", "series", "step"), [("samples_0012.png", "samples", 12), ("epoch=3.jpg", "figures", 3), ("curve.png", "curve", 1)]
)
def test_a_figure_is_a_debug_sample_at_the_step_of_its_name(folder: Folder, name: str, series: str, step: int) -> None:
    path = folder.write(f"figures/{name}", b"")
    Image.new("RGB", (2, 2)).save(path)
    folder.follower.look(0)
    folder.follower.look(0)
    assert [(title, found, at) for title, found, _, at in folder.report.images] == [("files", series, step)]


def test_two_writers_of_one_tag_are_told_apart(folder: Folder) -> None:
    assert folder.follower.names_of("loss", folder.files / "train") == ("loss", "loss")
    assert folder.follower.names_of("loss", folder.files / "valid") == ("loss", "loss (valid)")
    assert folder.follower.names_of("loss/a/b", folder.files / "train") == ("loss", "a/b")


def test_what_cannot_be_read_ends_nothing(folder: Folder, caplog: pytest.LogCaptureFixture) -> None:
    folder.write("events.out.tfevents.1", b"\xff" * 64)
    folder.write("broken.png", b"no picture")
    folder.write("last.pt", b"whole")
    for _ in range(2):
        folder.follower.look(0)
    assert folder.kept() == {"step=00000001": b"whole"}
    assert sum("no event file" in message for message in caplog.messages) == 1
    assert sum("UnidentifiedImageError" in message for message in caplog.messages) == 1


def test_a_picture_of_an_event_file_arrives(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.wrapped import follow
    from harness.wrapped.events import Point

    def new(_: Any) -> list[Point]:
        return [Point("loss/train", 3, 0.5), Point("samples/first", 3, Image.new("RGB", (2, 2)))]

    monkeypatch.setattr(follow.EventFile, "new", new)
    folder.write("runs/events.out.tfevents.1", b"")
    folder.follower.look(0)
    assert folder.report.scalars == {("loss", "train"): [(3, 0.5)]}
    assert [(title, series, step) for title, series, _, step in folder.report.images] == [("samples", "first", 3)]
