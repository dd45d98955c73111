"""Which image goes with which text: the nearest match, or none if that is ambiguous."""

from __future__ import annotations

import logging
from pathlib import Path, PurePosixPath

import pytest
from PIL import Image

from clip_training.config import DataConfig
from clip_training.formats import pairs_of, split
from clip_training.npz_pairs import npz_pairs
from clip_training.pairing import paired
from clip_training.texts import Reading
from harness.errors import DataError


def write(folder: Path, *names: str) -> Path:
    """Write small images, and texts that hold their own names."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".txt":
            path.write_text(name)
        else:
            Image.new("RGB", (4, 4)).save(path)
    return folder


def pairing(*names: str) -> tuple[dict[str, str], dict[str, str]]:
    """The pairs by name, and the reasons for unpaired files."""
    paths = [PurePosixPath(name) for name in names]
    found = paired([path for path in paths if path.suffix != ".txt"], [path for path in paths if path.suffix == ".txt"])
    left_out = dict(line.split(": ", 1) for line in found.left_out)
    assert len(left_out) + 2 * len(found.pairs) == len(names)  # nothing is lost without a word
    return {str(image): str(text) for image, text in found.pairs}, left_out


def test_a_match_in_the_same_folder_comes_first() -> None:
    pairs, left_out = pairing("birds/0000.jpg", "cats/0000.jpg", "cats/0000.txt")
    assert pairs == {"cats/0000.jpg": "cats/0000.txt"}
    assert left_out == {"birds/0000.jpg": "there is no text for it"}


def test_leftover_files_with_a_repeated_stem_are_not_paired() -> None:
    """Each class folder lacks one file, so the bird must not get the dog's text."""
    pairs, left_out = pairing("birds/0.jpg", "birds/1.jpg", "birds/1.txt", "cats/0.jpg", "cats/0.txt", "dogs/0.txt")
    assert pairs == {"birds/1.jpg": "birds/1.txt", "cats/0.jpg": "cats/0.txt"}
    assert left_out == {
        "birds/0.jpg": "could go with dogs/0.txt, but other files have the same stem",
        "dogs/0.txt": "could go with birds/0.jpg, but other files have the same stem",
    }


@pytest.mark.parametrize(
    ("image", "text"),
    [
        ("images/{}/0.jpg", "texts/{}/0.txt"),
        ("{}/img/0.jpg", "{}/text/0.txt"),
        ("all/images/{}/deep/0.jpg", "all/captions/{}/deep/0.txt"),
    ],
)
def test_equal_stems_in_mirrored_trees_are_matched_by_path(image: str, text: str) -> None:
    parts = ("a", "b", "c")
    readme = image.format("README").rpartition("/")[0] + "/README.txt"  # a text that is nobody's
    names = [form.format(part) for part in parts for form in (image, text)]
    pairs, left_out = pairing(*names, readme)
    assert pairs == {image.format(part): text.format(part) for part in parts}
    assert list(left_out) == [readme]


def test_a_unique_stem_is_matched_in_any_folder() -> None:
    assert pairing("foo/bar/image1.jpg", "mystery/folder/image1.txt")[0] == {"foo/bar/image1.jpg": "mystery/folder/image1.txt"}


@pytest.mark.parametrize(
    "names",
    [
        ("a.jpg", "a.png", "a.txt"),
        ("images/a.jpg", "english/a.txt", "german/a.txt"),
        ("one/x/a.jpg", "two/y/a.jpg", "three/z/a.txt"),
    ],
)
def test_several_candidates_are_not_paired_and_all_are_named(names: tuple[str, ...]) -> None:
    pairs, left_out = pairing(*names)
    assert pairs == {}
    assert set(left_out) == set(names)
    assert all("could go with" in why for why in left_out.values())


class TestNumbers:
    """The folders of the prompt-tuning program: img/image1.jpg, text/text1.txt, npz/data1.npz."""

    def test_its_tree_is_matched_by_number_with_a_warning(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        write(tmp_path, *(f"img/image{n}.jpg" for n in (1, 2, 10)), *(f"text/text{n}.txt" for n in (10, 2, 1)))
        with caplog.at_level(logging.WARNING):
            pairs = pairs_of(tmp_path)
        assert {pair.stem: pair.read_captions() for pair in pairs} == {f"image{n}": [f"text/text{n}.txt"] for n in (1, 2, 10)}
        assert "3 pairs were matched by number, e.g. img/image1.jpg with text/text1.txt" in caplog.text

    def test_its_npz_files_are_matched_by_number_too(self, tmp_path: Path) -> None:
        write(tmp_path, *(f"{folder}{n}{suffix}" for n in (1, 2) for folder, suffix in (("img/image", ".jpg"), ("text/text", ".txt"))))
        (tmp_path / "npz").mkdir()
        for n in (1, 2, 3):
            (tmp_path / f"npz/data{n}.npz").touch()
        pairs, left_out = npz_pairs(tmp_path, 4, "utf-8")
        assert {pair.stem: pair.read_captions() for pair in pairs} == {f"data{n}": [f"text/text{n}.txt"] for n in (1, 2)}
        assert left_out == [f"{tmp_path}/npz/data3.npz: there is no text for it"]

    def test_numbers_may_be_padded_but_must_be_unique(self) -> None:
        assert pairing("img/0001.jpg", "text/1.txt")[0] == {"img/0001.jpg": "text/1.txt"}
        assert pairing("img/image1.jpg", "img/image01.jpg", "text/text1.txt")[0] == {}

    @pytest.mark.parametrize(
        "names", [("img/cat1.jpg", "img/dog2.jpg", "text/text1.txt"), ("image1.jpg", "text1.txt"), ("a/i1.jpg", "b/c/t1.txt")]
    )
    def test_numbers_need_one_common_word_and_a_mirrored_tree(self, names: tuple[str, ...]) -> None:
        assert pairing(*names)[0] == {}


def test_unpaired_files_are_listed_by_name(tmp_path: Path) -> None:
    left_out: list[str] = []
    split(write(tmp_path, "a.jpg", "a.txt", "b.jpg", "b.txt", "c.jpg", "x/d.txt"), 0.5, 0, left_out=left_out)
    assert left_out == [f"{tmp_path}/c.jpg: there is no text for it", f"{tmp_path}/x/d.txt: there is no image for it"]


def test_without_an_unambiguous_pair_the_error_names_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"2 images and 1 \.txt files without an unambiguous match.*a\.jpg: could go with a\.txt"):
        pairs_of(write(tmp_path, "a.jpg", "a.png", "a.txt"))


@pytest.mark.parametrize("hidden", [".ipynb_checkpoints/a-checkpoint", ".git/a", "a/.trash/b", "._a", "__MACOSX/._a"])
def test_hidden_files_are_not_read(hidden: str, tmp_path: Path) -> None:
    write(tmp_path, f"{hidden}.jpg", f"{hidden}.txt", "seen/c.jpg", "seen/c.txt")
    assert [pair.stem for pair in pairs_of(tmp_path)] == ["c"]


def test_links_to_folders_are_followed(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", "a.jpg")
    write(tmp_path / "data", "texts/a.txt")
    (tmp_path / "data/images").symlink_to(tmp_path / "elsewhere")
    assert [str(pair.image) for pair in pairs_of(tmp_path / "data")] == [f"{tmp_path}/data/images/a.jpg"]


class TestLists:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return write(tmp_path, *(f"{part}/{n}{suffix}" for part in ("birds", "cats") for n in range(2) for suffix in (".jpg", ".txt")))

    def test_a_list_may_name_pairs_by_path_where_stems_repeat(self, folder: Path) -> None:
        (folder / "train_set.txt").write_text("birds/0.jpg\ncats/1\n")
        training, heldout = split(folder, 0.5, 0) or ([], [])
        assert [pair.read_captions() for pair in training] == [["birds/0.txt"], ["cats/1.txt"]]
        assert [pair.read_captions() for pair in heldout] == [["cats/0.txt"], ["birds/1.txt"]]

    def test_an_ambiguous_stem_in_a_list_is_an_error(self, folder: Path) -> None:
        (folder / "val_set.txt").write_text("0\n")
        with pytest.raises(DataError, match=r"val_set\.txt: 0 is the stem of 2 images; use birds/0, cats/0"):
            split(folder, 0.5, 0)

    def test_they_are_read_in_the_stated_encoding(self, folder: Path) -> None:
        (folder / "val_set.txt").write_bytes("cats/1\n".encode("utf-16"))
        with pytest.raises(DataError, match=r"val_set\.txt: is not utf-8 text .*it looks like data\.encoding=utf-16"):
            split(folder, 0.5, 0)
        for text in folder.rglob("?.txt"):
            text.write_text("text", "utf-16")
        _, heldout = split(folder, 0.5, 0, reading=Reading(encoding="utf-16"))
        assert [pair.read_captions() for pair in heldout] == [["text"]]


def test_the_setting_s_defaults_are_those_of_reading() -> None:
    assert Reading(DataConfig().image_column, DataConfig().caption_column, DataConfig().encoding) == Reading()
