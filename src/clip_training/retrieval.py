"""How well images find their captions and captions their images, beside what chance would give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import torch
from open_clip import ClipLoss
from torch import Tensor, nn

from harness.torch.scores import above_and_tied, best_of

KS = (1, 5, 10)
ROWS = 1024  # of the table of scores at a time: all of it is too large for many pairs


@dataclass(frozen=True)
class Retrieval:
    """Recall by direction and k, and the recall of a random ranking."""

    recall: dict[tuple[str, int], float]
    chance: dict[int, float]
    best: Tensor
    """(N, 3) captions that match each image best, best first; -1 where no more of them have a score."""


def retrieval(images: Tensor, texts: Tensor, captions: Sequence[str]) -> Retrieval:
    """Rank all captions for each image, and all images for each caption.

    Captions of equal text are one caption: whichever of them, or of their images, is found counts as right. A wrong candidate that
    scores the same as the best right one counts as ranked before it, so that a model which sees no difference finds nothing; so does one
    whose score is not finite, and a query none of whose right candidates has a finite score finds nothing.

    Args:
        images: (N, D) unit vectors.
        texts: (N, D) unit vectors of the captions.
        captions: the N texts.
    """
    names = {text: number for number, text in enumerate(dict.fromkeys(captions))}
    group = torch.tensor([names[text] for text in captions], device=images.device)
    ranked = [ranks_and_best(*towers, group) for towers in ((images, texts), (texts, images))]
    recall = {
        (direction, k): float((before < k).double().mean())
        for direction, (before, _) in zip(("image to text", "text to image"), ranked, strict=True)
        for k in KS
    }
    sizes = torch.bincount(group)[group].tolist()
    chance = {k: sum(chance_of(len(captions), size, k) for size in sizes) / len(sizes) for k in KS}
    return Retrieval(recall, chance, ranked[0][1])


def ranks_and_best(queries: Tensor, candidates: Tensor, group: Tensor) -> tuple[Tensor, Tensor]:
    """For each query (N,) wrong candidates that come before the best right one, and (N, 3) best candidates, in pieces of ROWS queries."""
    before, best = [], []
    for start in range(0, len(queries), ROWS):
        scores = queries[start : start + ROWS] @ candidates.T
        right = group[start : start + ROWS, None] == group
        above, tied = above_and_tied(scores, right)
        before.append(above + tied)
        best.append(best_of(scores, min(3, len(candidates))))
    return torch.cat(before), torch.cat(best)


def chance_of(candidates: int, right: int, k: int) -> float:
    """Probability that at least one of `right` among `candidates` is among the first `k` of a random order."""
    return 1 - comb(candidates - right, k) / comb(candidates, k) if k < candidates else 1.0


def contrastive_loss(
    images: Tensor, texts: Tensor, scale: Tensor, batch_size: int, loss: nn.Module | None = None, bias: Tensor | None = None
) -> float:
    """Mean loss over consecutive batches (the last incomplete one dropped, unless it is the only one).

    Evaluated on embeddings of all ranks, so that it does not depend on how many there are. By default it is CLIP's.
    """
    size, loss = min(batch_size, len(images)), loss or ClipLoss()
    starts = range(0, len(images) - size + 1, size)
    return float(torch.stack([loss(images[at : at + size], texts[at : at + size], scale, bias) for at in starts]).mean())
