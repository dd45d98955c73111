"""Datasets come onto the machine once, whole and checked."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from harness.cache import MANIFEST, once
from harness.data import materialise
from harness.errors import DataError
from harness.files import sha256
from harness.s3 import fetch_s3


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


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    """A stand-in for S3 (moto): it takes any key, so a refused key cannot be tested with it."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(store: str, monkeypatch: pytest.MonkeyPatch) -> str:
    for key, value in {"ENDPOINT_URL": store, "ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret", "DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{key}", value)
    client = boto3.client("s3")
    name = f"bucket-{os.urandom(4).hex()}"
    client.create_bucket(Bucket=name)
    for key, body in {"pairs/a.txt": b"a", "pairs/sub/b.txt": b"bb", "pairs/": b"", "pairs2/c.txt": b"c"}.items():
        client.put_object(Bucket=name, Key=key, Body=body)
    return name


def test_objects_below_the_prefix_are_fetched(bucket: str, tmp_path: Path) -> None:
    found = fetch_s3(f"s3://{bucket}/pairs", tmp_path)
    assert {path.relative_to(found.folder).as_posix() for path in found.folder.rglob("*.txt")} == {"a.txt", "sub/b.txt"}
    assert fetch_s3(f"s3://{bucket}/pairs/", tmp_path).folder.exists()


def test_changed_objects_are_another_dataset(bucket: str, tmp_path: Path) -> None:
    first = fetch_s3(f"s3://{bucket}/pairs", tmp_path)
    assert fetch_s3(f"s3://{bucket}/pairs", tmp_path) == first
    boto3.client("s3").put_object(Bucket=bucket, Key="pairs/a.txt", Body=b"changed")
    second = fetch_s3(f"s3://{bucket}/pairs", tmp_path)
    assert second.identity != first.identity
    assert (second.folder / "a.txt").read_text() == "changed"
    assert (first.folder / "a.txt").read_text() == "a"


@pytest.mark.parametrize(("source", "told"), [("s3://{}/nothing", "nothing is stored below it"), ("s3://no-such-bucket/x", "NoSuchBucket")])
def test_a_missing_bucket_or_prefix_is_told(bucket: str, tmp_path: Path, source: str, told: str) -> None:
    with pytest.raises(DataError, match=told):
        fetch_s3(source.format(bucket), tmp_path)


def test_a_store_that_does_not_answer_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in {
        "ENDPOINT_URL": "http://127.0.0.1:9",
        "ACCESS_KEY_ID": "key",
        "SECRET_ACCESS_KEY": "secret",
        "MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(f"AWS_{key}", value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with pytest.raises(DataError, match="Could not connect"):
        fetch_s3("s3://bucket/x", tmp_path)


def test_an_object_whose_name_leaves_the_folder_is_refused(bucket: str, tmp_path: Path) -> None:
    boto3.client("s3").put_object(Bucket=bucket, Key="evil/../../escaped.txt", Body=b"x")
    with pytest.raises(DataError, match="would leave its folder"):
        fetch_s3(f"s3://{bucket}/evil", tmp_path / "cache")
    assert not list(tmp_path.rglob("escaped.txt"))
