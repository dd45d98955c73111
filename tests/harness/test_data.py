"""Data that are on the machine already are used where they are, and appear where they shall."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.data import materialise
from harness.errors import DataError


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
    with pytest.raises(DataError, match="it exists already"):
        materialise(str(tmp_path / "data"), str(tmp_path / "mine.txt"))
    assert (tmp_path / "mine.txt").read_text() == "precious"


def test_a_file_in_place_of_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").touch()
    with pytest.raises(DataError, match=rf"pairs\.csv: is a file; name the folder that holds it: {tmp_path}$"):
        materialise(None, str(tmp_path / "pairs.csv"))


@pytest.mark.parametrize(("make", "told"), [(False, "there is no such folder"), (True, "the folder is empty")])
def test_missing_and_empty_folders_are_told(tmp_path: Path, make: bool, told: str) -> None:
    folder = tmp_path / "x"
    if make:
        folder.mkdir()
    with pytest.raises(DataError, match=told):
        materialise(None, str(folder))
