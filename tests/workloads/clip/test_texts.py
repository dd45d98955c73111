"""Captions are read in the stated encoding; files in another one are skipped and listed, with a suggestion."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from forms import write_tar
from PIL import Image
from runs import run

from clip_training.formats import pairs_of
from clip_training.pairs import UnusableError, read_captions
from clip_training.texts import Reading, lines_of, problem_of_encoding, text_of
from harness.errors import DataError, ParameterError
from harness.report import Recorder

CAPTION = "grüße, ein rotes quadrat"


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16", "gb18030"])
def test_a_caption_is_read_in_its_encoding(encoding: str, tmp_path: Path) -> None:
    text = "一只红色的鸟" if encoding == "gb18030" else CAPTION
    (tmp_path / "a.txt").write_bytes(text.encode(encoding))
    assert read_captions(tmp_path / "a.txt", encoding=encoding) == [text]


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16-le"])
def test_a_byte_order_mark_is_not_part_of_a_caption(encoding: str) -> None:
    assert text_of(b"\xef\xbb\xbf" + CAPTION.encode(), encoding) == CAPTION  # UTF-8's says what it is, whatever the setting
    assert text_of(("\ufeff" + CAPTION).encode("utf-16-le"), "utf-16-le") == CAPTION


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (CAPTION.encode("latin-1"), r"is not utf-8 text \(at byte 2\); set data\.encoding to its encoding, such as data\.encoding=cp1252"),
        (CAPTION.encode("utf-16"), r"is not utf-8 text \(at byte 0\); it looks like data\.encoding=utf-16"),
        ("\ufeffa".encode("utf-32-be"), r"it looks like data\.encoding=utf-32"),
        (b"a\0 \0b\0", r"is not utf-8 text \(at byte 1\); it looks like data\.encoding=utf-16-le"),
        (b"\0a\0b", r"it looks like data\.encoding=utf-16-be"),
        (b"one\0NUL in a text", r"has a NUL, which is no character of a text, at byte 3"),
    ],
)
def test_a_recognisable_encoding_is_suggested(content: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(UnusableError, match=rf"a\.txt: .*{told}"):
        read_captions(tmp_path / "a.txt")


def test_captions_end_with_newlines_only() -> None:
    """Python's other line endings are characters of a caption: 0x85, an ellipsis in cp1252, may be read as latin-1."""
    text = "one\x85 still\r\n\n two\u2028still\rthree\x0b\x1cstill\n \n"
    assert lines_of(text) == ["one\x85 still", "two\u2028still", "three\x0b\x1cstill"]


def test_shards_and_tables_are_read_in_it_too(tmp_path: Path) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "PNG")
    members = [("a.png", picture.getvalue()), ("a.txt", CAPTION.encode("cp1252"))]
    members += [("b.png", picture.getvalue()), ("b.json", f'{{"caption": "{CAPTION}"}}'.encode("cp1252"))]
    write_tar(tmp_path / "shards/0.tar", members)
    (tmp_path / "table").mkdir()
    (tmp_path / "table/größe.png").write_bytes(picture.getvalue())
    with (tmp_path / "table/pairs.csv").open("w", encoding="cp1252", newline="") as handle:
        csv.writer(handle).writerows([["filepath", "title"], ["größe.png", CAPTION]])
    reading = Reading(encoding="cp1252")
    assert [pair.read_captions() for pair in pairs_of(tmp_path / "shards", reading=reading)] == [[CAPTION]] * 2
    (pair,) = pairs_of(tmp_path / "table", reading=reading)
    assert (Path(str(pair.image)).name, pair.read_captions()) == ("größe.png", [CAPTION])
    with pytest.raises(DataError, match=r"pairs\.csv cannot be read as a table: is not utf-8 text .*data\.encoding=cp1252"):
        pairs_of(tmp_path / "table")


@pytest.mark.parametrize("name", ["utf-9", "base64", "rot13", ""])
def test_an_unknown_encoding_is_an_error(name: str) -> None:
    assert problem_of_encoding(name) == "is not a text encoding that Python knows (some are utf-8, utf-16, latin-1, cp1252, gb18030)"
    assert problem_of_encoding("latin-1") is problem_of_encoding("UTF8") is problem_of_encoding("gb18030") is None


def test_a_run_uses_the_encoding_and_lists_files_in_another(squares: Path, tiny_model: Path, tmp_path: Path) -> None:
    for path in squares.rglob("*"):
        target = tmp_path / "data" / path.relative_to(squares)
        if path.suffix == ".txt":
            target.write_text(path.read_text().replace("square", "quadrat ü"), "latin-1")
        elif path.is_file():
            target.write_bytes(path.read_bytes())
        else:
            target.mkdir(parents=True)
    (tmp_path / "data/train/alone.txt").write_text("no picture")
    with pytest.raises(DataError, match=r"none of 60 pairs is usable; .*such as data\.encoding=cp1252"):
        run(tmp_path / "data", tmp_path / "utf-8", tiny_model, train__epochs=1)
    report = Recorder()
    run(tmp_path / "data", tmp_path / "latin-1", tiny_model, report, train__epochs=1, data__encoding="latin-1")
    assert (tmp_path / "latin-1/skipped.txt").read_text() == f"in no pair\t{tmp_path}/data/train/alone.txt: there is no image for it\n"
    assert any(text.startswith("1 files belong to no pair, listed in ") for text in report.texts)
    with pytest.raises(ParameterError, match=r"data\.encoding=utf-9"):
        run(tmp_path / "data", tmp_path / "utf-9", tiny_model, data__encoding="utf-9")
