"""Self-distillation for contrastive fine-tuning (Cheng et al. 2021, arXiv:2104.08945): soft targets from a moving-average teacher.

OTTER (Wu et al. 2022, arXiv:2112.09445) is the form of the same authors' later code, https://github.com/facebookresearch/OTTER.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer
from torch.optim.swa_utils import get_ema_multi_avg_fn

from harness.torch.distributed import gather_rows
from harness.world import rank

from .checkpoint import KEY
from .config import DistillationConfig, SgdConfig
from .contrastive_module import ContrastiveModule
from .model import Clip
from .pairs import Batch


def sinkhorn(similarity: Tensor, eps: float, iterations: int, rows_first: bool = False) -> Tensor:
    """Soft assignment (N, N) of rows to columns: each row is a distribution, which gives more weight to larger similarities.

    The columns and rows of exp(similarity / eps) are normalised in turn (Cuturi 2013, arXiv:1306.0895), in OTTER's code after the rows
    once more. This is done on logarithms, because the exponentials themselves overflow single precision for a small eps.
    """
    logs = similarity / eps
    if rows_first:
        logs = logs - logs.logsumexp(1, keepdim=True)
    for _ in range(iterations):
        logs = logs - logs.logsumexp(0, keepdim=True)
        logs = logs - logs.logsumexp(1, keepdim=True)  # last, so that it is the rows that sum to 1
    return logs.exp()


def targets(images: Tensor, texts: Tensor, settings: DistillationConfig) -> tuple[Tensor, Tensor]:
    """Soft targets, both (N, N), from a teacher's unit embeddings (N, D): the texts for each image, and the images for each text.

    The similarity is the sum of image-image, text-text and image-text similarity. Of embeddings that are not related yet, the
    target is the identity, because only the first two are large, on the diagonal: unless that is removed.
    """
    alike = images @ images.T + texts @ texts.T
    if settings.remove_diagonal:
        alike = alike - torch.eye(len(alike), dtype=alike.dtype, device=alike.device) * 2 * FAR
    across = images @ texts.T
    image, text = (sinkhorn(alike + rows, settings.eps, settings.iterations, settings.rows_first) for rows in (across, across.T))
    return image, text


FAR = 100.0
"""What OTTER's code takes from the similarity of an image with itself, and of a text, so that a pair is no target of itself."""


def divergence(logits: Tensor, target: Tensor) -> Tensor:
    """Kullback-Leibler divergence of softmax(logits) from the target, averaged over the rows."""
    return functional.kl_div(functional.log_softmax(logits, dim=1), target, reduction="batchmean")


def momentum_after(step: int, settings: DistillationConfig) -> float:
    """The teacher's momentum after so many optimizer steps. Where it warms up, it is that of OTTER's code.

    That code moves the teacher before each step, the first time when it still equals the student, with (1 + n) / (10 + n) at the
    n-th time: after `step` steps this is n = step + 1.
    """
    return min(settings.momentum, (2 + step) / (11 + step)) if settings.momentum_warmup else settings.momentum


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """Move the teacher's parameters 1 - momentum of the way towards the student's. Buffers, such as batch statistics, are copied."""
    get_ema_multi_avg_fn(momentum)(tuple(teacher.parameters()), tuple(student.parameters()), None)
    for own, other in zip(teacher.buffers(), student.buffers(), strict=True):
        own.copy_(other)


class SelfDistillation(ContrastiveModule):
    """Trains with CLIP's loss plus the divergence from the soft targets of a moving average of the model itself.

    Args:
        clip: the student; the teacher starts as a copy of it.
        metadata: what a checkpoint states about the model.
        distillation: settings of the teacher.
        sgd: settings of the optimiser.
        options: passed on to ContrastiveModule.
    """

    def __init__(self, clip: Clip, metadata: dict[str, Any], distillation: DistillationConfig, sgd: SgdConfig, **options: Any) -> None:
        super().__init__(clip, sgd, **options)
        self.metadata, self.distillation = metadata, distillation
        own = bool(distillation.own_temperature and distillation.weight)
        self.target_scale = nn.Parameter(torch.tensor(distillation.logit_scale)) if own else None
        self.teacher = copy.deepcopy(clip.model).requires_grad_(False).eval() if distillation.weight else None
        self.targets: tuple[Tensor, Tensor] | None = None
        warnings.filterwarnings("ignore", ".*module.s. in eval mode at the start of training.*")  # the teacher, on purpose

    def train(self, mode: bool = True) -> SelfDistillation:
        super().train(mode)
        if self.teacher is not None:
            self.teacher.eval()
        return self

    def training_step(self, batch: Batch, number: int) -> Tensor:
        if self.teacher is not None:
            self.targets = self.soft_targets(batch)
        return super().training_step(batch, number)

    @torch.no_grad()
    def soft_targets(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The teacher's targets (B, N) for this rank's images and texts, over the pairs of all ranks."""
        assert self.teacher is not None  # `training_step`
        size = self.micro_batch if self.caches else len(batch.index)
        parts = zip(batch.images.split(size), batch.tokens.split(size), strict=True)
        embedded = [self.embed(self.teacher, images, tokens) for images, tokens in parts]
        images, texts = (gather_rows(torch.cat(rows).float()) for rows in zip(*embedded, strict=True))
        with torch.autocast(images.device.type, enabled=False):
            found = targets(images, texts, self.distillation)
        mine = slice(rank() * len(batch.index), (rank() + 1) * len(batch.index))
        return found[0][mine], found[1][mine]

    def contrast(self, images: Tensor, texts: Tensor) -> Tensor:
        """Cross-entropy with the matching pairs and divergence from the targets, of this rank's embeddings against those of all ranks."""
        self.last = images.detach(), texts.detach()
        scale = self.model.logit_scale.exp()
        logits = self.loss.get_logits(images, texts, scale)
        right = torch.arange(len(images), device=images.device) + rank() * len(images)
        contrast = sum(functional.cross_entropy(rows, right) for rows in logits)
        if self.targets is None:
            return contrast / 2
        said, alpha = self.distillation, self.distillation.alpha
        if self.target_scale is not None:
            logits = self.loss.get_logits(images, texts, self.target_scale.exp())
        apart = sum(divergence(rows, target) for rows, target in zip(logits, self.targets, strict=True))
        return alpha * contrast + (1 - alpha) * said.weight * apart

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Optimizer, closure: Callable[[], Any] | None = None) -> None:
        super().optimizer_step(epoch, batch_idx, optimizer, closure)
        if self.teacher is not None:
            follow(self.teacher, self.model, momentum_after(self.global_step + 1, self.distillation))

    def figures(self) -> dict[tuple[str, str], float]:
        found = super().figures()
        if self.target_scale is not None:
            found["logit scale", "exp, of the soft targets"] = float(self.target_scale.detach().exp())
        return found

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint[KEY] = self.metadata
