"""Cross-correlation of feature maps with large kernels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def correlate(maps: Tensor, kernels: Tensor) -> Tensor:
    """Maps (B, C, H, W) with kernels (B, R, C, S, S) where they lie inside: (B, R, H - S + 1, W - S + 1), in float32.

    out[b, r, i, j] = sum over c, u, v of maps[b, c, i + u, j + v] * kernels[b, r, c, u, v], by the correlation theorem: with a
    transform of the maps' size, what wraps around falls on places that are cut off.
    """
    with torch.autocast(maps.device.type, enabled=False):
        height, width = maps.shape[2:]
        size = kernels.shape[-1]
        transformed = torch.fft.rfft2(maps.float())
        factors = torch.fft.rfft2(kernels.float(), s=(height, width)).conj()
        product = (transformed[:, None] * factors).sum(2)
        whole = torch.fft.irfft2(product, s=(height, width))
    return whole[..., : height - size + 1, : width - size + 1]


def correlate_directly(maps: Tensor, kernels: Tensor) -> Tensor:
    """The same by the definition, as a grouped convolution; slow with large kernels, and what `correlate` is tested against."""
    batch, channels, height, width = maps.shape
    stacked = maps.reshape(1, batch * channels, height, width)
    found = F.conv2d(stacked, kernels.flatten(0, 1), groups=batch)
    return found.unflatten(1, (batch, -1))[0]
