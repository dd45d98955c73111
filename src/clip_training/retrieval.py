"""Recall of image-text retrieval in both directions, next to the recall of a random ranking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import torch
from open_clip import ClipLoss
from torch import Tensor, nn

from harness.report import Report
from harness.torch.scores import above_and_tied, best_of

KS = (1, 5, 10)
ROWS = 1024
"""Queries scored at a time: the whole matrix of scores does not fit into memory for many pairs."""


@dataclass(frozen=True)
class Retrieval:
    """Recall by direction and k, and the recall of a random ranking."""

    recall: dict[tuple[str, int], float]
    chance: dict[int, float]
    best: Tensor
    """(N, 3) captions that match each image best, best first; -1 where there are no more with a finite score."""

    def __str__(self) -> str:
        parts = ((k, self.recall["image to text", k], self.recall["text to image", k], self.chance[k]) for k in KS)
        return ", ".join(f"recall@{k} {found:.3f} / {back:.3f} (chance {chance:.3f})" for k, found, back, chance in parts)


def report_recall(result: Retrieval, report: Report, step: int) -> None:
    """Report recall and chance as scalars."""
    for (direction, k), value in result.recall.items():
        report.scalar(f"recall@{k}", direction, value, step)
    for k, value in result.chance.items():
        report.scalar(f"recall@{k}", "chance", value, step)


def retrieval(images: Tensor, texts: Tensor, captions: Sequence[str]) -> Retrieval:
    """Rank all captions for each image, and all images for each caption.

    Captions of equal text are one caption: finding any of them, or of their images, counts as right. A wrong candidate with the same score
    as the best right one counts as ranked before it, so that a model that gives equal scores finds nothing. So does a wrong candidate
    whose score is not finite. A query finds nothing when none of its right candidates has a finite score.

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
    """For each query, the number (N,) of wrong candidates ranked before the best right one, and the (N, 3) best candidates.

    Computed for ROWS queries at a time.
    """
    before, best = [], []
    for start in range(0, len(queries), ROWS):
        scores = queries[start : start + ROWS] @ candidates.T
        right = group[start : start + ROWS, None] == group
        above, tied = above_and_tied(scores, right)
        before.append(above + tied)
        best.append(best_of(scores, min(3, len(candidates))))
    return torch.cat(before), torch.cat(best)


def chance_of(candidates: int, right: int, k: int) -> float:
    """Probability that at least one of the `right` ones among `candidates` is in the first `k` places of a random order."""
    return 1 - comb(candidates - right, k) / comb(candidates, k) if k < candidates else 1.0


def contrastive_loss(
    images: Tensor, texts: Tensor, scale: Tensor, batch_size: int, loss: nn.Module | None = None, bias: Tensor | None = None
) -> float:
    """Mean loss over consecutive batches, without the last incomplete batch unless it is the only one. The default is CLIP's loss.

    Evaluated on the embeddings of all ranks, so that the result does not depend on their number.
    """
    size, loss = min(batch_size, len(images)), loss or ClipLoss()
    starts = range(0, len(images) - size + 1, size)
    return float(torch.stack([loss(images[at : at + size], texts[at : at + size], scale, bias) for at in starts]).mean())
