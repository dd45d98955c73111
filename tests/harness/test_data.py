"""Datasets come onto the machine once, whole and checked."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest

from harness.cache import MANIFEST, once
from harness.data import materialise
from harness.errors import DataError
from harness.files import sha256


def test_a_local_folder_is_used_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    assert materialise(None, str(tmp_path)).folder == tmp_path
    assert materialise(str(tmp_path), None).folder == tmp_path


def test_a_link_appears_where_the_data_shall_be(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").write_text("a")
    place = tmp_path / "deep" / "place"
    for _ in range(2):  # a second run finds the first one's link
        assert (materialise(str(tmp_path / "data"), str(place)).folder / "a.txt").read_text() == "a"
    assert place.is_symlink()


def test_a_place_that_is_taken_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").touch()
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(DataError, match="something is there already"):
        materialise(str(tmp_path / "data"), str(tmp_path / "mine.txt"))
    assert (tmp_path / "mine.txt").read_text() == "precious"


@pytest.mark.parametrize(("make", "told"), [(False, "there is no such folder"), (True, "the folder is empty")])
def test_missing_and_empty_folders_are_told(tmp_path: Path, make: bool, told: str) -> None:
    folder = tmp_path / "x"
    if make:
        folder.mkdir()
    with pytest.raises(DataError, match=told):
        materialise(None, str(folder))


def download(folder: Path) -> dict[str, str]:
    with (folder.parent / "downloads").open("a") as count:
        count.write("x")
    (folder / "a.txt").write_text("a" * 1000)
    return {"a.txt": sha256(folder / "a.txt")}


def once_here(folder: Path) -> None:
    assert (once(folder, download) / "a.txt").read_text() == "a" * 1000


def test_many_processes_download_once(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        pool.map(once_here, [tmp_path / "data"] * 8)
    assert (tmp_path / "downloads").read_text() == "x"
    assert json.loads((tmp_path / "data" / MANIFEST).read_text())["files"]["a.txt"]["bytes"] == 1000


def test_an_interrupted_download_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "half.txt").touch()  # no manifest: what a kill left behind
    once(tmp_path / "data", download)
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["a.txt", MANIFEST]


def test_damaged_files_are_named_and_nothing_is_kept(tmp_path: Path) -> None:
    def damaged(folder: Path) -> dict[str, str]:
        return download(folder) | {"b.txt": "0" * 64, "a.txt": "0" * 64}

    with pytest.raises(DataError, match=r"2 of 2 files arrived damaged or not at all, e.g. "):
        once(tmp_path / "data", damaged)
    assert not (tmp_path / "data").exists()
    assert not list(tmp_path.glob("*.partial"))
