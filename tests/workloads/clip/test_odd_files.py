"""Files that nobody expects: each is a pair, or is left out and counted; none ends a run."""

from __future__ import annotations

import io
import json
import os
import zlib
from pathlib import Path

import pytest
from PIL import Image
from runs import run

from clip_training.digest import digest_of_pairs
from clip_training.formats import pairs_of, split
from clip_training.pairs import UnusableError, read_captions, read_image
from harness.report import Recorder


def picture(mode: str = "RGB", size: tuple[int, int] = (8, 8), form: str = "PNG", **options: object) -> bytes:
    stored = io.BytesIO()
    Image.new(mode, size).save(stored, form, **options)
    return stored.getvalue()


def png_of(width: int, height: int) -> bytes:
    """The start of a PNG of any size (ISO/IEC 15948): a header of 13 bytes states it, and the pixels begin."""
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))))
    whole = (len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big") for name, data in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(whole)


ODD = {
    "one pixel.png": picture(size=(1, 1)),
    "narrow.png": picture(size=(1, 300)),
    "ink.jpg": picture("CMYK", form="JPEG"),
    "deep.png": picture("I;16"),
    "bits.tiff": picture("1", form="TIFF"),
    "palette.GIF": picture("P", form="GIF"),
    "moving.webp": picture(form="WEBP", save_all=True, append_images=[Image.new("RGB", (8, 8), "red")]),
    "new\nline.png": picture(),
    "quote\"and,comma.png": picture(),
    "dots.in.name.png": picture(),
}  # fmt: skip
UNUSABLE = {"empty.png": b"", "bomb.png": png_of(60_000, 60_000), "text.jpg": b"a text"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Odd images and unusable ones with captions, a name that is not UTF-8, a loop of links, and what systems leave behind."""
    root = tmp_path / "data"
    (root / "__MACOSX").mkdir(parents=True)
    for name, content in {**ODD, **UNUSABLE}.items():
        (root / name).write_bytes(content)
        (root / name).with_suffix(".TXT").write_text("a caption\n")
    for place, text in (("\udcff.png", None), ("\udcff.txt", "caption")):
        Path(os.fsdecode(os.fsencode(root / place))).write_bytes(text.encode() if text else picture())
    (root / "loop").symlink_to(root)
    (root / "broken.png").symlink_to(root / "nowhere")
    for name in ("._one pixel.png", ".DS_Store", "Thumbs.db", "__MACOSX/mac.png", "__MACOSX/mac.txt"):
        (root / name).write_bytes(b"\0")
    return root


def test_odd_images_are_pairs_and_unusable_ones_say_why(folder: Path) -> None:
    pairs = {pair.image.name: pair for pair in pairs_of(folder)}
    assert pairs.keys() == {*ODD, *UNUSABLE, "\udcff.png"}
    for name in ODD:
        assert pairs[name].read_image().mode == "RGB"
        assert pairs[name].read_captions() == ["a caption"]
    for name, why in zip(UNUSABLE, ("cannot identify", "decompression bomb", "cannot identify"), strict=True):
        with pytest.raises(UnusableError, match=rf"{name}: .*{why}"):
            read_image(folder / name)


def test_a_run_trains_on_them_and_counts_the_unusable(folder: Path, tiny_model: Path, tmp_path: Path) -> None:
    report = Recorder()
    run(folder, tmp_path / "out", tiny_model, report, train__epochs=1, train__batch_size=4, data__heldout=0.3)
    listed = (tmp_path / "out/skipped.txt").read_text()
    names = {line.partition(": ")[0].rpartition("/")[2] for line in listed.splitlines()}
    assert names
    assert names <= UNUSABLE.keys()  # not each one is drawn: the last batch is not full
    assert any("are unusable and were skipped so far, listed in" in text for text in report.texts)


def test_a_name_that_is_not_utf_8_has_a_digest(folder: Path) -> None:
    one, other = split(folder, 0.5, 0)
    assert digest_of_pairs(one) == digest_of_pairs(one) != digest_of_pairs(other)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "holds no caption"),
        (b"\n \r\n\t\n", "holds no caption"),
        (b"a\0b and more of it", "has a NUL, which is no character of a text, at byte 1"),
    ],
)
def test_a_text_without_a_caption_says_why(content: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(UnusableError, match=told):
        read_captions(tmp_path / "a.txt")


@pytest.mark.parametrize(
    ("stated", "told"),
    [({"caption": "half \ud800 of it"}, "surrogates not allowed"), ({"caption": ["", " "]}, "no caption"), (None, "no caption")],
)
def test_json_that_states_no_text_is_unusable(stated: object, told: str, tmp_path: Path) -> None:
    """A half of a UTF-16 pair ends open_clip's tokenizer: utf-8 codec can't encode."""
    (tmp_path / "a.json").write_text(json.dumps(stated))
    with pytest.raises(UnusableError, match=told):
        read_captions(tmp_path / "a.json")
