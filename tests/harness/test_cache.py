"""The cache: datasets are fetched once, completely, and verified; changes are detected; other users can use what they can read."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import time
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from support.other_user import as_nobody, shared_folder

from harness import cache
from harness.cache import once
from harness.errors import DataError
from harness.files import sha256
from harness.manifest import path_of

CONTENTS = {"a.txt": "a" * 1000, "manifest.json": '{"own": 1}', "sub/b.txt": "b"}


def download(folder: Path) -> dict[str, str]:
    with (folder.parent / "downloads").open("a") as count:
        count.write("x")
    for name, text in CONTENTS.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return {name: sha256(folder / name) for name in CONTENTS}


def downloads(parent: Path) -> int:
    return len((parent / "downloads").read_text())


def contents(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def download_slowly(folder: Path) -> dict[str, str]:
    time.sleep(0.5)  # the others come meanwhile
    return download(folder)


def once_together(folder: Path, all_there: Barrier) -> None:
    all_there.wait(60)
    assert contents(once(folder, download_slowly)) == CONTENTS


def test_many_processes_download_once(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    all_there = spawn.Barrier(4)
    processes = [spawn.Process(target=once_together, args=(tmp_path / "data", all_there)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4
    assert downloads(tmp_path) == 1


def test_the_manifest_is_beside_the_folder_so_a_dataset_can_have_one_of_its_own(tmp_path: Path) -> None:
    assert contents(once(tmp_path / "data", download)) == CONTENTS
    stated = json.loads(path_of(tmp_path / "data").read_text())["files"]
    assert {name: entry["sha256"] for name, entry in stated.items()} == {name: sha256(tmp_path / "data" / name) for name in CONTENTS}


@pytest.mark.parametrize("left", ["half.txt", "manifest.json"])
def test_a_folder_without_a_manifest_beside_it_is_fetched_again(left: str, tmp_path: Path) -> None:
    """Half a download that was killed, or a set of the version whose manifest was in the folder, over one that the set may have had."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / left).write_text('{"files": {}}')
    assert contents(once(tmp_path / "data", download)) == CONTENTS


@pytest.mark.parametrize("torn", ["", "{", "[]", '{"files": {"a.txt": {"bytes": 1}}}'])
def test_a_manifest_that_cannot_be_read_counts_for_none(torn: str, tmp_path: Path) -> None:
    once(tmp_path / "data", download)
    path_of(tmp_path / "data").write_text(torn)
    assert contents(once(tmp_path / "data", download)) == CONTENTS
    assert downloads(tmp_path) == 2


def test_damaged_files_are_named_and_nothing_is_kept(tmp_path: Path) -> None:
    def damaged(folder: Path) -> dict[str, str]:
        return download(folder) | {"x.txt": "0" * 64, "a.txt": "0" * 64}

    with pytest.raises(DataError, match=r"2 of 4 files arrived damaged or not at all, e.g. "):
        once(tmp_path / "data", damaged)
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".lock"] == ["downloads"]
    assert downloads(tmp_path) == 2  # the second might have been whole


def test_what_arrives_whole_the_second_time_is_taken(tmp_path: Path) -> None:
    def once_damaged(folder: Path) -> dict[str, str]:
        wanted = download(folder)
        if downloads(tmp_path) == 1:
            (folder / "a.txt").write_text("damaged")
        return wanted

    assert contents(once(tmp_path / "data", once_damaged)) == CONTENTS


class TestChanges:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return once(tmp_path / "data", download)

    def change(self, folder: Path, how: str) -> None:
        if how == "gone":
            (folder / "a.txt").unlink()
        else:
            (folder / "a.txt").write_text({"shorter": "a", "same size": "b" * 1000}[how])

    @pytest.mark.parametrize("how", ["gone", "shorter", "same size"])
    def test_a_changed_file_is_said_kept_aside_and_fetched_again(self, how: str, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
        self.change(folder, how)
        changed = (folder / "a.txt").read_text() if how != "gone" else None
        assert contents(once(folder, download)) == CONTENTS
        assert downloads(folder.parent) == 2
        assert "changed since it was fetched: 'a.txt'; fetching it again" in caplog.text
        kept = [path.read_text() for path in folder.parent.glob("data.changed-*/a.txt")]
        assert kept == ([] if changed is None else [changed])
        once(folder, download)
        assert downloads(folder.parent) == 2

    def test_a_touched_file_is_read_once(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        os.utime(folder / "a.txt", (1, 1))
        once(folder, download)
        with monkeypatch.context() as patched:
            patched.setattr("harness.manifest.sha256", None)  # nothing is read any more
            once(folder, download)
        assert downloads(folder.parent) == 1

    def test_a_change_with_the_same_size_and_time_is_found_by_reading_everything(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = (folder / "a.txt").stat()
        self.change(folder, "same size")
        os.utime(folder / "a.txt", ns=(before.st_atime_ns, before.st_mtime_ns))
        once(folder, download)
        assert downloads(folder.parent) == 1
        monkeypatch.setenv(cache.VERIFY, "1")
        assert contents(once(folder, download)) == CONTENTS

    def test_a_file_that_was_added_is_said_and_left(self, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
        (folder / "sub/labels.cache").write_text("a toolbox's")
        with caplog.at_level(logging.WARNING):
            once(folder, download)
        assert "contains 'sub/labels.cache', which is not part of the dataset" in caplog.text
        assert (folder / "sub/labels.cache").exists()
        assert downloads(folder.parent) == 1

    def test_where_it_cannot_be_fetched_again_nothing_is_lost(self, folder: Path) -> None:
        def silent(_: Path) -> dict[str, str]:
            raise DataError("the server does not answer")

        self.change(folder, "shorter")
        with pytest.raises(DataError, match="does not answer"):
            once(folder, silent)
        assert (folder / "a.txt").read_text() == "a"
        assert contents(once(folder, download)) == CONTENTS


class TestSharedByTwoUsers:
    @pytest.fixture
    def folder(self) -> Iterator[Path]:
        for shared in shared_folder():
            yield shared / "cache" / "data"

    def test_a_complete_set_is_used_by_whoever_can_read_it(self, folder: Path) -> None:
        once(folder, download)
        assert as_nobody(lambda: contents(once(folder, download))) == CONTENTS
        os.utime(folder / "a.txt", (1, 1))  # read again, though this cannot be noted
        assert as_nobody(lambda: contents(once(folder, download))) == CONTENTS

    def test_an_absent_set_names_the_folder_and_the_remedy(self, folder: Path) -> None:
        folder.parent.mkdir()
        with pytest.raises(DataError) as error:
            as_nobody(lambda: once(folder, download))
        for part in (f"dataset data in the cache {folder.parent}: it is incomplete", "Permission denied", "set HARNESS_CACHE"):
            assert part in str(error.value)

    def test_a_changed_set_names_the_change_and_the_remedy(self, folder: Path) -> None:
        once(folder, download)
        (folder / "a.txt").write_text("changed")
        told = r"changed since it was fetched: 'a.txt', and it cannot be stored there: .*set HARNESS_CACHE"
        with pytest.raises(DataError, match=told):
            as_nobody(lambda: once(folder, download))

    @pytest.mark.parametrize("private", ["data", "data/a.txt", "data/sub", "."])
    def test_what_may_not_be_read_is_named(self, private: str, folder: Path) -> None:
        once(folder, download)
        (folder.parent / private).chmod(0o700)
        with pytest.raises(DataError, match=r"(?s)it cannot be read: .*set HARNESS_CACHE"):
            as_nobody(lambda: once(folder, download))
