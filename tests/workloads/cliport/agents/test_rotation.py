"""Turning images: exact on images that are not square, about any pivot."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from cliport.agents.rotation import angles, crops, rotate


def oracle(image: np.ndarray, angle: float, pivot: tuple[float, float]) -> np.ndarray:
    """Bilinear rotation in float64, pixel by pixel, by its definition; 0 outside."""
    height, width = image.shape
    padded = np.zeros((height + 2, width + 2))
    padded[1:-1, 1:-1] = image
    turned = np.zeros((height, width))
    for row in range(height):
        for column in range(width):
            down, right = row - pivot[0], column - pivot[1]
            y = pivot[0] + down * math.cos(angle) - right * math.sin(angle)
            x = pivot[1] + right * math.cos(angle) + down * math.sin(angle)
            if not (-1 < y < height and -1 < x < width):
                continue
            top, left = math.floor(y), math.floor(x)
            below, beside = y - top, x - left
            square = padded[top + 1 : top + 3, left + 1 : left + 3]
            turned[row, column] = np.array([1 - below, below]) @ square @ np.array([1 - beside, beside])
    return turned


@pytest.mark.parametrize("shape", [(64, 32), (32, 64), (48, 48), (33, 17)])
def test_it_agrees_with_an_oracle_in_float64(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    image = rng.random(shape)
    for angle in (0.0, 0.3, math.pi / 2, 2.5, -1.2, math.pi):
        pivot = (float(rng.integers(shape[0])), float(rng.integers(shape[1])))
        turned = rotate(torch.from_numpy(image).float()[None, None], torch.tensor([angle]).double(), torch.tensor([pivot]))
        assert np.abs(turned[0, 0].numpy() - oracle(image, float(torch.tensor(angle).double()), pivot)).max() < 3e-5


def test_a_pixel_lands_where_it_is_turned_to_on_the_workspaces_image() -> None:
    """700 single pixels of a 320 x 160 image, none over a pixel off."""
    rng = np.random.default_rng(1)
    for _ in range(700):
        row, column, angle = int(rng.integers(320)), int(rng.integers(160)), float(rng.uniform(-math.pi, math.pi))
        pivot = float(rng.integers(320)), float(rng.integers(160))
        down, right = row - pivot[0], column - pivot[1]
        y = pivot[0] + down * math.cos(angle) + right * math.sin(angle)
        x = pivot[1] + right * math.cos(angle) - down * math.sin(angle)
        if not (1 <= y <= 318 and 1 <= x <= 158):
            continue
        image = torch.zeros(1, 1, 320, 160)
        image[0, 0, row, column] = 1
        turned = rotate(image, torch.tensor([angle], dtype=torch.float64), torch.tensor([pivot]))[0, 0]
        found = divmod(int(turned.argmax()), 160)
        assert math.dist(found, (y, x)) < 1


def test_a_positive_angle_turns_from_columns_towards_rows() -> None:
    image = torch.zeros(1, 1, 9, 9)
    image[0, 0, 4, 7] = 1
    turned = rotate(image, torch.tensor([math.pi / 2]), torch.tensor([[4, 4]]))
    assert divmod(int(turned.argmax()), 9) == (7, 4)


def test_crops_are_parts_of_the_turned_images() -> None:
    images = torch.rand(2, 3, 40, 24)
    pivots = torch.tensor([[20, 12], [3, 22]])
    found = crops(images, pivots, angles(5), 16)
    padded = torch.nn.functional.pad(images, (8, 8, 8, 8))
    for number, angle in enumerate(angles(5)):
        turned = rotate(padded, angle.repeat(2), pivots + 8)
        for row, (y, x) in enumerate(pivots.tolist()):
            assert torch.allclose(found[row, number], turned[row, :, y : y + 16, x : x + 16], atol=2e-5)


def test_a_crop_of_angle_0_is_the_image_around_its_pivot() -> None:
    image = torch.rand(1, 1, 20, 20)
    assert torch.allclose(crops(image, torch.tensor([[10, 10]]), angles(1), 8)[0, 0, 0], image[0, 0, 6:14, 6:14], atol=1e-5)
