"""The digest by which a resumed run recognises its data."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from forms import FORMS

from clip_training.digest import digest_of_pairs
from clip_training.formats import pairs_of


@pytest.mark.parametrize("form", FORMS)
def test_it_does_not_depend_on_the_files_folder(form: str, squares: Path, tmp_path: Path) -> None:
    FORMS[form](squares / "heldout", tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "elsewhere" / "two")
    assert digest_of_pairs(pairs_of(tmp_path / "one")) == digest_of_pairs(pairs_of(tmp_path / "elsewhere" / "two"))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("suffix", [".png", ".txt"])
def test_another_image_or_caption_of_the_same_size_changes_it(form: str, suffix: str, squares: Path, tmp_path: Path) -> None:
    FORMS[form](squares / "heldout", tmp_path / "one")
    shutil.copytree(squares / "heldout", tmp_path / "changed")
    file = sorted((tmp_path / "changed").glob(f"*{suffix}"))[3]
    content = bytearray(file.read_bytes())
    content[-8] ^= 1  # the text stays a text; of a PNG it is a byte of the last checksum
    file.write_bytes(content)
    FORMS[form](tmp_path / "changed", tmp_path / "two")
    assert digest_of_pairs(pairs_of(tmp_path / "one")) != digest_of_pairs(pairs_of(tmp_path / "two"))


def test_order_and_number_count(squares: Path) -> None:
    pairs = pairs_of(squares / "heldout")
    assert len({digest_of_pairs(each) for each in (pairs, pairs[::-1], pairs[:-1])}) == 3


def test_only_a_sample_of_a_large_dataset_is_read(squares: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = pairs_of(squares / "train")
    whole, read = digest_of_pairs(pairs), []
    monkeypatch.setattr("clip_training.digest.MOST", 1000)
    read_bytes = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read.append(path) or read_bytes(path))
    assert digest_of_pairs(pairs) == digest_of_pairs(pairs) != whole
    assert 0 < len(read) // 2 < len(pairs)


def test_an_unreadable_file_is_not_an_error(squares: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(squares / "heldout", tmp_path / "copy"))
    pairs = pairs_of(copy)
    before = digest_of_pairs(pairs)
    sorted(copy.glob("*.png"))[0].unlink()
    assert digest_of_pairs(pairs) != before
