"""Augmentation by timm's transforms: what it does is a function of seed, epoch and pair alone, and nothing is on that was not asked for."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from coloured_squares import write_pair
from PIL import Image
from runs import run, same
from torch import Tensor
from torch.utils.data import DataLoader

from clip_training.augmentation import Augmentation, drawn_from
from clip_training.config import AugmentConfig, DataConfig, ModelConfig, VptConfig
from clip_training.dataloaders import datasets
from clip_training.model import make_clip
from clip_training.npz_pairs import npz_datasets
from clip_training.pairs import Pairs, collate, random_crop_box
from harness.errors import ParameterError
from harness.settings import merge

MEAN = (0.5, 0.25, 0.75)
SETTINGS = AugmentConfig(
    hflip=0.5, randaugment="rand-m9-n2-mstd0.5", color_jitter=[0.4, 0.4, 0.4, 0.1], color_jitter_prob=0.8, gray_scale_prob=0.2
)


def picture(side: int = 32) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(256, size=(side, side, 3), dtype=np.uint8))


def augmentation(**settings: Any) -> Augmentation:
    return Augmentation(AugmentConfig(**settings), 32, MEAN, Image.Resampling.BICUBIC)


def names(found: Augmentation) -> list[str]:
    return [type(step).__name__ for step in found.steps.transforms]


def test_by_default_an_image_is_only_cropped() -> None:
    image = picture()
    assert names(augmentation()) == []
    assert augmentation()(image, np.random.default_rng(0)) is image


def test_each_setting_is_one_of_timms_steps() -> None:
    """RandAugment does not turn colour jitter off, as it does where timm has its own way."""
    found = Augmentation(SETTINGS, 32, MEAN, Image.Resampling.BICUBIC)
    assert names(found) == ["RandomHorizontalFlip", "RandAugment", "RandomApply", "RandomGrayscale"]
    flip, rand, jitter, gray = found.steps.transforms
    assert (flip.p, rand.num_layers, jitter.p, gray.p) == (0.5, 2, 0.8, 0.2)
    assert jitter.transforms[0].brightness == (0.6, 1.4)
    assert jitter.transforms[0].hue == (-0.1, 0.1)
    op, *_ = rand.ops
    assert (op.magnitude, op.magnitude_std, op.prob) == (9, 0.5, 0.5)
    assert op.kwargs["fillcolor"] == (128, 64, 191)  # the mean colour
    assert not any("flip" in step.name.lower() for step in rand.ops)


def test_flips_and_colours_are_what_they_say() -> None:
    image = picture()
    flipped = augmentation(hflip=1.0)(image, np.random.default_rng(0))
    assert np.array_equal(np.array(flipped), np.array(image)[:, ::-1])
    grey = np.array(augmentation(gray_scale_prob=1.0)(image, np.random.default_rng(0)))
    assert (grey == grey[..., :1]).all()


def test_random_numbers_come_from_the_place_in_the_run_and_the_global_generators_are_restored() -> None:
    found, image = Augmentation(SETTINGS, 32, MEAN, Image.Resampling.BICUBIC), picture()
    made = []
    for number in (0, 0, 1):
        random.seed(number)
        np.random.seed(number)
        torch.manual_seed(number)
        before = random.getstate()[1], np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
        made.append([np.array(found(image, np.random.default_rng(seed))) for seed in range(8)])
        assert (random.getstate()[1], np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before
    for other in made[1:]:
        assert all(np.array_equal(one, two) for one, two in zip(made[0], other, strict=True))
    assert len({one.tobytes() for one in made[0]}) > 6
    with pytest.raises(RuntimeError), drawn_from(1):
        raise RuntimeError


def test_crops_cover_at_least_the_area_that_is_asked_for() -> None:
    shares = [
        (box[2] - box[0]) ** 2 / 10_000 for box in (random_crop_box(100, 100, np.random.default_rng(seed), 0.2) for seed in range(200))
    ]
    assert 0.19 <= min(shares) < 0.3
    assert max(shares) > 0.9
    assert random_crop_box(100, 100, np.random.default_rng(0), 1.0) == (0, 0, 100, 100)


def batches(squares: Path, settings: AugmentConfig, workers: int, epoch: int, tiny_model: Path) -> Tensor:
    clip = make_clip(ModelConfig(str(tiny_model)))
    training, _ = datasets(clip, DataConfig(), squares, seed=3, augment=settings)
    places = [[(epoch, index) for index in range(start, start + 10)] for start in (0, 10)]
    loader = DataLoader(training, batch_sampler=places, num_workers=workers, collate_fn=collate)
    return torch.cat([batch.images for batch in loader])


def test_epochs_differ_and_the_number_of_workers_does_not_matter(squares: Path, tiny_model: Path) -> None:
    first, again, second = (batches(squares, SETTINGS, *place, tiny_model) for place in ((0, 0), (2, 0), (0, 1)))
    assert torch.equal(first, again)
    changed = [not torch.equal(one, two) for one, two in zip(first, second, strict=True)]
    assert sum(changed) >= 18
    assert not torch.equal(first, batches(squares, AugmentConfig(), 0, 0, tiny_model))


def test_a_run_with_augmentation_is_the_same_with_other_workers(squares: Path, tiny_model: Path, tmp_path: Path) -> None:
    options = {"augment__randaugment": "rand-m9", "augment__hflip": 0.5, "train__max_steps": 5}
    one = run(squares, tmp_path / "one", tiny_model, **options)
    assert same(run(squares, tmp_path / "two", tiny_model, data__workers=2, data__keep_in_memory=False, **options), one)
    assert not same(run(squares, tmp_path / "none", tiny_model, train__max_steps=5), one)


def test_images_that_were_prepared_in_advance_are_not_augmented(tiny_model: Path, tmp_path: Path) -> None:
    """Their crop is fixed, and they are normalised, which timm's transforms do not understand."""
    (tmp_path / "npz").mkdir()
    (tmp_path / "text").mkdir()
    np.savez(tmp_path / "npz" / "a.npz", data=np.zeros((3, 32, 32), np.float16))
    (tmp_path / "text" / "a.txt").write_text("a red square")
    settings = merge(VptConfig, None, [("augment.hflip", 0.5)])
    with pytest.raises(ParameterError, match=r"augment\.hflip=0\.5: the images in .*npz were cropped in advance"):
        npz_datasets(make_clip(ModelConfig(str(tiny_model))), settings.data, tmp_path, 0, 4, settings.augment)


def test_a_data_module_augments_itself(tiny_model: Path) -> None:
    with pytest.raises(ParameterError, match=r"augment\.area=0\.5: has no effect with data\.module"):
        datasets(make_clip(ModelConfig(str(tiny_model))), DataConfig(module="a:B"), None, 0, 4, AugmentConfig(area=0.5))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("randaugment", "rand-x3", "must be timm's form, such as rand-m9-n2-mstd0.5"),
        ("randaugment", "augmix-m3", "must be timm's form"),
        ("color_jitter", [0.4], "must be three or four numbers"),
        ("color_jitter", [0.4, 0.4, 0.4, 0.7], "hue must be at most 0.5"),
        ("hflip", 1.5, "must be float >= 0 and <= 1"),
        ("area", 0.0, "must be float > 0 and <= 1"),
    ],
)
def test_what_timm_would_not_understand_is_refused_before_it_is_imported(key: str, value: Any, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        merge(VptConfig, None, [(f"augment.{key}", value)])


def test_a_caption_is_drawn_anew_in_each_epoch_by_seed_and_place_alone(tiny_model: Path, tmp_path: Path) -> None:
    """One of the lines of a pair's text; held-out pairs always have the first."""
    for part in ("train", "heldout"):
        for number in range(6):
            write_pair(tmp_path / part, f"{number}", "red", "blue")
            (tmp_path / part / f"{number}.txt").write_text("one\ntwo\n\nthree\n")
    clip = make_clip(ModelConfig(str(tiny_model)))
    training, heldout = datasets(clip, DataConfig(), tmp_path, seed=3)
    words = {tuple(clip.tokenize(word).tolist()): word for word in ("one", "two", "three")}

    def drawn(pairs: Pairs, epoch: int, seed: int = 3) -> list[str]:
        pairs.seed = seed
        return [words[tuple(pairs[epoch, index].tokens.tolist())] for index in range(6)]

    epochs = [drawn(training, epoch) for epoch in range(5)]
    assert [drawn(training, epoch) for epoch in (3, 1)] == [epochs[3], epochs[1]]  # in whatever order, as when resuming
    assert len({tuple(epoch) for epoch in epochs}) == 5
    assert {word for epoch in epochs for word in epoch} == {"one", "two", "three"}
    assert drawn(training, 0, seed=4) != epochs[0]
    assert {words[tuple(heldout[index].tokens.tolist())] for index in range(6)} == {"one"}
