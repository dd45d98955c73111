"""A fetched dataset is identical to the folder that was published; otherwise, the user was warned before anything was uploaded."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable
from pathlib import Path

import clearml
import pytest
from support.command_line import Outcome, Registry
from support.other_user import as_nobody, shared_folder

from harness import data
from harness.errors import DataError
from harness.tree import LONGEST_PATH, survey
from registry.backends import Server

pytestmark = pytest.mark.filterwarnings("ignore")  # of the SDK's
Create = Callable[..., tuple[Outcome, str]]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "set"
    folder.mkdir()
    return folder


@pytest.fixture
def create(embedded: Server, folder: Path, registry: Registry) -> Create:
    """Publish the folder; returns the command's outcome and the dataset's name."""

    def run(*options: str) -> tuple[Outcome, str]:
        name = f"set-{uuid.uuid4().hex[:8]}"
        return registry("dataset", "create", name, "--folder", str(folder), *options), name

    return run


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def contents(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def exists(server: Server, name: str) -> bool:
    return bool(server.tasks(name=f"^{name}$", search_hidden=True, system_tags=["dataset"], only_fields=["id"]))


def test_names_and_contents_are_unchanged_after_a_round_trip(create: Create, folder: Path, tmp_path: Path, registry: Registry) -> None:
    files = {
        name: f"contents of {name}"
        for name in (
            "manifest.json",  # what the cache's own manifest was called
            "state.json",
            ".hidden",
            ".git/config",
            "A.txt",
            "a.txt",
            "with blank .txt ",
            "two\nlines.txt",
            "back\\slash.txt",
            "quote'\"*?[x]%20&#.txt",
            "grösse \u2603 \U0001f600.txt",
            "gro\u0308sse.txt",  # the same letter as two characters
            "..dots..",
            "~",
            "n" * 251 + ".txt",
            "/".join(["deep"] * 300) + "/file",
        )
    }
    write(folder, files | {"empty.txt": ""})
    os.utime(folder / "A.txt", (0, 0))  # archives begin in 1980
    os.utime(folder / "a.txt", (2**33, 2**33))  # and end in 2107
    os.link(folder / "A.txt", folder / "hard.txt")
    outcome, name = create()
    assert outcome.code == 0, outcome.err
    assert "left out" not in outcome.err
    (fetched,) = registry("dataset", "get", name).lines
    assert Path(fetched).is_relative_to(tmp_path / "cache")
    assert contents(Path(fetched)) == files | {"empty.txt": "", "hard.txt": files["A.txt"]}


def test_links_are_followed_and_links_to_folders_are_reported(create: Create, folder: Path, tmp_path: Path, registry: Registry) -> None:
    write(tmp_path, {"outside/b.txt": "b", "outside/deep/c.txt": "c", "set/a.txt": "a", "set/sub/d.txt": "d"})
    (folder / "file").symlink_to("a.txt")
    (folder / "out").symlink_to(tmp_path / "outside")
    (tmp_path / "outside" / "in").symlink_to(folder / "sub")  # a link behind a link
    (folder / "sub2").symlink_to("sub")
    outcome, name = create()
    assert "followed, and their contents are stored under the links' names: 'out', 'out/in', 'sub2'" in outcome.err
    (fetched,) = registry("dataset", "get", name).lines
    assert contents(Path(fetched)) == {
        "a.txt": "a",
        "file": "a",
        "out/b.txt": "b",
        "out/deep/c.txt": "c",
        "out/in/d.txt": "d",
        "sub/d.txt": "d",
        "sub2/d.txt": "d",
    }


@pytest.fixture
def unkept(folder: Path) -> dict[str, str]:
    """Entries that a dataset cannot store, next to one file, and the message about each."""
    write(folder, {"a.txt": "a", "sub/b.txt": "b"})
    (folder / "broken").symlink_to("/nowhere/x")
    (folder / "sub/loop").symlink_to("..")
    (folder / "itself").symlink_to("itself")
    os.mkfifo(folder / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(folder / "socket"))
    Path(os.fsdecode(bytes(folder) + b"/caf\xe9.txt")).write_text("latin-1")
    return {
        "'broken'": "leads to /nowhere/x: No such file or directory",
        "'sub/loop'": "leads to .., a folder that contains it",
        "'itself'": "leads to itself: Too many levels of symbolic links",
        "'fifo'": "is neither a file nor a folder",
        "'socket'": "is neither a file nor a folder",
        r"'caf\udce9.txt'": "has a name that is not UTF-8",
    }


def test_what_cannot_be_stored_is_listed_before_anything_is_created(
    create: Create, unkept: dict[str, str], embedded: Server, folder: Path
) -> None:
    outcome, name = create()
    assert outcome.code == 2
    assert f"a dataset cannot store {len(unkept)} of its entries; fix them, or add --leave-out" in outcome.err
    for thing, why in unkept.items():
        assert f"{thing} {why}\n" in outcome.err
    assert not exists(embedded, name)


def test_what_is_left_out_is_listed_too(create: Create, unkept: dict[str, str], registry: Registry) -> None:
    outcome, name = create("--leave-out")
    assert outcome.code == 0, outcome.err
    for thing, why in unkept.items():
        assert f"{thing} {why}\n" in outcome.err
    (fetched,) = registry("dataset", "get", name).lines
    assert contents(Path(fetched)) == {"a.txt": "a", "sub/b.txt": "b"}


def test_empty_folders_are_named(create: Create, folder: Path) -> None:
    write(folder, {"a.txt": "a"})
    for name in ("empty", "deep/er"):
        (folder / name).mkdir(parents=True)
    outcome, _ = create()
    assert outcome.code == 0
    assert "the empty folders 'deep/er', 'empty'" in outcome.err


def test_names_that_are_too_long_for_the_cache_are_reported(folder: Path) -> None:
    deep = "/".join(["d" * 200] * 14)
    write(folder, {"a.txt": "a"})
    os.makedirs(folder / deep)
    kept, lost = f"{deep}/{'n' * 100}", f"{deep}/{'n' * (LONGEST_PATH - len(deep))}"
    write(folder, {kept: "x", lost: "x"})
    tree = survey(folder)
    assert set(tree.files) == {"a.txt", kept}
    assert list(tree.lost) == [lost]


@pytest.mark.parametrize(("change", "named"), [("rewritten", "a.txt"), ("removed", "a.txt"), ("added", "c.txt")])
def test_a_change_during_the_upload_is_an_error_and_leaves_nothing(
    change: str, named: str, create: Create, embedded: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hashes are computed before the upload, so such a dataset would look damaged to everybody who fetches it."""
    write(folder, {"a.txt": "a", "b.txt": "b"})
    upload = clearml.Dataset.upload

    def changing(dataset: clearml.Dataset, **options: object) -> None:
        write(folder, {named: "other"})
        if change == "removed":
            (folder / named).unlink()
        upload(dataset, **options)

    monkeypatch.setattr(clearml.Dataset, "upload", changing)
    outcome, name = create()
    assert outcome.code == 1
    assert f"files changed during the upload: '{named}'" in outcome.err
    assert not exists(embedded, name)


def test_unreadable_files_and_folders_are_reported() -> None:
    for folder in shared_folder():
        write(folder, {"a.txt": "a", "private.txt": "b", "closed/c.txt": "c"})
        (folder / "private.txt").chmod(0o600)
        (folder / "closed").chmod(0o700)
        assert as_nobody(lambda folder=folder: survey(folder).lost) == {
            "closed": "cannot be read: Permission denied",
            "private.txt": "cannot be read: Permission denied",
        }


class TestPublishedByARun:
    @pytest.fixture
    def task(self, embedded: Server) -> clearml.Task:
        return clearml.Task.create(project_name="datasets", task_name=f"makes {uuid.uuid4().hex[:8]}")

    def publish(self, folder: Path, task: clearml.Task) -> str:
        return data.publish(folder, f"set-{uuid.uuid4().hex[:8]}", "datasets", (), task)

    def test_entries_without_contents_are_left_out_with_a_warning(
        self, folder: Path, task: clearml.Task, caplog: pytest.LogCaptureFixture
    ) -> None:
        write(folder, {"a.txt": "a"})
        (folder / "broken").symlink_to("nowhere")
        (folder / "empty").mkdir()
        fetched = data.fetch_clearml(self.publish(folder, task)).folder
        assert contents(fetched) == {"a.txt": "a"}
        for told in ("'broken' leads to nowhere: No such file or directory", "'empty' is empty"):
            assert told in caplog.text

    def test_entries_with_contents_are_never_left_out(self, folder: Path, task: clearml.Task) -> None:
        write(folder, {"a.txt": "a"})
        Path(os.fsdecode(bytes(folder) + b"/caf\xe9.txt")).write_text("latin-1")
        with pytest.raises(DataError, match=r"(?s)a dataset cannot store what is in .*'caf\\udce9.txt' has a name that is not UTF-8"):
            self.publish(folder, task)
        assert not task.get_user_properties()

    def test_an_empty_folder_is_an_error(self, folder: Path, task: clearml.Task) -> None:
        with pytest.raises(DataError, match="contains no file"):
            self.publish(folder, task)


class TestFetched:
    def publish(self, folder: Path, *, renamed: str | None = None) -> str:
        """A dataset as another program might publish it, with another name for a.txt in its state and archive."""
        dataset = clearml.Dataset.create(dataset_name=f"set-{uuid.uuid4().hex[:8]}", dataset_project="datasets")
        dataset.add_files(folder)
        if renamed:
            entries = vars(dataset)["_dataset_file_entries"]  # nothing public writes such a state
            entry = entries.pop("a.txt")
            entry.relative_path = renamed
            entries[renamed] = entry
        dataset.upload(show_progress=False)
        dataset.finalize()
        return str(dataset.id)

    @pytest.mark.parametrize("renamed", ["../escaped.txt", "sub/../../escaped.txt", "{folder}/escaped.txt"])
    def test_a_name_outside_of_the_folder_is_refused(self, renamed: str, folder: Path, tmp_path: Path, embedded: Server) -> None:
        write(folder, {"a.txt": "a", "b.txt": "b"})
        renamed = renamed.format(folder=tmp_path)
        with pytest.raises(DataError, match=rf"the file '{renamed}' would lead out of its folder"):
            data.fetch_clearml(self.publish(folder, renamed=renamed))
        assert not list(tmp_path.rglob("escaped.txt"))

    def test_a_change_in_the_sdks_own_copy_is_detected(self, folder: Path, embedded: Server) -> None:
        """The SDK compares only sizes, and copies from there."""
        write(folder, {"a.txt": "right", "b.txt": "b"})
        identity = self.publish(folder)
        copy = Path(clearml.Dataset.get(dataset_id=identity).get_local_copy())
        (copy / "a.txt").write_text("wrong")
        assert contents(data.fetch_clearml(identity).folder) == {"a.txt": "right", "b.txt": "b"}
