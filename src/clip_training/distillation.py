"""Self-distillation for contrastive fine-tuning (Cheng et al. 2021, arXiv:2104.08945): a teacher that is a moving average, soft targets."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import get_ema_multi_avg_fn


def sinkhorn(similarity: Tensor, eps: float, iterations: int) -> Tensor:
    """Soft assignment (N, N) of rows to columns, each row a distribution: the larger a similarity, the more is assigned.

    Columns and rows of exp(similarity / eps) are normalised in turn (Cuturi 2013, arXiv:1306.0895), in logarithms, so that no eps is
    too small.
    """
    logs = similarity / eps
    for _ in range(iterations):
        logs = logs - logs.logsumexp(0, keepdim=True)
        logs = logs - logs.logsumexp(1, keepdim=True)
    return logs.exp()


def targets(images: Tensor, texts: Tensor, eps: float, iterations: int) -> tuple[Tensor, Tensor]:
    """For each image the texts, and for each text the images, that go with it, both (N, N), from a teacher's unit embeddings (N, D).

    Similarity is that of the images to each other, plus that of the texts, plus that of images and texts.
    """
    alike = images @ images.T + texts @ texts.T
    across = images @ texts.T
    return sinkhorn(alike + across, eps, iterations), sinkhorn(alike + across.T, eps, iterations)


def divergence(logits: Tensor, target: Tensor) -> Tensor:
    """Kullback-Leibler divergence of softmax(logits) from the target, mean over the rows."""
    return functional.kl_div(functional.log_softmax(logits, dim=1), target, reduction="batchmean")


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """Move the teacher's parameters towards the student's, by 1 - momentum of the way. Buffers, such as batch statistics, are copied."""
    get_ema_multi_avg_fn(momentum)(tuple(teacher.parameters()), tuple(student.parameters()), None)
    for own, other in zip(teacher.buffers(), student.buffers(), strict=True):
        own.copy_(other)
