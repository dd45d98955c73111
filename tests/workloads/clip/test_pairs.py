"""The data rules: what is a pair, what is skipped, and what is random."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from clip_training.formats import pairs_of, split
from clip_training.pairs import HeldOut, Pairs, UnusableError, collate, random_crop_box, read_captions, read_image
from harness.errors import DataError


@pytest.fixture(scope="session")
def photographs() -> Path:
    """The folder of real photographs that scikit-image's wheel ships."""
    package = importlib.util.find_spec("skimage")
    assert package is not None, "scikit-image is in tests/requirements.txt"
    assert package.submodule_search_locations is not None
    return Path(package.submodule_search_locations[0]) / "data"


def tokens_of(text: str) -> torch.Tensor:
    return torch.tensor([len(text)])


def dataset(folder: Path, **options: object) -> Pairs:
    settings = {"seed": 0, "keep": False, **options}
    return Pairs(pairs_of(folder), tokens_of, Image.Resampling.BICUBIC, 32, **settings)


def test_stems_match_across_folders_suffixes_and_case(photographs: Path, tmp_path: Path) -> None:
    chelsea = read_image(photographs / "chelsea.png")
    names = ["a/one.png", "b/two.JPG", "b/c/three.jpeg", "four.BMP", "five.webp", "six.tiff", "d/seven.Gif", "eight.ppm"]
    for name in names:
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        chelsea.resize((60, 40)).save(path)
        caption = tmp_path / "captions" / "elsewhere" / f"{path.stem}.TXT"
        caption.parent.mkdir(parents=True, exist_ok=True)
        caption.write_text("a cat\n")
    (tmp_path / "notes.md").write_text("no image")

    assert sorted(pair.stem for pair in pairs_of(tmp_path)) == sorted(Path(name).stem for name in names)
    assert all(sample.image.shape == (3, 32, 32) for sample in map(dataset(tmp_path).__getitem__, [(0, i) for i in range(8)]))


def test_every_photograph_of_the_wheel_is_read(photographs: Path) -> None:
    modes = set()
    paths = [path for path in sorted(photographs.iterdir()) if path.suffix in (".png", ".jpg", ".gif")]
    for path in paths:
        with Image.open(path) as image:
            modes.add(image.mode)
        assert read_image(path).mode == "RGB", path.name
    assert {"L", "RGB", "RGBA"} <= modes
    assert len(paths) > 20
    with pytest.raises(UnusableError, match="cannot identify"):
        read_image(photographs / "multipage_rgb.tif")  # a layout that Pillow does not know


def test_a_photograph_keeps_its_colours(photographs: Path) -> None:
    grey = np.asarray(read_image(photographs / "camera.png"))  # stored with one channel
    assert (grey[..., 0] == grey[..., 2]).all()
    astronaut = np.asarray(read_image(photographs / "astronaut.png"))
    assert tuple(astronaut[200, 300]) == tuple(Image.fromarray(astronaut).getpixel((300, 200)))
    assert astronaut[350:450, 100:300, 0].mean() > 1.5 * astronaut[350:450, 100:300, 2].mean()  # the suit is orange, not blue


def test_files_without_a_partner_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("both", "alone", "other/both"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / f"{name}.png")
    for name in ("both", "lost", "lost2"):
        (tmp_path / f"{name}.txt").write_text("text")
    with caplog.at_level(logging.WARNING):
        pairs = pairs_of(tmp_path)

    assert [pair.image for pair in pairs] == [tmp_path / "both.png"]
    assert "4 files belong to no pair, 0 of them with an ambiguous match; left out, e.g. " in caplog.text


def test_a_folder_without_pairs_says_what_it_holds(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"1 images and 0 \.txt files"):
        pairs_of(tmp_path)


def test_empty_and_corrupt_pairs_are_replaced_and_reported(photographs: Path, tmp_path: Path) -> None:
    photograph = (photographs / "rocket.jpg").read_bytes()
    files = {"0.jpg": photograph, "1.jpg": photograph[:5000], "2.png": b"", "3.png": b"no image", "4.jpg": photograph, "5.jpg": photograph}
    captions = {"0": b"a rocket\n", "1": b"a", "2": b"a", "3": b"a", "4": b"\n \n", "5": b"\xff\xfe\xfa"}
    for name, content in {**files, **{f"{stem}.txt": text for stem, text in captions.items()}}.items():
        (tmp_path / name).write_bytes(content)
    pairs = dataset(tmp_path)

    samples = [pairs[0, index] for index in range(6)]

    assert [sample.index for sample in samples] == [0] * 6  # the next usable one, around the end
    assert set(samples[1].skipped) == {1, 2, 3, 4, 5}
    assert "truncated" in samples[1].skipped[1]
    assert "no caption" in samples[1].skipped[4]
    assert "utf-8" in samples[1].skipped[5]
    assert collate(samples).skipped == samples[1].skipped
    heldout = HeldOut(
        pairs.pairs, tokens_of, Image.Resampling.BICUBIC, 32, seed=0, keep=False, transform=lambda image: image.resize((32, 32))
    )
    assert collate([heldout[index] for index in range(6)]).index.tolist() == [0]


def test_a_dataset_without_usable_pairs_is_an_error(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(b"")
        (tmp_path / f"{number}.txt").write_text("text")
    with pytest.raises(DataError, match="none of 3 pairs is usable"):
        dataset(tmp_path)[0, 1]


def test_a_random_non_empty_caption_is_used(tmp_path: Path) -> None:
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfa\r\n\r\nbb\n  \nccc  \n")
    pairs = dataset(tmp_path)

    assert read_captions(tmp_path / "a.txt") == ["a", "bb", "ccc"]
    drawn = [int(pairs[epoch, 0].tokens) for epoch in range(300)]
    assert pytest.approx({n: drawn.count(n) for n in (1, 2, 3)}, abs=35) == {1: 100, 2: 100, 3: 100}
    with pytest.raises(UnusableError):
        read_captions(tmp_path / "missing.txt")


def test_crops_are_squares_of_75_to_100_percent_of_the_area() -> None:
    rng = np.random.default_rng(0)
    boxes = np.array([random_crop_box(100, 100, rng) for _ in range(2000)])
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    share = width * height / 100**2

    assert (width == height).all()
    assert share.min() >= 0.74
    assert share.max() <= 1
    assert share.mean() == pytest.approx(0.875, abs=0.01)
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= 100).all()
    assert random_crop_box(300, 100, rng) == (100, 0, 200, 100)  # too long for any such square: the middle
    assert random_crop_box(1, 1, rng) == (0, 0, 1, 1)


def test_a_sample_is_a_function_of_seed_epoch_and_index(squares: Path) -> None:
    one, same, other = (dataset(squares / "train", **options) for options in ({}, {"keep": True}, {"seed": 1}))
    for _ in range(2):
        for index in (5, 0, 7):
            assert torch.equal(one[3, index].image, same[3, index].image)
            assert torch.equal(one[3, index].tokens, same[3, index].tokens)
    tokens = [[int(data[epoch, index].tokens) for index in range(20)] for data, epoch in ((one, 3), (one, 4), (other, 3))]
    assert tokens[0] != tokens[1] != tokens[2] != tokens[0]


def test_a_folder_without_a_stated_split_is_split_by_split_seed(squares: Path, tmp_path: Path) -> None:
    training, heldout = split(squares, 0.5, seed=0)
    assert (len(training), len(heldout)) == (60, 20)  # its parts, whatever the share
    flat = squares / "train"
    first, again, other = (split(flat, 0.1, seed) for seed in (0, 0, 1))
    assert (len(first[0]), len(first[1])) == (54, 6)
    assert first == again != other
    assert not {pair.stem for pair in first[0]} & {pair.stem for pair in first[1]}
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(DataError, match="at least two are needed"):
        split(tmp_path, 0.1, 0)
