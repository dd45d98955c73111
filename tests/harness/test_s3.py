"""Objects in a real S3 store: found by either form of address and by the right keys, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from clearml.config import ConfigSDKWrapper, ConfigWrapper
from support.s3.line import Line
from support.s3.store import Store

from harness import s3, storage
from harness.checkpoint import Checkpoints
from harness.data import check_stored, materialise
from harness.errors import CheckpointError, DataError, StoreError
from harness.files import sha256
from harness.remote_checkpoints import checkpoint_of
from harness.storage import locate

pytestmark = pytest.mark.filterwarnings("ignore::pyparsing.warnings.PyparsingDeprecationWarning")  # of the SDK's
BIG = os.urandom(1_000_000)
CUT = 300_000
"""Bytes after which a connection breaks off: in the middle of BIG."""


@pytest.fixture(autouse=True)
def surroundings(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner's keys and the store in the environment, nothing in clearml.conf, and a cache of the test's own."""
    kept = {name: "" for name in os.environ if name.startswith("AWS_")} | dict.fromkeys(storage.CHECKSUMS, "")
    for name in kept:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    for name, value in {**store.environment(), "HARNESS_CACHE": str(tmp_path / "cache"), "AWS_EC2_METADATA_DISABLED": "true"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(storage, "section", dict)
    monkeypatch.setattr(s3, "ATTEMPTS", 3)
    for holder, name in ((ConfigWrapper, "_config"), (ConfigSDKWrapper, "_config_sdk")):
        monkeypatch.setattr(holder, name, getattr(holder, name))  # what the SDK reads now is not for the tests that follow


@pytest.fixture
def bucket(store: Store) -> str:
    return store.bucket(**{"pairs/a.txt": b"a", "pairs/sub/b.txt": b"bb", "pairs/folder/": b"", "pairs2/c.txt": b"c", "big": BIG})


@pytest.fixture
def line(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    """A line to the store that can be cut; everything goes over it."""
    line = Line(store.host)
    monkeypatch.setenv("AWS_ENDPOINT_URL", line.url)
    yield line
    line.close()


def texts(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*.txt")}


class TestDataset:
    @pytest.mark.parametrize("form", ["s3://{bucket}/pairs", "s3://{bucket}/pairs/", "s3://{host}/{bucket}/pairs"])
    def test_the_objects_below_an_address_are_fetched(self, store: Store, bucket: str, form: str) -> None:
        source = form.format(bucket=bucket, host=store.host)
        found = materialise(source, None)
        assert texts(found.folder) == {"a.txt": "a", "sub/b.txt": "bb"}
        assert found.identity.startswith(f"{source}#")

    def test_changed_objects_are_another_dataset(self, store: Store, bucket: str) -> None:
        source = f"s3://{bucket}/pairs"
        first = materialise(source, None)
        assert materialise(source, None) == first
        store.put(f"{source}/a.txt", b"changed")
        second = materialise(source, None)
        assert second.identity != first.identity
        assert texts(second.folder) == {"a.txt": "changed", "sub/b.txt": "bb"}
        assert texts(first.folder) == {"a.txt": "a", "sub/b.txt": "bb"}

    def test_nothing_below_an_address_is_told(self, bucket: str) -> None:
        with pytest.raises(DataError, match="nothing is stored below it"):
            materialise(f"s3://{bucket}/pair", None)

    def test_an_object_whose_name_leaves_the_folder_is_refused(self, store: Store, tmp_path: Path) -> None:
        bucket = store.bucket(**{"evil/../../escaped.txt": b"x"})
        with pytest.raises(DataError, match="would lead out of its folder"):
            materialise(f"s3://{bucket}/evil", None)
        assert not list(tmp_path.rglob("escaped.txt"))

    def test_objects_whose_names_are_one_file_s_are_refused(self, store: Store) -> None:
        bucket = store.bucket(**{"two/a/b.txt": b"1", "two/a//b.txt": b"2"})
        with pytest.raises(DataError, match=r"the objects 'a/+b.txt' and 'a/+b.txt' would be the same file"):
            materialise(f"s3://{bucket}/two", None)

    def test_a_file_that_was_changed_in_the_cache_is_fetched_again(self, bucket: str) -> None:
        folder = materialise(f"s3://{bucket}/pairs", None).folder
        (folder / "a.txt").write_text("x")
        assert texts(materialise(f"s3://{bucket}/pairs", None).folder) == {"a.txt": "a", "sub/b.txt": "bb"}

    def test_objects_that_change_while_being_fetched_are_refused(
        self, store: Store, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        source, fetch = f"s3://{bucket}/pairs", s3.Location.fetch

        def late(location: s3.Location, target: Path, size: int) -> None:
            fetch(location, target, size)
            store.put(f"{source}/a.txt", b"b")  # of the same size as what was listed

        monkeypatch.setattr(s3.Location, "fetch", late)
        with pytest.raises(DataError, match="it changed while it was being fetched"):
            materialise(source, None)
        assert not list(tmp_path.rglob("a.txt"))

    def test_a_connection_that_breaks_off_is_made_again(self, bucket: str, line: Line) -> None:
        line.cuts, line.after = 2, CUT
        assert (materialise(f"s3://{bucket}", None).folder / "big").read_bytes() == BIG
        assert line.broken == 2

    def test_nothing_is_kept_of_what_never_arrives_whole(self, bucket: str, line: Line, tmp_path: Path) -> None:
        line.cuts, line.after = 100, CUT
        with pytest.raises(StoreError, match=rf"s3://{bucket}/big: the connection to {line.url} broke repeatedly"):
            materialise(f"s3://{bucket}", None)
        assert 1 < line.broken < 10
        assert [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"] == []


class TestParts:
    def part(self, bucket: str, key: str, start: int, size: int) -> bytes:
        found = locate(f"s3://{bucket}/{key}")
        return found.read(start, size, found.entry()["ETag"])

    def test_a_part_is_read_without_the_rest(self, bucket: str) -> None:
        assert self.part(bucket, "big", 1000, 500) == BIG[1000:1500]
        assert self.part(bucket, "big", 0, len(BIG)) == BIG
        assert self.part(bucket, "big", 7, 0) == b""

    def test_a_connection_that_breaks_off_is_made_again(self, bucket: str, line: Line) -> None:
        found = locate(f"s3://{bucket}/big")
        etag = found.entry()["ETag"]
        line.cuts, line.after = 2, CUT
        assert found.read(0, len(BIG), etag) == BIG
        assert line.broken == 2
        line.cuts, line.broken = 100, 0
        with pytest.raises(StoreError, match="broke repeatedly"):
            found.read(0, len(BIG), etag)
        assert 1 < line.broken < 10

    def test_an_object_that_changed_since_it_was_listed_is_recognised(self, store: Store, bucket: str) -> None:
        found = locate(f"s3://{bucket}/big")
        etag = found.entry()["ETag"]
        store.put(f"s3://{bucket}/big", BIG[:10])
        with pytest.raises(StoreError, match="it changed while it was being read"):
            found.read(0, 5, etag)


STRANGER = ("team:stranger", "secret")
WRONG_SECRET = (Store.owner[0], "wrong")


class TestWhatIsTold:
    """Of a place to write to, before any work starts, and of one to read from."""

    def told(self, uri: str) -> str:
        """The one message that both ways of use agree on."""
        with pytest.raises(StoreError) as writing:
            locate(uri).check_writable()
        with pytest.raises(StoreError) as reading:
            locate(uri).objects()
        assert str(reading.value) == str(writing.value)
        return str(reading.value)

    @pytest.mark.parametrize("user", [STRANGER, WRONG_SECRET])
    def test_refused_keys(self, store: Store, bucket: str, user: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in store.environment(user=user).items():
            monkeypatch.setenv(name, value)
        assert self.told(f"s3://{bucket}/x") == (
            f"s3://{bucket}/x: {store.url} refuses the keys (SignatureDoesNotMatch); set valid ones in sdk.aws.s3 of clearml.conf, "
            "or in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )

    def test_keys_that_are_known_but_may_not(self, store: Store, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in store.environment(user=store.guest).items():
            monkeypatch.setenv(name, value)
        assert f"{store.url} does not allow this with these keys (AccessDenied)" in self.told(f"s3://{bucket}/x")

    def test_no_keys(self, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("HOME", str(tmp_path))
        assert "there are no keys for http://" in self.told(f"s3://{bucket}/x")

    def test_a_missing_bucket(self, store: Store) -> None:
        told = f"s3://nowhere/x: there is no bucket 'nowhere' at {store.url}; create it, or name an existing one"
        assert self.told("s3://nowhere/x") == told

    def test_a_store_that_is_not_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        assert "http://127.0.0.1:9 does not answer (EndpointConnectionError); is it running" in self.told("s3://bucket/x")

    def test_a_store_that_says_nothing(self, line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
        line.silent = True
        for name, value in {"READ": 0.1, "READ_AT_ONCE": 0.1, "ATTEMPTS": 1}.items():
            monkeypatch.setattr(s3, name, value)
        assert f"{line.url} does not answer (ReadTimeoutError); is it running" in self.told("s3://bucket/x")

    def test_a_store_without_https(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_ENDPOINT_URL")
        assert "does not support https; to use http, set AWS_ENDPOINT_URL to http://host:port" in self.told(f"s3://{store.host}/bucket/x")

    @pytest.mark.parametrize("uri", ["s3://", "s3:///x", "s3://host:9000", "s3://host:99999/bucket"])
    def test_an_address_that_names_no_bucket(self, uri: str) -> None:
        with pytest.raises(StoreError, match="write s3://bucket/prefix, or s3://host:port/bucket/prefix"):
            locate(uri)

    def test_a_place_that_can_be_written_to_is_left_as_it_was(self, store: Store) -> None:
        bucket = store.bucket()
        for uri in (f"s3://{bucket}", f"s3://{bucket}/deep/prefix/"):
            locate(uri).check_writable()
        assert store.keys(bucket) == []


class TestKeys:
    """One set of settings serves the SDK and us."""

    def agreed(self, uri: str, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> tuple[Any, ...]:
        """End point, key and secret for an address with these settings in clearml.conf, the same by our client and by the SDK's."""
        from clearml.backend_config.bucket_config import S3BucketConfigurations
        from clearml.storage.helper import StorageHelper

        monkeypatch.setattr(storage, "section", lambda: settings)
        ours = locate(uri).client
        storage.share()
        monkeypatch.setattr(StorageHelper, "_s3_configurations", S3BucketConfigurations.from_config(settings))
        theirs = StorageHelper.get(uri, __force_create=True)._container.resource.meta.client  # noqa: SLF001  the SDK hands it to nobody
        keys = [client._request_signer._credentials for client in (ours, theirs)]  # noqa: SLF001  nor does boto3 its keys
        found = [(client.meta.endpoint_url, key.access_key, key.secret_key) for client, key in zip((ours, theirs), keys, strict=True)]
        assert found[0] == found[1]
        return found[0]

    def test_the_entry_of_a_host_in_clearml_conf_comes_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        entry = {"host": "look.alike:9000", "key": "k", "secret": "s", "secure": False}
        settings = {"key": "other", "secret": "other", "credentials": [entry]}
        assert self.agreed("s3://look.alike:9000/first/x", settings, monkeypatch) == ("http://look.alike:9000", "k", "s")

    def test_then_its_keys_for_all_buckets(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.agreed("s3://second/x", {"key": "k", "secret": "s"}, monkeypatch) == (store.url, "k", "s")

    @pytest.mark.parametrize("form", ["s3://third/x", "s3://{host}/third/x"])
    def test_then_the_environment(self, store: Store, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.agreed(form.format(host=store.host), {"key": "", "secret": ""}, monkeypatch) == (store.url, *store.owner)

    def test_an_entry_without_keys_takes_those(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        settings = {"credentials": [{"host": "look.alike:9000", "secure": False}]}
        assert self.agreed("s3://look.alike:9000/fourth/x", settings, monkeypatch) == ("http://look.alike:9000", *store.owner)

    def test_then_the_files_of_boto3(self, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        (tmp_path / "credentials").write_text("[mine]\naws_access_key_id = k\naws_secret_access_key = s\n")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
        monkeypatch.setenv("AWS_PROFILE", "mine")
        assert self.agreed("s3://fifth/x", {"key": "", "secret": ""}, monkeypatch) == (store.url, "k", "s")

    def test_a_profile_that_is_not_there_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_PROFILE", "nobody")
        with pytest.raises(StoreError, match=r"nobody.*AWS_PROFILE must be one of"):
            locate("s3://bucket/x").objects()

    def test_look_alikes_get_no_checksums_that_they_may_not_know(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert locate("s3://bucket/x").client.meta.config.request_checksum_calculation == "when_required"
        for name in (*storage.CHECKSUMS, "AWS_ENDPOINT_URL"):
            monkeypatch.delenv(name)
        assert locate("s3://bucket/x").client.meta.config.request_checksum_calculation == "when_supported"

    def test_no_secret_is_shown(self, store: Store) -> None:
        assert store.owner[1] not in repr(locate("s3://bucket/x"))


class TestUpload:
    def upload(self, bucket: str, path: Path, content: bytes) -> None:
        path.write_bytes(content)
        locate(f"s3://{bucket}/model").upload(path, sha256(path))

    def test_a_connection_that_breaks_off_is_made_again(self, store: Store, bucket: str, line: Line, tmp_path: Path) -> None:
        line.cuts, line.after = 2, CUT
        self.upload(bucket, tmp_path / "model", BIG)
        assert store.get(f"s3://{bucket}/model") == BIG
        assert line.broken == 2

    def test_what_was_there_stays_until_the_new_is_whole(self, store: Store, bucket: str, line: Line, tmp_path: Path) -> None:
        self.upload(bucket, tmp_path / "model", b"old")
        line.cuts, line.after = 100, CUT
        with pytest.raises(StoreError, match=f"the connection to {line.url} broke repeatedly"):
            self.upload(bucket, tmp_path / "model", BIG)
        assert 1 < line.broken < 10
        assert store.get(f"s3://{bucket}/model") == b"old"

    def test_several_parts_make_one_object(self, store: Store, bucket: str, tmp_path: Path) -> None:
        self.upload(bucket, tmp_path / "model", BIG * 12)
        locate(f"s3://{bucket}/model").download(tmp_path / "again")
        assert (tmp_path / "again").read_bytes() == BIG * 12


class TestDownload:
    def test_an_object_is_checked_against_the_sha256_that_it_was_stored_with(self, bucket: str, tmp_path: Path) -> None:
        (tmp_path / "model").write_bytes(b"weights")
        found = locate(f"s3://{bucket}/model")
        found.upload(tmp_path / "model", "0" * 64)
        with pytest.raises(StoreError, match="does not match the SHA-256"):
            found.download(tmp_path / "fetched")
        assert not (tmp_path / "fetched").exists()

    def test_a_missing_object_is_told(self, store: Store, bucket: str, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match=f"s3://{bucket}/nothing: there is no such object at {store.url}"):
            locate(f"s3://{bucket}/nothing").download(tmp_path / "fetched")


class TestPublishedDataset:
    """What the SDK would not notice before minutes are gone, or not at all."""

    def test_every_archive_must_be_there_as_a_whole(self, bucket: str, store: Store) -> None:
        uri = f"s3://{bucket}/data.zip"
        store.put(uri, b"archive")
        task = SimpleNamespace(artifacts={"data": SimpleNamespace(url=uri, size=7)}, output_uri=f"s3://{bucket}")
        check_stored(task, "numbers", ["data"])
        with pytest.raises(DataError, match=f"numbers: its archive data_001 was never stored at s3://{bucket}"):
            check_stored(task, "numbers", ["data", "data_001"])
        task.artifacts["data"].size = 8
        with pytest.raises(DataError, match=f"numbers: {uri} has 7 of 8 bytes"):
            check_stored(task, "numbers", ["data"])
        store.client.delete_object(Bucket=bucket, Key="data.zip")
        with pytest.raises(DataError, match=f"numbers: {uri}: there is no such object"):
            check_stored(task, "numbers", ["data"])


class Trained:
    """A task whose two newest checkpoints are models in the store."""

    name, id = "toy train", "f" * 32

    def __init__(self, bucket: str, folder: Path) -> None:
        self.models: dict[str, list[Any]] = {"output": []}
        for slot, step in ((0, 5), (1, 4)):
            path = Checkpoints(folder).save(step, lambda path, step=step: path.write_text(f"weights {step}"))
            uri = f"s3://{bucket}/models/checkpoint-{slot}.ckpt"
            manifest = {"file": path.name, "step": step, "sha256": sha256(path)}
            locate(uri).upload(path, manifest["sha256"])
            self.models["output"].append(SimpleNamespace(name=f"checkpoint-{slot}", url=uri, config_dict=manifest))


class TestCheckpointOfATask:
    @pytest.fixture
    def trained(self, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trained:
        import clearml

        trained = Trained(bucket, tmp_path / "checkpoints")
        monkeypatch.setattr(clearml.Task, "get_task", lambda **_: trained)
        return trained

    def test_the_newest_is_fetched(self, trained: Trained, tmp_path: Path) -> None:
        found = checkpoint_of(trained.id, tmp_path / "resumed")
        assert (found.name, found.read_text()) == ("resumed-step=00000005.ckpt", "weights 5")

    @pytest.mark.parametrize(
        ("damage", "told"), [("torn", "does not match the SHA-256 in its manifest"), ("missing", "there is no such object")]
    )
    def test_a_damaged_one_is_passed_over_with_a_warning(
        self, trained: Trained, damage: str, told: str, store: Store, bucket: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        if damage == "torn":
            store.put(trained.models["output"][0].url, b"weigh")
        else:
            store.client.delete_object(Bucket=bucket, Key="models/checkpoint-0.ckpt")
        assert checkpoint_of(trained.id, tmp_path / "resumed").read_text() == "weights 4"
        (warning,) = caplog.messages
        assert f"skipping model checkpoint-0 of task {trained.id}" in warning
        assert told in warning
        assert [path.name for path in (tmp_path / "resumed").iterdir()] == ["resumed-step=00000004.ckpt"]

    def test_when_none_is_left_every_reason_is_told(self, trained: Trained, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        with pytest.raises(CheckpointError) as error:
            checkpoint_of(trained.id, tmp_path / "resumed")
        for expected in ("has no complete checkpoint", "checkpoint-0: s3://", "checkpoint-1: s3://", "does not answer"):
            assert expected in str(error.value)
