"""Evaluation sees the held-out pairs and nothing else; a loader's images tell which pairs they come from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from coloured_squares import COLOURS, write_pair
from PIL import Image
from support.training import job_in

from clip_training.config import DataConfig, ModelConfig, NpzConfig, TrainConfig
from clip_training.dataloaders import datasets, make_loaders
from clip_training.model import Clip, make_clip
from clip_training.npz import make_npz
from clip_training.npz_pairs import npz_datasets
from clip_training.training_loop import sampler_of
from harness.errors import ParameterError


@pytest.fixture
def clip(tiny_model: Path) -> Clip:
    return make_clip(ModelConfig(name=str(tiny_model)))


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Twenty pairs that all look different, without a stated split."""
    for number, (inner, outer) in enumerate((inner, outer) for inner in COLOURS for outer in COLOURS if inner != outer):
        write_pair(tmp_path / "pairs", f"{number:02d}", inner, outer)
    return tmp_path / "pairs"


def looks(images: torch.Tensor) -> set[tuple[float, ...]]:
    """The colours in the centre and in a corner, which tell the twenty images apart even when they are cropped."""
    return {tuple(image[:, [16, 0], [16, 0]].float().flatten().tolist()) for image in images}


@pytest.mark.parametrize("source", ["drawn", "listed"])
def test_no_training_pair_is_evaluated_on(source: str, pairs: Path, clip: Clip) -> None:
    if source == "listed":
        (pairs / "val_set.txt").write_text("03\n07\n11\n19\n")
    settings = TrainConfig(data=DataConfig(heldout=0.2, workers=0))
    settings.train.batch_size = 4
    training, heldout = datasets(clip, settings.data, pairs, 0)
    sampler = sampler_of(training, settings, 0)
    loaders = make_loaders(training, heldout, sampler, settings)
    trained, evaluated = (looks(torch.cat([batch.images for batch in loader])) for loader in loaders)
    assert (len(trained), len(evaluated)) == (16, 4)
    assert not trained & evaluated
    if source == "listed":
        stored = (Image.open(pairs / f"{stem}.png") for stem in ("03", "07", "11", "19"))
        assert evaluated == {tuple(float(image.getpixel(at)[c]) for c in range(3) for at in ((20, 20), (0, 0))) for image in stored}


def test_no_training_pair_of_prepared_images_is_evaluated_on(pairs: Path, clip: Clip, tmp_path: Path, tiny_model: Path) -> None:
    settings = NpzConfig(model=ModelConfig(name=str(tiny_model)), data=DataConfig(heldout=0.2, workers=0))
    folder = make_npz(job_in(tmp_path / "out", settings, pairs))
    training, heldout = npz_datasets(clip, settings.data, folder, 0)
    stems = [{pair.stem for pair in data.pairs} for data in (training, heldout)]
    assert [len(each) for each in stems] == [16, 4]
    assert not stems[0] & stems[1]


def test_prepared_images_cannot_be_made_from_a_data_module(tmp_path: Path) -> None:
    settings = NpzConfig(data=DataConfig(module="own_data_module:Module"))
    with pytest.raises(ParameterError, match=r"data\.module: cannot be used with make_npz"):
        make_npz(job_in(tmp_path, settings, None))
