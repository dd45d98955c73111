"""The features of instructions, as networks receive them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence


@dataclass(frozen=True)
class Language:
    """Features of B instructions, of which the longest has L words."""

    sentence: Tensor
    """(B, D)"""
    words: Tensor
    """(B, L, E), padded with zeros after the last word."""
    mask: Tensor
    """(B, L) bool: True for words, False for padding."""

    @classmethod
    def of(cls, sentences: Sequence[Tensor], words: Sequence[Tensor], device: torch.device) -> Language:
        """From the sentence (D,) and words (L_i, E) of each instruction."""
        lengths = torch.tensor([len(one) for one in words])
        mask = torch.arange(int(lengths.max())) < lengths[:, None]
        return cls(torch.stack(list(sentences)).to(device), pad_sequence(list(words), batch_first=True).to(device), mask.to(device))

    def repeated(self, times: int) -> Language:
        """Each instruction `times` times in a row, for the rotated crops of its image."""
        if times == 1:
            return self
        return Language(*(part.repeat_interleave(times, 0) for part in (self.sentence, self.words, self.mask)))
