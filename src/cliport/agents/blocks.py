"""The building blocks of all networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Norm = Callable[[int], nn.Module]
"""Builds the normalization of a number of channels."""


def no_norm(channels: int) -> nn.Module:
    """Passes a map on unchanged."""
    return nn.Identity()


class Block(nn.Module):
    """A bottleneck of three convolutions with a shortcut (He et al. 2016).

    Args:
        inside: input channels.
        middle: channels of the first two convolutions.
        outside: output channels.
        stride: stride of the middle convolution.
        project: pass the shortcut through a convolution; needed if the shapes differ.
        rectify: end with a ReLU.
        norm: builds the normalization after each convolution.
    """

    def __init__(
        self,
        inside: int,
        middle: int,
        outside: int,
        *,
        stride: int = 1,
        project: bool = False,
        rectify: bool = True,
        norm: Norm = no_norm,
    ) -> None:
        super().__init__()
        self.rectify = rectify
        self.conv1 = nn.Conv2d(inside, middle, 1, bias=False)
        self.bn1 = norm(middle)
        self.conv2 = nn.Conv2d(middle, middle, 3, stride, 1, bias=False)
        self.bn2 = norm(middle)
        self.conv3 = nn.Conv2d(middle, outside, 1, bias=False)
        self.bn3 = norm(outside)
        self.shortcut = nn.Sequential()
        if project:
            self.shortcut.extend([nn.Conv2d(inside, outside, 1, stride, bias=False), norm(outside)])

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y)) + self.shortcut(x)
        return F.relu(y) if self.rectify else y


class Stages:
    """Builds stages of residual blocks, all of the same depth.

    Args:
        depth: blocks per stage.
        norm: builds the normalization in every block.
    """

    def __init__(self, depth: int, norm: Norm = no_norm) -> None:
        self.depth, self.norm = depth, norm

    def stage(self, inside: int, outside: int, stride: int = 1) -> list[nn.Module]:
        """Blocks from `inside` to `outside` channels; the first has the stride."""
        first = Block(inside, outside, outside, stride=stride, project=True, norm=self.norm)
        return [first, *(Block(outside, outside, outside, norm=self.norm) for _ in range(self.depth - 1))]

    def up(self, inside: int, outside: int, doubled: bool = True) -> list[nn.Module]:
        """A stage that doubles height and width."""
        return [*self.stage(inside, outside), nn.UpsamplingBilinear2d(scale_factor=2) if doubled else nn.Identity()]

    def stem(self, inside: int, outside: int) -> list[nn.Module]:
        return [nn.Conv2d(inside, outside, 3, padding=1), self.norm(outside), nn.ReLU(True)]

    def head(self, inside: int, outside: int) -> list[nn.Module]:
        """The last stage; its output may be negative."""
        first = Block(inside, 16, outside, project=True, rectify=False, norm=self.norm)
        others = (Block(outside, 16, outside, rectify=False, norm=self.norm) for _ in range(self.depth - 1))
        return [first, *others]


MOMENTUM = 0.1
"""Weight of a new sample in the running statistics: the default of PyTorch, and so of the original."""


class SampleNorm(nn.Module):
    """Normalization by the statistics of each sample alone, in training and evaluation.

    At the original's batch size of 1 its batch normalization does the same; here the result does not depend on the other samples in
    the batch. A sample is `rows` consecutive rows, because the rotated crops of one image belong together.

    The original's evaluation does the same, but its validation uses running statistics: see `by_running_statistics`.

    Args:
        channels: channels of the maps.
        rows: rows per sample.
        running: keep running statistics during training, as the original does.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, rows: int = 1, running: bool = False) -> None:
        super().__init__()
        self.rows, self.running, self.by_running = rows, running, False
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        if running:
            self.register_buffer("running_mean", torch.zeros(channels))
            self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        if self.by_running:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias)
        samples = x.unflatten(0, (-1, self.rows)).transpose(1, 2).flatten(2, 3)  # (B, C, rows * H, W): statistics over all rows
        if self.training and self.running:
            self.count(samples)
        normalised = F.instance_norm(samples, weight=self.weight, bias=self.bias)
        return normalised.unflatten(2, (self.rows, x.shape[2])).transpose(1, 2).flatten(0, 1)

    @torch.no_grad()
    def count(self, samples: Tensor) -> None:
        """Update the running statistics with the mean of those of the samples (B, C, h, W); variances are unbiased."""
        values = samples.detach().float().flatten(2)
        self.running_mean.lerp_(values.mean((0, 2)), MOMENTUM)
        self.running_var.lerp_(values.var(2).mean(0), MOMENTUM)


@contextmanager
def by_running_statistics(module: nn.Module) -> Iterator[None]:
    """Within the block, the parts of a module that keep running statistics normalize with them, as in the original's validation."""
    norms = [part for part in module.modules() if isinstance(part, SampleNorm) and part.running]
    for norm in norms:
        norm.by_running = True
    try:
        yield
    finally:
        for norm in norms:
            norm.by_running = False


class Up(nn.Module):
    """Upsamples a map by two, concatenates an encoder's map and convolves twice (U-Net's decoder, Ronneberger et al. 2015).

    Args:
        inside: channels of the map.
        skip: channels of the encoder's map, which determines height and width.
        outside: output channels.
        norm: builds the normalization; None omits it.
    """

    def __init__(self, inside: int, skip: int, outside: int, norm: Norm | None) -> None:
        super().__init__()
        middle, bias, norm = (inside + skip) // 2, norm is None, norm or no_norm
        self.conv1 = nn.Conv2d(inside + skip, middle, 3, padding=1, bias=bias)  # a normalization would cancel a bias
        self.norm1 = norm(middle)
        self.conv2 = nn.Conv2d(middle, outside, 3, padding=1, bias=bias)
        self.norm2 = norm(outside)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
        # The encoder's pooling drops an odd last row or column, which the doubled map then lacks.
        down, right = skip.shape[2] - x.shape[2], skip.shape[3] - x.shape[3]
        x = torch.cat([skip, F.pad(x, (right // 2, right - right // 2, down // 2, down - down // 2))], 1)
        x = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(x)))
