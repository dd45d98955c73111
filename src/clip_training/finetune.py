"""Fine-tune an image encoder and a text encoder that learned apart into a CLIP, by self-distillation.

python -m clip_training.finetune folder=data_dir image.encoder=torchvision/resnet50 text.encoder=johngiorgi/declutr-sci-base batch_size=64

Options (key=value, or --key value):
"""

from __future__ import annotations

if __name__ == "__main__":  # before PyTorch is imported: what is wrong with a line is told at once
    from harness.entry import enter

    enter("clip", "finetune", __doc__)

import copy
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.nn import functional
from torch.optim import SGD, Optimizer

from harness import Job
from harness.errors import ParameterError
from harness.torch.distributed import gather_rows
from harness.torch.resume import check
from harness.torch.schedule import scheduled
from harness.torch.seeds import seed_everything
from harness.world import rank, world_size

from . import boosts
from .checkpoint import KEY, description_of, load
from .config import RESUMABLE, DistillationConfig, FinetuneConfig, SgdConfig
from .contrast import Contrast
from .distillation import divergence, follow, targets
from .encoders import from_wrapper, make_encoders, restored
from .gallery import gallery
from .loading import datasets
from .model import Clip
from .optim import cosine_with_warmup, parameter_groups
from .pairs import Batch
from .running import fit, identity_of, order_of, publish, total_steps, warn_of_batch_norm


class SelfDistillation(Contrast):
    """Contrasts, and learns from the soft targets of a moving average of itself.

    Args:
        clip: the student; the teacher begins as its copy.
        said: what a checkpoint says of the model.
        distillation: of the teacher.
        sgd: the optimiser.
        options: of Contrast.
    """

    def __init__(self, clip: Clip, said: dict[str, Any], distillation: DistillationConfig, sgd: SgdConfig, **options: Any) -> None:
        super().__init__(clip, sgd, **options)
        self.said, self.distillation, self.sgd = said, distillation, sgd
        self.teacher = copy.deepcopy(clip.model).requires_grad_(False).eval() if distillation.weight else None
        self.targets: tuple[Tensor, Tensor] | None = None
        warnings.filterwarnings("ignore", ".*module.s. in eval mode at the start of training.*")  # the teacher is meant to be

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
        """The teacher's targets (B, N) for this rank's images and texts, among those of all ranks."""
        size = self.micro_batch if self.caches else len(batch.index)
        parts = zip(batch.images.split(size), batch.tokens.split(size), strict=True)
        embedded = [self.embed(self.teacher, images, tokens) for images, tokens in parts]
        images, texts = (gather_rows(torch.cat(rows).float()) for rows in zip(*embedded, strict=True))
        with torch.autocast(images.device.type, enabled=False):
            found = targets(images, texts, self.distillation.eps, self.distillation.iterations)
        mine = slice(rank() * len(batch.index), (rank() + 1) * len(batch.index))
        return found[0][mine], found[1][mine]

    def contrast(self, images: Tensor, texts: Tensor) -> Tensor:
        """Cross-entropy with the right pairs, and divergence from the targets, of this rank's images and texts among those of all."""
        self.last = images.detach(), texts.detach()
        logits = self.loss.get_logits(images, texts, self.model.logit_scale.exp())
        right = torch.arange(len(images), device=images.device) + rank() * len(images)
        loss = sum(functional.cross_entropy(rows, right) for rows in logits) / 2
        if self.targets is not None:
            apart = sum(divergence(rows, target) for rows, target in zip(logits, self.targets, strict=True)) / 2
            loss = loss + self.distillation.weight * apart
        return loss

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        optimizer = SGD(parameter_groups(self.model, self.sgd.weight_decay), lr=self.sgd.lr, momentum=self.sgd.momentum)
        return scheduled(optimizer, lambda step: cosine_with_warmup(step, self.sgd.warmup, self.total_steps))

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Optimizer, closure: Callable[[], Any] | None = None) -> None:
        super().optimizer_step(epoch, batch_idx, optimizer, closure)
        if self.teacher is not None:
            follow(self.teacher, self.model, self.distillation.momentum)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint[KEY] = self.said


def finetune(job: Job) -> Path:
    """Fine-tune on image-text pairs, and return the file of the final weights, which `kinds.load_clip` takes and nothing else needs.

    Args:
        job: its settings are a FinetuneConfig, its dataset is pairs, or None where `data` names them, and its `init_from` weights of an
            earlier run, or of a CustomCLIPWrapper with the encoders that the settings name.

    Raises:
        HarnessError: for settings, data or weights that do not do.
        SystemExit: with 143, after a SIGTERM and a last checkpoint.
    """
    settings: FinetuneConfig = job.settings
    check(job, RESUMABLE, description_of)
    seed_everything(job.seed)
    clip, said = start(settings, job.init_from)
    boosts.apply(clip.model, settings)
    warn_of_batch_norm(clip, job)
    training, heldout = datasets(clip, settings, job.dataset, job.seed)
    batches = order_of(training, settings, job.seed)
    total = total_steps(batches, settings)
    module = SelfDistillation(
        clip,
        said,
        settings.distillation,
        settings.optim,
        total_steps=total,
        heldout=heldout,
        batch_size=settings.train.batch_size * world_size(),
        identity=identity_of(clip, training, heldout, settings),
        report=job.report,
        micro_batch=settings.train.micro_batch,
        gallery=partial(gallery, heldout, settings.train.debug_images) if settings.train.debug_images else None,
    )
    trainer = fit(module, training, heldout, batches, job)
    result = {"model": clip.name, "steps": total, **module.metrics}
    return publish(trainer, {"state_dict": clip.model.state_dict(), KEY: said}, result, job)


def start(settings: FinetuneConfig, init_from: Path | None) -> tuple[Clip, dict[str, Any]]:
    """The encoders with their projections: those of a file, or of the settings; and what a file of them says.

    Raises:
        ParameterError: for a file of another kind.
    """
    if init_from is None:
        return make_encoders(settings.image, settings.text, settings.width)
    state, description = load(init_from)
    if description.said.get("kind") == "encoders":
        return restored(description.said, state, init_from), dict(description.said)
    if description.kind == "custom_clip_wrapper":
        return from_wrapper(settings.image, settings.text, state, init_from)
    raise ParameterError([f"init_from={init_from}: must be of an earlier finetune or of a CustomCLIPWrapper; {description}"])
