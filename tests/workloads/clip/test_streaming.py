"""Pairs that stay in an S3 store while a model trains on them; the store is OpenStack Swift, which checks every signature."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from clearml.config import ConfigSDKWrapper, ConfigWrapper
from forms import FORMS, files_of, write_tar
from runs import run, same
from support.other_user import as_nobody, shared_folder
from support.s3.store import Store

from clip_training import streaming
from clip_training.config import DataConfig
from clip_training.dataloaders import check
from clip_training.digest import digest_of_pairs
from clip_training.formats import pairs_of, split
from clip_training.pairs import UnusableError
from clip_training.streaming import Cache, Stream
from harness import storage
from harness.checkpoint import find
from harness.errors import DataError, ParameterError, StoreError
from harness.s3 import Location

pytestmark = pytest.mark.filterwarnings("ignore::pyparsing.warnings.PyparsingDeprecationWarning")  # of the SDK's
LIMIT = 10_000_000


@pytest.fixture(autouse=True)
def surroundings(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner's keys and the store in the environment, nothing in clearml.conf, and a cache of the test's own."""
    for name in [*(name for name in os.environ if name.startswith("AWS_")), *storage.CHECKSUMS]:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    for name, value in {**store.environment(), "HARNESS_CACHE": str(tmp_path / "cache"), "AWS_EC2_METADATA_DISABLED": "true"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(storage, "section", dict)
    for holder, name in ((ConfigWrapper, "_config"), (ConfigSDKWrapper, "_config_sdk")):
        monkeypatch.setattr(holder, name, getattr(holder, name))  # what the SDK reads now is not for the tests that follow


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """Object, first byte and size of each read from the store in this process."""
    reads: list[tuple[str, int, int]] = []
    read = Location.read

    def counted(self: Location, start: int, size: int, etag: str) -> bytes:
        reads.append((self.key, start, size))
        return read(self, start, size, etag)

    monkeypatch.setattr(Location, "read", counted)
    return reads


def upload(store: Store, folder: Path) -> str:
    """The address of a folder's files in a new bucket."""
    address = f"s3://{store.bucket()}/deep/data"
    for path in folder.rglob("*"):
        if path.is_file():
            store.put(f"{address}/{path.relative_to(folder).as_posix()}", path.read_bytes())
    return address


@pytest.fixture(scope="module")
def local(squares: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The held-out pairs in every format, each in a sub-folder."""
    folder = tmp_path_factory.mktemp("forms")
    for form, write in FORMS.items():
        write(squares / "heldout", folder / form)
    return folder


@pytest.fixture(scope="module")
def stored(store: Store, local: Path) -> str:
    """The address of the same pairs in the store."""
    return upload(store, local)


@pytest.fixture
def few(store: Store, squares: Path) -> str:
    """The address of two pairs that a test may change."""
    files = [path for pair in files_of(squares / "heldout")[:2] for path in pair]
    return f"s3://{store.bucket(**{f'data/{path.name}': path.read_bytes() for path in files})}/data"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("limit", [LIMIT, 0])
def test_a_stream_gives_the_same_pairs_as_the_folder(form: str, limit: int, stored: str, local: Path) -> None:
    streamed, wanted = pairs_of(Stream(f"{stored}/{form}", limit)), pairs_of(local / form)
    assert [pair.stem for pair in streamed] == [pair.stem for pair in wanted]
    for one, other in zip(streamed[::4], wanted[::4], strict=True):
        assert one.read_image().tobytes() == other.read_image().tobytes()
        assert one.read_captions() == other.read_captions()


@pytest.mark.parametrize("form", ["folder", "shards"])
def test_training_on_a_stream_gives_the_same_bits_even_when_interrupted(
    form: str, stored: str, local: Path, tiny_model: Path, tmp_path: Path
) -> None:
    common = {"data__heldout": 0.25, "data__keep_in_memory": False, "train__batch_size": 5, "train__checkpoint_every": 5}
    unbroken = run(local / form, tmp_path / "local", tiny_model, **common)
    common["data__stream"] = f"{stored}/{form}"
    assert same(run(None, tmp_path / "streamed", tiny_model, data__workers=2, **common), unbroken)
    checkpoint = find(tmp_path / "streamed" / "checkpoints" / "step=00000010.ckpt")  # of 12
    assert same(run(None, tmp_path / "again", tiny_model, resume=checkpoint, **common), unbroken)


class TestWhatIsFetched:
    @pytest.mark.parametrize("form", FORMS)
    def test_resuming_checks_the_data_without_fetching_anything(
        self, form: str, stored: str, store: Store, local: Path, fetched: list[tuple[str, int, int]], tmp_path: Path
    ) -> None:
        pairs = pairs_of(Stream(f"{stored}/{form}", LIMIT))
        fetched.clear()
        known = digest_of_pairs(pairs)
        assert fetched == []
        assert digest_of_pairs(pairs_of(Stream(f"{upload(store, local / form)}", LIMIT))) == known
        copy = Path(shutil.copytree(local / form, tmp_path / "copy"))
        changed = sorted(path for path in copy.rglob("*") if path.suffix in (".png", ".tar"))[0]
        content = bytearray(changed.read_bytes())
        content[min(600, len(content) - 8)] ^= 1
        changed.write_bytes(content)
        assert digest_of_pairs(pairs_of(Stream(upload(store, copy), LIMIT))) != known

    def test_each_object_is_fetched_once_and_on_demand(self, stored: str, fetched: list[tuple[str, int, int]]) -> None:
        address = f"{stored}/folder"
        pairs = pairs_of(Stream(address, LIMIT))
        assert fetched == []
        for _ in range(2):
            pairs[3].read_image()
        assert [key for key, _, _ in fetched] == ["deep/" + str(pairs[3].image).partition("/deep/")[2]]
        pairs_of(Stream(address, LIMIT))[3].read_image()  # by another run on this machine
        assert len(fetched) == 1

    def test_only_the_member_of_a_shard_is_fetched(self, stored: str, fetched: list[tuple[str, int, int]]) -> None:
        pairs = pairs_of(Stream(f"{stored}/shards", LIMIT))
        fetched.clear()
        pairs[5].read_image()
        assert [size for _, _, size in fetched] == [pairs[5].image.size]

    def test_a_shard_is_indexed_once_without_fetching_large_members(
        self, store: Store, tmp_path: Path, fetched: list[tuple[str, int, int]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(streaming, "AHEAD", 4096)
        members = [(f"{key}.{suffix}", content) for key in "ab" for suffix, content in (("png", b"x" * 500_000), ("txt", b"text"))]
        write_tar(tmp_path / "data" / "0.tar", members)
        address = upload(store, tmp_path / "data")
        pairs_of(Stream(address, LIMIT))
        assert 0 < sum(size for _, _, size in fetched) < 100_000
        fetched.clear()
        pairs_of(Stream(address, LIMIT))
        assert fetched == []


class TestWhatGoesWrong:
    def test_a_deleted_object_is_an_unusable_pair(self, store: Store, few: str) -> None:
        pairs = pairs_of(Stream(few, 0))
        bucket, _, key = str(pairs[0].image).removeprefix("s3://").partition("/")
        store.client.delete_object(Bucket=bucket, Key=key)
        with pytest.raises(UnusableError, match="there is no such object"):
            pairs[0].read_image()
        assert pairs[1].read_image().size == (40, 40)

    def test_a_table_may_name_missing_images_and_full_addresses(self, store: Store) -> None:
        """Known by the listing of the store: nothing but the table is fetched."""
        bucket = store.bucket(**{"a.png": b"an image", "t.csv": b""})
        rows = f"filepath,title\nnowhere.png,text\ns3://{bucket}/a.png,one\n./a.png,two\ns3://elsewhere/a.png,three\n"
        store.client.put_object(Bucket=bucket, Key="t.csv", Body=rows.encode())
        left_out: list[str] = []
        (pair,) = pairs_of(Stream(f"s3://{bucket}", LIMIT), left_out=left_out)
        assert (str(pair.image), pair.read_captions()) == (f"s3://{bucket}/a.png", ["one", "two"])
        assert [line.partition(": line ")[2].partition(",")[0] for line in left_out] == [
            "2: nowhere.png is not there",
            "5: s3://elsewhere/a.png is an address",
        ]

    def test_a_store_that_does_not_answer_ends_the_run(self, few: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is no damage of a sample: skipping all of them would hide it."""
        stream = Stream(few, 0)
        pairs = pairs_of(stream)
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        stream.opened = None  # as in a process of the loader, which makes connections of its own
        with pytest.raises(StoreError, match="does not answer"):
            pairs[0].read_image()

    def test_a_changed_object_ends_the_run(self, store: Store, few: str) -> None:
        pairs = pairs_of(Stream(few, 0))
        store.put(str(pairs[0].image), b"other")
        with pytest.raises(StoreError, match="it changed while it was being read"):
            pairs[0].read_image()

    def test_an_empty_address_and_a_missing_bucket_are_errors(self, store: Store) -> None:
        with pytest.raises(DataError, match="nothing is stored below it"):
            Stream(f"s3://{store.bucket()}/x", LIMIT)
        with pytest.raises(StoreError, match="there is no bucket 'nowhere'"):
            Stream("s3://nowhere/x", LIMIT)

    def test_contradicting_settings_are_listed_together(self, tmp_path: Path) -> None:
        with pytest.raises(ParameterError) as error:
            check(DataConfig(stream="/data", module_options={"a": 1}), tmp_path)
        assert error.value.problems == [
            "dataset_id or dataset_path and data.stream cannot be combined: each names the data",
            "data.stream=/data: must begin with s3://; use dataset_path for a folder",
            "data.module_options: has no effect without data.module",
        ]
        with pytest.raises(ParameterError) as error:
            check(DataConfig(cache_gb=3), None)
        assert error.value.problems[0].startswith("dataset_id is required: image-text pairs (or dataset_path=FOLDER, data.stream=s3://")
        assert error.value.problems[1] == "data.cache_gb=3: has no effect without data.stream"

    def test_parts_of_a_stream_are_its_sub_folders(self, store: Store, squares: Path) -> None:
        files = {part: [path for pair in files_of(squares / part)[:2] for path in pair] for part in ("train", "heldout")}
        bucket = store.bucket(**{f"{part}/{path.name}": path.read_bytes() for part, paths in files.items() for path in paths})
        training, heldout = split(Stream(f"s3://{bucket}", LIMIT), 0.1, 0)
        assert [pair.stem for pair in training] == ["0000", "0001"]
        assert [pair.stem for pair in heldout] == ["0003", "0007"]
        assert heldout[0].read_image().size == (40, 40)


class TestCache:
    def size(self, folder: Path) -> int:
        return sum(path.stat().st_size for path in folder.glob("??/*"))

    def test_it_stays_within_its_limit_and_drops_the_least_recently_used(self, tmp_path: Path) -> None:
        cache = Cache(tmp_path, 10_000)
        for number in range(100):
            cache.put(str(number), bytes([number]) * 997)
            os.utime(cache.path(str(number)), (number, number))
            assert self.size(tmp_path) <= 10_000
        assert cache.get("99", 997) == bytes([99]) * 997
        assert cache.get("0", 997) is None

    def test_recently_used_files_stay(self, tmp_path: Path) -> None:
        cache = Cache(tmp_path, 3000)
        for number, key in enumerate("abc"):
            cache.put(key, key.encode() * 900)
            os.utime(cache.path(key), (number, number))
        assert cache.get("a", 900) == b"a" * 900
        cache.put("d", b"d" * 900)
        assert {key for key in "abcd" if cache.get(key, 900)} == {"a", "c", "d"}

    def test_files_larger_than_the_limit_or_truncated_are_not_kept(self, tmp_path: Path) -> None:
        cache = Cache(tmp_path, 100)
        cache.put("large", b"x" * 101)
        assert cache.get("large", 101) is None
        cache.put("torn", b"x" * 50)
        cache.path("torn").write_bytes(b"x" * 10)
        assert cache.get("torn", 50) is None

    def test_a_lost_count_is_restored(self, tmp_path: Path) -> None:
        for number in range(5):
            Cache(tmp_path, 1000).put(str(number), b"x" * 190)
        (tmp_path / ".used").unlink()
        Cache(tmp_path, 1000).put("more", b"x" * 190)
        assert self.size(tmp_path) <= 1000

    def test_another_user_s_cache_can_be_read(self) -> None:
        for folder in shared_folder():
            cache = Cache(folder / "streams", 1000)
            cache.put("theirs", b"theirs")
            as_nobody(lambda cache=cache: cache.put("ours", b"ours"))
            assert as_nobody(lambda cache=cache: (cache.get("theirs", 6), cache.get("ours", 4))) == (b"theirs", None)

    def test_a_stream_without_a_cache_leaves_no_file(self, few: str, tmp_path: Path) -> None:
        pairs_of(Stream(few, 0))[0].read_image()
        assert not (tmp_path / "cache" / "streams").exists()
