"""Folders of pairs, WebDataset's tar files and tables hold the same pairs, and training on them is the same."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from forms import FORMS, files_of, write_tar
from PIL import ExifTags, Image
from runs import run, same
from support.other_user import as_nobody, shared_folder

from clip_training.formats import pairs_of
from clip_training.pairs import Pair, UnusableError
from harness.checkpoint import find
from harness.errors import DataError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Indices of shards go to the test's own folder."""
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def picture(colour: str = "red") -> bytes:
    stored = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(stored, "PNG")
    return stored.getvalue()


def contents(pairs: list[Pair]) -> list[tuple[bytes, list[str]]]:
    return [(pair.read_image().tobytes(), pair.read_captions()) for pair in pairs]


@pytest.mark.parametrize("form", FORMS)
def test_every_format_gives_the_same_pairs(form: str, squares: Path, tmp_path: Path) -> None:
    FORMS[form](squares / "train", tmp_path / "data")
    wanted = [(Image.open(image).tobytes(), text.read_text().split("\n\n")) for image, text in files_of(squares / "train")]
    found = contents(pairs_of(tmp_path / "data"))
    assert [image for image, _ in found] == [image for image, _ in wanted]
    assert [captions[0] for _, captions in found] == [captions[0] for _, captions in wanted]
    assert {len(captions) for _, captions in found} == {2}


@pytest.mark.parametrize("form", FORMS)
def test_images_are_decoded_the_same_way_in_every_format(form: str, tmp_path: Path) -> None:
    """A 16-bit grey image stored on its side is scaled and turned upright, which Pillow alone does not do."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    (tmp_path / "made").mkdir()
    Image.fromarray(np.array([[65535, 0, 257]], np.uint16)).save(tmp_path / "made/a.png", exif=exif)
    (tmp_path / "made/a.txt").write_text("a column")
    FORMS[form](tmp_path / "made", tmp_path / "data")
    (pair,) = pairs_of(tmp_path / "data")
    assert np.asarray(pair.read_image())[..., 0].tolist() == [[255], [0], [1]]


@pytest.fixture(scope="module")
def unbroken(squares: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    return run(squares, tmp_path_factory.mktemp("unbroken"), tiny_model)


@pytest.mark.parametrize("form", FORMS)
def test_training_depends_neither_on_the_format_nor_on_interruptions(
    form: str, squares: Path, tiny_model: Path, tmp_path: Path, unbroken: dict[str, torch.Tensor]
) -> None:
    """The weights are bit-identical to training on the folder, even when a run is resumed in the middle of an epoch."""
    for part in ("train", "heldout"):
        FORMS[form](squares / part, tmp_path / "data" / part)
    whole = run(tmp_path / "data", tmp_path / "run", tiny_model, train__checkpoint_every=5, data__workers=2, data__keep_in_memory=False)
    assert same(whole, unbroken)
    checkpoint = find(tmp_path / "run" / "checkpoints" / "step=00000015.ckpt")
    assert same(run(tmp_path / "data", tmp_path / "again", tiny_model, resume=checkpoint), unbroken)


class TestShards:
    @pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
    def test_the_key_ends_at_the_first_dot(self, form: int, tmp_path: Path) -> None:
        long = "deep/" * 12 + "n" * 60
        names = ["a.jpg", "a.txt", "dir.v2/b.seg.png", "dir.v2/b.png", "dir.v2/b.txt", f"{long}.PNG", f"{long}.TXT", "c.cls", ".hidden.png"]
        texts = {name: name.encode() for name in names if name.lower().endswith("txt")}
        write_tar(tmp_path / "0.tar", [(name, texts.get(name, picture())) for name in names], form)
        pairs = pairs_of(tmp_path)
        assert [pair.stem for pair in pairs] == ["a", "dir.v2/b", long]
        assert [pair.read_captions() for pair in pairs] == [["a.txt"], ["dir.v2/b.txt"], [f"{long}.TXT"]]

    def test_archives_of_the_tar_program_are_read(self, squares: Path, tmp_path: Path) -> None:
        subprocess.run(["tar", "-cf", tmp_path / "all.tar", "-C", squares / "heldout", "."], check=True)
        found, wanted = pairs_of(tmp_path), pairs_of(squares / "heldout")
        assert sorted(contents(found)) == sorted(contents(wanted))

    def test_equal_keys_in_two_shards_are_two_samples(self, tmp_path: Path) -> None:
        for number, colour in enumerate(("red", "blue")):
            write_tar(tmp_path / f"{number}.tar", [("x.png", picture(colour)), ("x.txt", colour.encode())])
        assert [pair.read_captions() for pair in pairs_of(tmp_path)] == [["red"], ["blue"]]
        assert [pair.read_image().getpixel((0, 0)) for pair in pairs_of(tmp_path)] == [(255, 0, 0), (0, 0, 255)]

    def test_a_caption_can_be_stored_under_a_key_in_json(self, tmp_path: Path) -> None:
        stated = [{"caption": "one"}, {"title": "two", "caption": "no"}, {"caption": ["three", "four"]}, {"other": "x"}, ["list"]]
        images = [(f"{number}.png", picture()) for number in range(len(stated) + 1)]
        texts = [(f"{number}.json", json.dumps(each).encode()) for number, each in enumerate(stated)]
        write_tar(tmp_path / "0.tar", [*images, *texts, (f"{len(stated)}.json", b"{torn")])
        pairs = pairs_of(tmp_path)
        assert [pair.read_captions() for pair in pairs[:3]] == [["one"], ["two"], ["three", "four"]]
        for pair in pairs[3:]:
            with pytest.raises(UnusableError, match=r"0\.tar:\d\.json"):
                pair.read_captions()

    def test_txt_is_preferred_and_incomplete_samples_are_counted(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        members = [("a.png", picture()), ("a.json", b'{"caption": "json"}'), ("a.txt", b"text"), ("b.png", picture()), ("c.txt", b"text")]
        write_tar(tmp_path / "0.tar", members)
        with caplog.at_level(logging.WARNING):
            pairs = pairs_of(tmp_path)
        assert [pair.read_captions() for pair in pairs] == [["text"]]
        assert "2 samples have no image or no caption" in caplog.text

    @pytest.mark.parametrize(
        ("where", "told", "usable"),
        [
            ("between members", "neither a header nor the end of the archive at byte", 1),
            ("in a header", "neither a header nor the end of the archive at byte", 1),
            ("in an image", "unexpected end of data", 1),
            ("a header overwritten", "neither a header nor the end of the archive at byte", 1),
            ("its end only", "neither a header nor the end of the archive at byte", 3),
        ],
    )
    def test_a_damaged_shard_is_used_up_to_the_damage(
        self, where: str, told: str, usable: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        image = picture().ljust(2048, b"\0")
        members = [(f"{number}.{suffix}", content) for number in range(3) for suffix, content in (("png", image), ("txt", b"text"))]
        write_tar(tmp_path / "0.tar", members)
        content, second = (tmp_path / "0.tar").read_bytes(), 512 + 2048 + 512 + 512
        cuts = {"between members": second, "in a header": second + 100, "in an image": second + 1000, "its end only": 3 * second}
        overwritten = content[:second] + b"x" * 512 + content[second + 512 :]
        (tmp_path / "0.tar").write_bytes(content[: cuts[where]] if where in cuts else overwritten)
        with caplog.at_level(logging.WARNING):
            pairs = pairs_of(tmp_path)
        assert f"0.tar is damaged: {told}" in caplog.text
        assert len([pair.read_image() for pair in pairs]) == usable

    def test_a_truncated_member_is_an_unusable_pair(self, tmp_path: Path) -> None:
        write_tar(tmp_path / "0.tar", [("a.txt", b"text"), ("a.png", picture().ljust(2048, b"\0"))])
        (tmp_path / "0.tar").write_bytes((tmp_path / "0.tar").read_bytes()[:2000])
        (pair,) = pairs_of(tmp_path)
        with pytest.raises(UnusableError, match=r"0\.tar:a\.png: the archive ends after 464 of 2048 bytes"):
            pair.read_image()

    def test_a_file_that_is_not_an_archive_is_an_error(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        (tmp_path / "a.tar").write_bytes(b"no archive" * 1000)
        (tmp_path / "b.tar").write_bytes(b"")
        with caplog.at_level(logging.WARNING), pytest.raises(DataError, match=r"2 \.tar files hold no image"):
            pairs_of(tmp_path)
        assert "a.tar" in caplog.text
        assert "b.tar" in caplog.text

    def test_links_and_devices_are_ignored(self, tmp_path: Path) -> None:
        with tarfile.open(tmp_path / "0.tar", "w") as archive:
            for name in ("a.png", "a.txt"):
                link = tarfile.TarInfo(name)
                link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
                archive.addfile(link)
        with pytest.raises(DataError, match="hold no image"):
            pairs_of(tmp_path)

    def test_hidden_members_are_not_read(self, tmp_path: Path) -> None:
        names = ["./a.png", "./a.txt", ".git/b.png", ".git/b.txt", "x/.trash/c.png", "x/.trash/c.txt", "._a.png", "._a.txt"]
        write_tar(tmp_path / "0.tar", [(name, picture() if name.endswith("png") else b"text") for name in names])
        assert [pair.stem for pair in pairs_of(tmp_path)] == ["./a"]

    def test_the_index_is_kept_until_the_shard_changes(self, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write_tar(tmp_path / "data" / "0.tar", [("a.png", picture()), ("a.txt", b"one")])
        first = pairs_of(tmp_path / "data")
        with monkeypatch.context() as patched:
            patched.setattr(tarfile, "open", None)
            assert pairs_of(tmp_path / "data") == first
        assert len(list((cache / "shards").glob("*.json"))) == 1
        write_tar(tmp_path / "data" / "0.tar", [("b.png", picture()), ("b.txt", b"two"), ("pad", b"x" * 9999)])
        assert [pair.read_captions() for pair in pairs_of(tmp_path / "data")] == [["two"]]

    def test_another_user_s_cache_is_read_but_not_written(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for folder in shared_folder():
            monkeypatch.setenv("HARNESS_CACHE", str(folder / "cache"))
            for name in ("theirs", "ours"):
                write_tar(folder / name / "0.tar", [("a.png", picture()), ("a.txt", name.encode())])
            pairs_of(folder / "theirs")
            for name in ("theirs", "ours"):
                assert as_nobody(lambda place=folder / name: [pair.read_captions() for pair in pairs_of(place)]) == [[name]]
            assert len(list((folder / "cache/shards").glob("*.json"))) == 1
