"""Fusions: what each name means, in its plainest form."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from cliport.agents.catalog import FUSIONS, STREAM_FUSIONS
from cliport.agents.fusion import Combine, Instruct
from cliport.agents.language import Language

SENTENCE, WORD, CHANNELS = 10, 6, 8


def instruction(lengths: list[int]) -> Language:
    torch.manual_seed(sum(lengths))
    return Language.of([torch.randn(SENTENCE) for _ in lengths], [torch.randn(length, WORD) for length in lengths], torch.device("cpu"))


def fuser(kind: str) -> Instruct:
    torch.manual_seed(2)
    return Instruct(kind, CHANNELS, SENTENCE, WORD)


def plain(net: Instruct, x: Tensor, sentence: Tensor, words: Tensor) -> Tensor:
    """One map (C, H, W) with one instruction of words (L, E), word by word and pixel by pixel."""
    tile = net.project(sentence)[:, None, None].expand_as(x) if "word" not in net.kind else None
    if net.kind in ("add", "mult", "max"):
        return {"add": torch.add, "mult": torch.mul, "max": torch.maximum}[net.kind](x, tile)
    if net.kind == "film":
        return x * tile + net.shift(sentence)[:, None, None]
    if net.kind == "sent_attn":
        return x * attention(x, net.project(sentence) / CHANNELS**0.5)
    if net.kind == "mult_word":
        return sum(x * net.project(word)[:, None, None] for word in words) / len(words)
    assert net.kind == "word_attn"
    return sum(x * attention(x, net.project(word)) for word in words) / len(words)


def attention(x: Tensor, query: Tensor) -> Tensor:
    scores = (x * query[:, None, None]).sum(0)
    return scores.exp() / scores.exp().sum()


@pytest.mark.parametrize("kind", ["add", "mult", "max", "film", "sent_attn", "mult_word", "word_attn"])
def test_an_instruction_is_fused_as_its_name_says(kind: str) -> None:
    """In a batch of instructions of different lengths, each as if it were alone."""
    net, language, x = fuser(kind), instruction([3, 7]), torch.randn(2, CHANNELS, 4, 5)
    found = net(x, language)
    for row, length in enumerate((3, 7)):
        expected = plain(net, x[row], language.sentence[row], language.words[row, :length])
        assert torch.allclose(found[row], expected, atol=1e-6), kind


@pytest.mark.parametrize("kind", FUSIONS)
def test_every_fusion_keeps_the_maps_shape_and_listens(kind: str) -> None:
    net, x = fuser(kind), torch.randn(2, CHANNELS, 5, 3)
    one, other = net(x, instruction([3, 7])), net(x, instruction([4, 8]))
    assert one.shape == x.shape
    assert not torch.allclose(one, other)


@pytest.mark.parametrize("kind", FUSIONS)
def test_the_turned_crops_of_an_image_share_its_instruction(kind: str) -> None:
    net, language, x = fuser(kind), instruction([3, 7]), torch.randn(6, CHANNELS, 4, 4)
    found = net(x, language)
    alone = [net(x[3 * row : 3 * row + 3], Language(*(part[row : row + 1] for part in vars(language).values()))) for row in range(2)]
    assert torch.allclose(found, torch.cat(alone), atol=1e-6)


@pytest.mark.parametrize("kind", STREAM_FUSIONS)
def test_two_maps_become_one_of_the_width_asked_for(kind: str) -> None:
    one, two = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    assert Combine(kind, 3, 3)(one, two).shape == one.shape
    assert Combine(kind, 3)(one, two).shape[1] == (6 if kind == "concat" else 3)


def test_conv_rectifies_both_maps_before_it_mixes_them() -> None:
    net = Combine("conv", 2)
    one, two = torch.randn(1, 2, 3, 3), torch.randn(1, 2, 3, 3)
    mix = next(module for module in net.modules() if isinstance(module, nn.Conv2d))
    assert torch.equal(net(one, two), mix(torch.cat([one, two], 1).relu()))
    assert mix.bias is None
