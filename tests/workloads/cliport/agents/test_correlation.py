"""Correlation with large kernels: as by its definition."""

from __future__ import annotations

import pytest
import torch

from cliport.agents.correlation import correlate, correlate_directly


def by_definition(maps: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
    """In float64, window by window."""
    size = kernels.shape[-1]
    windows = maps.double().unfold(2, size, 1).unfold(3, size, 1)  # (B, C, h, w, S, S)
    return torch.einsum("bchwuv,brcuv->brhw", windows, kernels.double())


@pytest.mark.parametrize(("height", "width", "size"), [(40, 24, 16), (33, 21, 7), (64, 64, 64), (96, 56, 32)])
def test_the_transform_gives_what_the_definition_gives(height: int, width: int, size: int) -> None:
    torch.manual_seed(0)
    maps, kernels = torch.randn(2, 3, height, width), torch.randn(2, 5, 3, size, size) / size
    expected = by_definition(maps, kernels)
    assert correlate(maps, kernels).shape == (2, 5, height - size + 1, width - size + 1)
    assert (correlate(maps, kernels) - expected).abs().max() < 1e-4
    assert (correlate_directly(maps, kernels) - expected).abs().max() < 1e-4


@pytest.mark.parametrize(("height", "width", "size"), [(30, 20, 8), (33, 21, 7), (16, 16, 16)])
def test_gradients_are_the_definitions(height: int, width: int, size: int) -> None:
    torch.manual_seed(0)
    gradients = []
    for function in (correlate, correlate_directly):
        maps, kernels = torch.randn(2, 3, height, width).requires_grad_(), torch.randn(2, 4, 3, size, size).requires_grad_()
        torch.manual_seed(1)
        values = function(maps, kernels)
        values.backward(torch.randn_like(values))
        gradients.append((maps.grad, kernels.grad))
        torch.manual_seed(0)
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, atol=1e-4)


def test_a_kernel_finds_the_place_that_it_was_cut_from() -> None:
    torch.manual_seed(0)
    maps = torch.randn(1, 3, 60, 40)
    kernels = maps[:, None, :, 22:38, 9:25]
    assert divmod(int(correlate(maps, kernels)[0, 0].argmax()), 40 - 16 + 1) == (22, 9)


def test_half_precision_maps_are_correlated_in_float32() -> None:
    maps, kernels = torch.randn(1, 3, 40, 40).bfloat16(), torch.randn(1, 2, 3, 16, 16).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        found = correlate(maps, kernels)
    assert found.dtype == torch.float32
    assert (found - by_definition(maps, kernels)).abs().max() < 1e-3
