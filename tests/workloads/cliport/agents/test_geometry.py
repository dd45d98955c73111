"""Two geometries of the place: the original's by its own numbers, the exact one by float64."""

from __future__ import annotations

import json
import math

import numpy as np
import original_rule as rule
import pytest
import torch
from numbers_of_original import FIXTURES, STEP
from small import agent_of, batch_of, config_of

from cliport.agents.augment import Motion
from cliport.agents.correlation import correlate_directly
from cliport.agents.geometry import GEOMETRIES
from harness.errors import ParameterError

SMALL = json.loads((FIXTURES / "small.json").read_text())
NUMBERS = np.load(FIXTURES / "geometry.npz")
SQUARES = [key for key in NUMBERS if key.startswith("rotator/")]


@pytest.mark.parametrize("key", SQUARES)
def test_the_original_turns_as_its_rotator_does(key: str) -> None:
    """Red, 0 to 255, and height around a pivot (row and column of the view padded by 32) of 36 rotations."""
    _, row, column, _, degrees = key.split("/")[1].split("_")
    colour, height = rule.view(rule.VIEW)
    image = torch.from_numpy(np.stack([colour[..., 0].astype(np.float32), height]))[None]
    pick, turn = torch.tensor([[int(row) - 32, int(column) - 32]]), int(degrees) // 10
    found = GEOMETRIES["original"].kernels(image, pick, 36, 64)[0, turn, :, ::STEP, ::STEP].numpy()
    assert np.abs(found - NUMBERS[key])[0].max() < 0.005
    assert np.abs(found - NUMBERS[key])[1].max() < 1e-6
    if turn:  # the exact one turns about the pick itself, and the other way round
        exact = GEOMETRIES["exact"].kernels(image, pick, 36, 64)[0, -turn, :, ::STEP, ::STEP].numpy()
        assert 0.05 < np.abs(exact - NUMBERS[key])[0].max() < 70


def correlated() -> tuple[torch.Tensor, torch.Tensor]:
    rng = rule.generator("correlation")
    maps = rng.standard_normal((1, 3, 384, 224)).astype(np.float32)
    return torch.from_numpy(maps), torch.from_numpy((0.05 * rng.standard_normal((2, 3, 64, 64))).astype(np.float32))[None]


def test_the_originals_scores_are_resampled() -> None:
    found = GEOMETRIES["original"].scores(*correlated())[0, :, ::STEP, ::STEP].numpy()
    assert np.abs(found - NUMBERS["correlation"]).max() < 1e-4 * np.abs(NUMBERS["correlation"]).max()


def test_the_exact_scores_are_the_correlation() -> None:
    """By the definition, in float64; they are not what the original makes of it."""
    maps, kernels = correlated()
    found = GEOMETRIES["exact"].scores(maps, kernels)
    maps, kernels = maps[..., :96, :80].double(), kernels.double()
    expected = correlate_directly(maps, kernels)[..., :32, :16]
    assert (found[..., :32, :16] - expected).abs().max() < 1e-4
    assert np.abs(found[0, :, ::STEP, ::STEP].numpy() - NUMBERS["correlation"]).max() > 1


def test_rotations_go_round_the_other_way() -> None:
    assert GEOMETRIES["exact"].angles(4).tolist() == pytest.approx([0, math.pi / 2, math.pi, 3 * math.pi / 2])
    assert GEOMETRIES["original"].angles(4).tolist() == pytest.approx([0, -math.pi / 2, -math.pi, -3 * math.pi / 2])


@pytest.mark.parametrize("geometry", ["exact", "original"])
def test_a_demonstrated_turn_is_the_one_that_is_learned(geometry: str) -> None:
    """The loss is least where the place's score is highest for the angle from pick to place."""
    agent, batch = agent_of(geometry=geometry), batch_of()
    turns = (batch.place_theta - batch.pick_theta) / (math.pi / 2)
    wanted = [int(turn) % 4 for turn in (turns if geometry == "exact" else -turns).round()]
    pick, place = torch.zeros(2, 160, 80), torch.zeros(2, 4, 160, 80)
    for row, turn in enumerate(wanted):
        place[row, turn, batch.place[row, 0], batch.place[row, 1]] = 20
    _, trans = agent.losses(pick, place, batch)
    assert float(trans.max()) < 1e-3


def test_samples_are_moved_about_the_same_point_as_in_the_original() -> None:
    """By the matrix that its code makes of an angle and a shift along x and y; exactly, the image's center is half a pixel off that."""
    [case] = SMALL["image_transform"]
    x, y = case["translation"]
    matrix, pixel = np.array(case["matrix"]), (200.0, 30.0)
    expected = (matrix @ [pixel[1], pixel[0], 1])[[1, 0]]
    found = Motion(case["theta"], (y, x), "original").points(torch.tensor([pixel]), (320, 160))[0].numpy()
    assert np.allclose(found, expected, atol=1e-9)
    exact = Motion(case["theta"], (y, x)).points(torch.tensor([pixel]), (320, 160))[0].numpy()
    assert 0.1 < np.abs(exact - expected).max() < 0.5


def test_an_unknown_geometry_is_told() -> None:
    with pytest.raises(ParameterError, match=r"model.geometry=precise: must be exact or original"):
        config_of(geometry="precise")


def test_running_statistics_are_counted_in_training_and_used_in_validation_alone() -> None:
    """By PyTorch's own batch normalisation, of samples one after the other."""
    from cliport.agents.blocks import SampleNorm, by_running_statistics

    torch.manual_seed(0)
    ours, theirs = SampleNorm(3, rows=2, running=True), torch.nn.BatchNorm2d(3)
    for _ in range(3):
        x = torch.randn(2, 3, 5, 4) * 2 + 1
        assert torch.allclose(ours(x), theirs(x), atol=1e-5)
    ours.eval(), theirs.eval()
    with by_running_statistics(ours):
        assert torch.allclose(ours(x), theirs(x), atol=1e-5)
    assert torch.allclose(ours(x), theirs.train()(x), atol=1e-5)
