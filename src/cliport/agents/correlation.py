"""Cross-correlation of feature maps with large kernels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


def correlate(maps: Tensor, kernels: Tensor) -> Tensor:
    """Cross-correlate maps (B, C, H, W) with kernels (B, R, C, S, S): (B, R, H - S + 1, W - S + 1) in float32, without padding.

    out[b, r, i, j] = sum over c, u, v of maps[b, c, i + u, j + v] * kernels[b, r, c, u, v], computed by the correlation theorem:
    the Fourier transform of the result is that of the maps times the conjugate of that of the kernels.
    """
    with torch.autocast(maps.device.type, enabled=False):  # sums over 64 x 64 products need float32
        found: Tensor = Correlation.apply(maps.float(), kernels.float())
    return found


class Correlation(torch.autograd.Function):
    """The theorem with derivatives by hand: autograd would compute them at full size, rows of zeros included."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, kernels: Tensor) -> Tensor:
        height, width = maps.shape[2:]
        size = kernels.shape[-1]
        # A transform is periodic: with the maps' size, kernel positions that reach over the border wrap around. Those are exactly the
        # rows beyond H - S and columns beyond W - S, which are not returned, so no further padding is needed.
        transformed, factors = transform(maps, height, width), transform(kernels, height, width)
        ctx.save_for_backward(transformed, factors)
        ctx.shape = height, width, size
        return restore((transformed[:, None] * factors.conj()).sum(2), height - size + 1, width - size + 1, width)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        transformed, factors = ctx.saved_tensors
        height, width, size = ctx.shape
        # d/dkernels is the correlation of the maps with the gradient; d/dmaps is the convolution of the gradient with the kernels,
        # hence without the conjugate.
        changes = transform(gradient, height, width)[:, :, None]
        of_kernels = restore(transformed[:, None] * changes.conj(), size, size, width)
        return restore((changes * factors).sum(1), height, width, width), of_kernels


def transform(images: Tensor, height: int, width: int) -> Tensor:
    """The spectrum (..., height, width // 2 + 1) of images (..., h, w) padded with zeros at their ends.

    Rows first, then columns: the first transform runs over the h rows that exist, not over the zeros below them.
    """
    return torch.fft.fft(torch.fft.rfft(images, width), height, dim=-2)


def restore(spectrum: Tensor, rows: int, columns: int, width: int) -> Tensor:
    """The first rows and columns of the images that have this spectrum and are `width` wide; the rest is not transformed back."""
    return torch.fft.irfft(torch.fft.ifft(spectrum, dim=-2)[..., :rows, :], width)[..., :columns]


def correlate_directly(maps: Tensor, kernels: Tensor) -> Tensor:
    """The same by definition, as a grouped convolution; slow with large kernels, a reference for `correlate` in tests."""
    batch, channels, height, width = maps.shape
    stacked = maps.reshape(1, batch * channels, height, width)
    found = F.conv2d(stacked, kernels.flatten(0, 1), groups=batch)
    return found.unflatten(1, (batch, -1))[0]
