"""Cross-correlation of feature maps with large kernels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


def correlate(maps: Tensor, kernels: Tensor) -> Tensor:
    """Maps (B, C, H, W) with kernels (B, R, C, S, S) where they lie inside: (B, R, H - S + 1, W - S + 1), in float32.

    out[b, r, i, j] = sum over c, u, v of maps[b, c, i + u, j + v] * kernels[b, r, c, u, v], by the correlation theorem: with a
    transform of the maps' size, what wraps around falls on places that are cut off.
    """
    with torch.autocast(maps.device.type, enabled=False):
        found: Tensor = Correlation.apply(maps.float(), kernels.float())
    return found


class Correlation(torch.autograd.Function):
    """The theorem and its derivatives, which PyTorch's own would transform at full size and with all rows of zeros."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, kernels: Tensor) -> Tensor:
        height, width = maps.shape[2:]
        size = kernels.shape[-1]
        transformed, factors = transform(maps, height, width), transform(kernels, height, width)
        ctx.save_for_backward(transformed, factors)
        ctx.shape = height, width, size
        return restore((transformed[:, None] * factors.conj()).sum(2), height - size + 1, width - size + 1, width)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        transformed, factors = ctx.saved_tensors
        height, width, size = ctx.shape
        changes = transform(gradient, height, width)[:, :, None]
        of_kernels = restore(transformed[:, None] * changes.conj(), size, size, width)
        return restore((changes * factors).sum(1), height, width, width), of_kernels


def transform(images: Tensor, height: int, width: int) -> Tensor:
    """The spectrum (..., height, width // 2 + 1) of images (..., h, w) with zeros behind them."""
    return torch.fft.fft(torch.fft.rfft(images, width), height, dim=-2)


def restore(spectrum: Tensor, rows: int, columns: int, width: int) -> Tensor:
    """The first rows and columns of what a spectrum is of; `width` is the whole's."""
    return torch.fft.irfft(torch.fft.ifft(spectrum, dim=-2)[..., :rows, :], width)[..., :columns]


def correlate_directly(maps: Tensor, kernels: Tensor) -> Tensor:
    """The same by the definition, as a grouped convolution; slow with large kernels, and what `correlate` is tested against."""
    batch, channels, height, width = maps.shape
    stacked = maps.reshape(1, batch * channels, height, width)
    found = F.conv2d(stacked, kernels.flatten(0, 1), groups=batch)
    return found.unflatten(1, (batch, -1))[0]
