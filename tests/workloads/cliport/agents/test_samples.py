"""What is learned from: draws that depend on seed, step and place alone, and image, pick and place that are moved together."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scenes import TASK, episode, write_demonstrations
from small import config_of

from cliport.agents.augment import Motion, augmented
from cliport.agents.batch import Batch, image_of
from cliport.agents.samples import RandomSamples, StepSampler, ValidationSamples, batch_of
from cliport.data.episode_source import Sample
from cliport.data.reader import Demonstrations, Mixture

CONFIG = config_of()


def spots(pick: tuple[int, int], place: tuple[int, int], shape: tuple[int, int] = (160, 80)) -> Batch:
    """A sample whose image is red at the pick and green at the place."""
    image = torch.zeros(1, 6, *shape)
    for channel, (row, column) in enumerate((pick, place)):
        image[0, channel, row - 2 : row + 3, column - 2 : column + 3] = 1
    angles = torch.tensor([0.4]), torch.tensor([-2.0])
    return Batch(image, ["put it there"], torch.tensor([pick]), angles[0], torch.tensor([place]), angles[1], image.clone())


@pytest.mark.parametrize("seed", range(12))
def test_image_goal_pick_and_place_move_together(seed: int) -> None:
    item = spots((60, 30), (100, 50))
    moved = augmented(item, np.random.default_rng(seed), 60)
    for channel, pixel in enumerate((moved.pick, moved.place)):
        row, column = pixel[0].tolist()
        assert moved.image[0, channel, row, column] == 1
        assert moved.goal[0, channel, row, column] == 1
    turned = moved.place_theta - item.place_theta
    assert torch.allclose(moved.pick_theta - item.pick_theta, turned, atol=1e-6)
    before, after = item.place - item.pick, moved.place - moved.pick
    angle = math.atan2(after[0, 0], after[0, 1]) - math.atan2(before[0, 0], before[0, 1])
    assert math.cos(angle - float(turned)) > 0.999


def test_a_shift_alone_moves_every_pixel_by_it() -> None:
    image = torch.rand(1, 3, 20, 10)
    moved = Motion(0.0, (3, -2)).image(image)
    assert torch.equal(moved[..., 3:, :-2], image[..., :-3, 2:])
    assert not moved[..., :3, :].any()


def test_motions_are_drawn_around_no_motion(monkeypatch: pytest.MonkeyPatch) -> None:
    from cliport.agents import augment

    rng = np.random.default_rng(0)
    motions = [augment.draw(rng, (160, 80), 60.0) for _ in range(4000)]
    assert np.std([math.degrees(motion.angle) for motion in motions]) == pytest.approx(60, rel=0.05)
    assert np.std([motion.shift[0] for motion in motions]) == pytest.approx(80 / 6, rel=0.05)


def test_a_pixel_that_leaves_the_image_is_drawn_again_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pick and place in two opposite corners: hardly any motion keeps both. After some draws the sample stays as it is."""
    from cliport.agents import augment

    draws = []
    motion = Motion(math.pi / 2, (0.0, 0.0))
    monkeypatch.setattr(augment, "draw", lambda *_: draws.append(1) or motion)
    item = spots((2, 2), (157, 77))
    assert augmented(item, np.random.default_rng(0), 60) is item
    assert len(draws) == augment.TRIES


@pytest.mark.parametrize("geometry", ["exact", "original"])
def test_bilinear_resampling_gives_what_lies_between_pixels_and_nearest_only_what_was_there(geometry: str) -> None:
    """A function of row, column and their product is its own bilinear mean, wherever the four pixels around a source are in the image."""
    rows, columns = np.mgrid[:160, :80].astype(float)
    image = torch.tensor(0.3 + 0.02 * rows - 0.01 * columns + 0.001 * rows * columns)[None, None].float()
    angle, shift, last = 0.7, (4.25, -3.5), 1 if geometry == "exact" else 0
    moved = {how: Motion(angle, shift, geometry, how).image(image)[0, 0].numpy() for how in ("nearest", "bilinear")}
    centre = np.array([(160 - last) / 2, (80 - last) / 2])
    down, right = rows - shift[0] - centre[0], columns - shift[1] - centre[1]
    row, column = math.cos(angle) * down - math.sin(angle) * right, math.sin(angle) * down + math.cos(angle) * right
    row, column = row + centre[0], column + centre[1]
    inside = (row > 0) & (row < 159) & (column > 0) & (column < 79)
    expected = 0.3 + 0.02 * row - 0.01 * column + 0.001 * row * column
    assert 4000 < inside.sum() < 12000
    assert np.abs(moved["bilinear"] - expected)[inside].max() < 1e-4
    assert np.abs(moved["nearest"] - expected)[inside].max() > 1e-2
    assert set(moved["nearest"].ravel().tolist()) <= {0.0, *image.ravel().tolist()}
    assert not moved["bilinear"][(row < -1) | (row > 160) | (column < -1) | (column > 80)].any()


def test_samples_are_drawn_alike_however_they_are_resampled(data: Path) -> None:
    source = Demonstrations(data / f"{TASK}-train")
    nearest, bilinear = (RandomSamples(source, CONFIG, seed=3, sigma=60, resample=how)[7, 1] for how in ("nearest", "bilinear"))
    assert torch.equal(nearest.pick, bilinear.pick)
    assert torch.equal(nearest.place, bilinear.place)
    assert not torch.equal(nearest.image, bilinear.image)


def test_a_demonstration_becomes_pixels_of_the_agents_image() -> None:
    made = episode(4)
    step = made.steps[0]
    item = batch_of(Sample(TASK, step.view, step.instruction, step.action, made.goal(0)), CONFIG, goal=True)
    assert item.image.shape == item.goal.shape == (1, 6, 160, 80)
    colour = item.image[0, :3, item.pick[0, 0], item.pick[0, 1]]
    assert torch.allclose(colour * 255, image_of(step.view)[0, :3, 2 * item.pick[0, 0], 2 * item.pick[0, 1]] * 255, atol=1)
    assert item.language == [step.instruction]
    assert torch.equal(item.image[:, 3], item.image[:, 5])
    assert float(item.image[0, 3, item.pick[0, 0], item.pick[0, 1]]) == pytest.approx(0.04)


def test_halving_an_image_takes_means() -> None:
    view = episode(4).steps[0].view
    whole, half = image_of(view), image_of(view, 2)
    assert torch.allclose(half[0, :, 5, 7], whole[0, :, 10:12, 14:16].mean((1, 2)))


class TestDraws:
    @pytest.fixture
    def source(self, data: Path) -> Demonstrations:
        return Demonstrations(data / f"{TASK}-train")

    def test_samples_depend_only_on_seed_step_and_position(self, source: Demonstrations) -> None:
        draws = RandomSamples(source, CONFIG, seed=3, sigma=60)
        copy = pickle.loads(pickle.dumps(draws))
        assert torch.equal(draws[7, 1].image, copy[7, 1].image)
        others = [draws[7, 0], draws[8, 1], RandomSamples(source, CONFIG, seed=4, sigma=60)[7, 1]]
        assert not any(torch.equal(draws[7, 1].image, other.image) for other in others)

    def test_all_ranks_together_draw_the_same_however_many_there_are(self) -> None:
        one = list(StepSampler(5, 4, 0, lambda: 2))
        two = [list(StepSampler(5, 2, rank, lambda: 2)) for rank in (0, 1)]
        assert one == [first + second for first, second in zip(*two, strict=True)]
        assert [batch[0][0] for batch in one] == [2, 3, 4]

    def test_shuffled_instructions_are_those_of_other_draws(self, source: Demonstrations) -> None:
        given, shuffled = RandomSamples(source, CONFIG, seed=0), RandomSamples(source, CONFIG, seed=0, shuffled=True)
        pairs = [(given[step, 0], shuffled[step, 0]) for step in range(30)]
        assert all(torch.equal(one.image, other.image) for one, other in pairs)
        assert sum(one.language != other.language for one, other in pairs) > 15
        assert {other.language[0] for _, other in pairs} <= {source[i].steps[0].instruction for i in range(len(source))}

    def test_of_a_group_every_task_is_as_likely(self, tmp_path: Path) -> None:
        """However many episodes each has."""
        sources = {}
        for task, count in (("put-block-in-bowl-seen-colors", 6), ("put-block-in-bowl-unseen-colors", 2)):
            write_demonstrations(tmp_path, task, train=count, val=0)
            sources[task] = Demonstrations(tmp_path / f"{task}-train")
        mixture, rng = Mixture(sources), np.random.default_rng(0)
        seen = [mixture.random(rng).task for _ in range(400)]
        assert 160 < seen.count("put-block-in-bowl-unseen-colors") < 240


def test_a_validation_is_the_same_each_time_and_takes_different_steps(data: Path) -> None:
    source = Demonstrations(data / f"{TASK}-val")
    fixed = ValidationSamples(source, CONFIG, count=3, repeats=2)
    assert len(fixed) == 6
    assert torch.equal(fixed[3].image, ValidationSamples(source, CONFIG, count=2, repeats=2)[3].image)
    assert [fixed[2 * number].language[0] for number in range(3)] == [source[number].steps[0].instruction for number in range(3)]


def test_batches_are_stacked_in_order() -> None:
    items = [replace(spots((60, 30), (100, 50)), language=[text]) for text in "ab"]
    batch = Batch.stack(items)
    assert batch.language == ["a", "b"]
    assert batch.image.shape == (2, 6, 160, 80)
    assert Batch.stack([replace(item, goal=None) for item in items]).goal is None
