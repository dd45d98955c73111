"""The building blocks of all networks."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Block(nn.Module):
    """A bottleneck of three convolutions with a shortcut (He et al. 2016).

    Args:
        inside: input channels.
        middle: channels of the first two convolutions.
        outside: output channels.
        stride: stride of the middle convolution.
        project: pass the shortcut through a convolution; needed if the shapes differ.
        rectify: end with a ReLU.
        batchnorm: normalize after each convolution.
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
        batchnorm: bool = False,
    ) -> None:
        super().__init__()
        self.rectify = rectify
        self.conv1 = nn.Conv2d(inside, middle, 1, bias=False)
        self.bn1 = norm(middle, batchnorm)
        self.conv2 = nn.Conv2d(middle, middle, 3, stride, 1, bias=False)
        self.bn2 = norm(middle, batchnorm)
        self.conv3 = nn.Conv2d(middle, outside, 1, bias=False)
        self.bn3 = norm(outside, batchnorm)
        self.shortcut = nn.Sequential()
        if project:
            self.shortcut.extend([nn.Conv2d(inside, outside, 1, stride, bias=False), norm(outside, batchnorm)])

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y)) + self.shortcut(x)
        return F.relu(y) if self.rectify else y


def norm(channels: int, batchnorm: bool) -> nn.Module:
    return nn.BatchNorm2d(channels) if batchnorm else nn.Identity()


class Stages:
    """Builds stages of residual blocks, all of the same depth.

    Args:
        depth: blocks per stage.
        batchnorm: normalize in every block.
    """

    def __init__(self, depth: int, batchnorm: bool) -> None:
        self.depth, self.batchnorm = depth, batchnorm

    def stage(self, inside: int, outside: int, stride: int = 1) -> list[nn.Module]:
        """Blocks from `inside` to `outside` channels; the first has the stride."""
        first = Block(inside, outside, outside, stride=stride, project=True, batchnorm=self.batchnorm)
        return [first, *(Block(outside, outside, outside, batchnorm=self.batchnorm) for _ in range(self.depth - 1))]

    def up(self, inside: int, outside: int, doubled: bool = True) -> list[nn.Module]:
        """A stage that doubles height and width."""
        return [*self.stage(inside, outside), nn.UpsamplingBilinear2d(scale_factor=2) if doubled else nn.Identity()]

    def stem(self, inside: int, outside: int) -> list[nn.Module]:
        return [nn.Conv2d(inside, outside, 3, padding=1), norm(outside, self.batchnorm), nn.ReLU(True)]

    def head(self, inside: int, outside: int) -> list[nn.Module]:
        """The last stage; its output may be negative."""
        first = Block(inside, 16, outside, project=True, rectify=False, batchnorm=self.batchnorm)
        others = (Block(outside, 16, outside, rectify=False, batchnorm=self.batchnorm) for _ in range(self.depth - 1))
        return [first, *others]


class SampleNorm(nn.Module):
    """Normalization by the statistics of each sample alone, in training and evaluation.

    At the original's batch size of 1 its batch normalization does the same; here the result does not depend on the other samples in
    the batch. A sample is `rows` consecutive rows, because the rotated crops of one image belong together.

    Args:
        channels: channels of the maps.
        rows: rows per sample.
    """

    def __init__(self, channels: int, rows: int = 1) -> None:
        super().__init__()
        self.rows = rows
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        samples = x.unflatten(0, (-1, self.rows)).transpose(1, 2).flatten(2, 3)  # (B, C, rows * H, W): statistics over all rows
        normalised = F.instance_norm(samples, weight=self.weight, bias=self.bias)
        return normalised.unflatten(2, (self.rows, x.shape[2])).transpose(1, 2).flatten(0, 1)


class Up(nn.Module):
    """Upsamples a map by two, concatenates an encoder's map and convolves twice (U-Net's decoder, Ronneberger et al. 2015).

    Args:
        inside: channels of the map.
        skip: channels of the encoder's map, which determines height and width.
        outside: output channels.
        rows: see SampleNorm; 0 omits the normalization.
    """

    def __init__(self, inside: int, skip: int, outside: int, rows: int) -> None:
        super().__init__()
        middle = (inside + skip) // 2
        self.conv1 = nn.Conv2d(inside + skip, middle, 3, padding=1, bias=not rows)  # a normalization would cancel a bias
        self.norm1 = SampleNorm(middle, rows) if rows else nn.Identity()
        self.conv2 = nn.Conv2d(middle, outside, 3, padding=1, bias=not rows)
        self.norm2 = SampleNorm(outside, rows) if rows else nn.Identity()

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
        # The encoder's pooling drops an odd last row or column, which the doubled map then lacks.
        down, right = skip.shape[2] - x.shape[2], skip.shape[3] - x.shape[3]
        x = torch.cat([skip, F.pad(x, (right // 2, right - right // 2, down // 2, down - down // 2))], 1)
        x = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(x)))
