"""Fusing two maps, or a map with an instruction, in the ways that the original names."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .language import Language


class Combine(nn.Module):
    """Two maps (B, C, H, W) to one.

    Args:
        kind: one of STREAM_FUSIONS.
        channels: C.
        outside: channels after; only `concat` would have others, and ends with a 1x1 convolution then. None leaves them.
    """

    def __init__(self, kind: str, channels: int, outside: int | None = None) -> None:
        super().__init__()
        self.kind = kind
        self.conv = nn.Sequential()
        if kind in ("conv", "deep_conv"):
            for number in range(1 if kind == "conv" else 3):
                self.conv.extend([nn.ReLU(), nn.Conv2d(channels if number else 2 * channels, channels, 1, bias=False)])
        elif kind == "concat" and outside is not None:
            self.conv.append(nn.Conv2d(2 * channels, outside, 1))

    def forward(self, one: Tensor, two: Tensor) -> Tensor:
        if self.kind == "add":
            return one + two
        if self.kind == "mult":
            return one * two
        if self.kind == "max":
            return torch.maximum(one, two)
        return self.conv(torch.cat([one, two], 1))


class Lateral(nn.Module):
    """A map joined with another stream's by a 1x1 convolution.

    Args:
        inside: channels of the map, and after.
        lateral: channels of the other stream's.
    """

    def __init__(self, inside: int, lateral: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.ReLU(True), nn.Conv2d(inside + lateral, inside, 1, bias=False))

    def forward(self, x: Tensor, lateral: Tensor) -> Tensor:
        return self.conv(torch.cat([x, lateral], 1))


class Instruct(nn.Module):
    """A map fused with an instruction: `forward(x (B * rows, C, H, W), language of B)` keeps the map's shape.

    Args:
        kind: one of FUSIONS.
        channels: C.
        sentence: width of the instruction's feature.
        word: width of its words' features.
    """

    def __init__(self, kind: str, channels: int, sentence: int, word: int) -> None:
        super().__init__()
        self.kind = kind
        self.project = nn.Linear(word if "word" in kind else sentence, channels)
        if kind == "film":
            self.shift = nn.Linear(sentence, channels)
        elif kind == "multi_headed_word_attn":
            self.attention = WordAttention(channels)
        elif kind in ("add", "mult", "max", "concat", "conv", "deep_conv"):
            self.combine = Combine(kind, channels, channels)

    def forward(self, x: Tensor, language: Language) -> Tensor:
        language = language.repeated(len(x) // len(language.sentence))
        if self.kind == "film":  # Perez et al. 2018
            return x * tiled(self.project(language.sentence)) + tiled(self.shift(language.sentence))
        if self.kind == "sent_attn":
            query = self.project(language.sentence)[:, None] / math.sqrt(x.shape[1])
            return x * attended(x, query, torch.ones_like(query[..., 0]))
        if "word" not in self.kind:
            return self.combine(x, tiled(self.project(language.sentence)).expand_as(x))
        words = self.project(language.words)
        if self.kind == "multi_headed_word_attn":
            return self.attention(x, words, language.mask)
        mask = language.mask.to(words.dtype)
        if self.kind == "mult_word":
            return x * tiled((words * mask[..., None]).sum(1) / mask.sum(1, keepdim=True))
        return x * attended(x, words, mask)


def tiled(vector: Tensor) -> Tensor:
    """(B, C) to (B, C, 1, 1), which stands for the same at every pixel."""
    return vector[:, :, None, None]


def attended(x: Tensor, queries: Tensor, mask: Tensor) -> Tensor:
    """Weights (B, 1, H, W): over the pixels of x (B, C, H, W) by each query (B, L, C), averaged over those that the mask (B, L) has."""
    scores = queries @ x.flatten(2)  # (B, L, H * W)
    weights = (scores.softmax(-1) * mask[..., None]).sum(1, keepdim=True) / mask.sum(1)[:, None, None]
    return weights.unflatten(2, x.shape[2:])


class WordAttention(nn.Module):
    """Every pixel attends to the words (Vaswani et al. 2017); both have learned positions, the pixels' scaled to the map's size.

    Args:
        channels: of the map and of the words.
        heads: at most.
        side: height and width of the learned positions.
        context: most words.
    """

    def __init__(self, channels: int, heads: int = 32, side: int = 7, context: int = 77) -> None:
        super().__init__()
        self.heads = math.gcd(heads, channels)
        self.pixel_positions = nn.Parameter(torch.randn(1, channels, side, side) / channels**0.5)
        self.word_positions = nn.Parameter(torch.randn(context, channels) / channels**0.5)
        self.q_proj, self.k_proj, self.v_proj, self.c_proj = (nn.Linear(channels, channels) for _ in range(4))

    def forward(self, x: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        positions = F.interpolate(self.pixel_positions, x.shape[2:], mode="bilinear", align_corners=True)
        pixels = (x + positions).flatten(2).transpose(1, 2)
        words = words + self.word_positions[: words.shape[1]]
        q, k, v = (
            project(rows).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for project, rows in ((self.q_proj, pixels), (self.k_proj, words), (self.v_proj, words))
        )
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None])
        return self.c_proj(y.transpose(1, 2).flatten(2)).transpose(1, 2).unflatten(2, x.shape[2:])
