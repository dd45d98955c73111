"""The original's ways of fusing two maps, or a map with an instruction."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .language import Language


class Combine(nn.Module):
    """Fuses two maps (B, C, H, W).

    Args:
        kind: one of STREAM_FUSIONS.
        channels: C.
        outside: output channels of `concat`, by a 1x1 convolution; None keeps all 2 C. The other kinds return C channels.
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
    """Fuses a map with one of another stream by a 1x1 convolution.

    Args:
        inside: channels of the map and of the result.
        lateral: channels of the other stream's map.
    """

    def __init__(self, inside: int, lateral: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.ReLU(True), nn.Conv2d(inside + lateral, inside, 1, bias=False))

    def forward(self, x: Tensor, lateral: Tensor) -> Tensor:
        return self.conv(torch.cat([x, lateral], 1))


class Instruct(nn.Module):
    """Fuses a map with an instruction: `forward(x (B * rows, C, H, W), language of B)` keeps the map's shape.

    Args:
        kind: one of FUSIONS.
        channels: C.
        sentence: length of an instruction's feature vector.
        word: length of a word's feature vector.
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
        language = language.repeated(len(x) // len(language.sentence))  # all crops of an image share its instruction
        if self.kind == "film":  # feature-wise linear modulation (Perez et al. 2018)
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
        return x * attended(x, words, mask)  # word_attn: sent_attn with a query per word


def tiled(vector: Tensor) -> Tensor:
    """(B, C) to (B, C, 1, 1), which broadcasts to every pixel."""
    return vector[:, :, None, None]


def attended(x: Tensor, queries: Tensor, mask: Tensor) -> Tensor:
    """Attention (B, 1, H, W) over the pixels of x (B, C, H, W), averaged over the queries (B, L, C) that the mask (B, L) selects.

    Each query distributes a weight of 1 over all pixels: the softmax is over space, not over words.
    """
    scores = queries @ x.flatten(2)  # (B, L, H * W)
    weights = (scores.softmax(-1) * mask[..., None]).sum(1, keepdim=True) / mask.sum(1)[:, None, None]
    return weights.unflatten(2, x.shape[2:])


class WordAttention(nn.Module):
    """Every pixel attends to the words (Vaswani et al. 2017).

    Pixels and words have learned positions; those of the pixels are resized to the map.

    Args:
        channels: channels of the map and of the words.
        heads: largest number of heads.
        side: height and width of the grid of learned positions.
        context: largest number of words.
    """

    def __init__(self, channels: int, heads: int = 32, side: int = 7, context: int = 77) -> None:
        super().__init__()
        self.heads = math.gcd(heads, channels)  # small agents have fewer channels than heads
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
