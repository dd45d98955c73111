"""The Lightning module of every training: embeds, contrasts across all ranks, clamps the temperature, evaluates on held-out pairs."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim import Optimizer

from harness.report import Report
from harness.torch.distributed import gather_rows, mean_over_ranks
from harness.torch.resume import check_identity
from harness.torch.schedule import scheduled
from harness.torch.scores import first
from harness.world import rank, world_size

from .config import MONITORS, OptimConfig, RatesConfig, SgdConfig
from .gradient_caching import CachedStep, at_least_fp32
from .losses import make_loss
from .model import Clip, normalised
from .optim import cosine_with_warmup, make_optimizer, warmup_within
from .pairs import Batch, HeldOut
from .retrieval import Retrieval, contrastive_loss, report_recall, retrieval

MAX_LOGIT_SCALE = math.log(100)


class ContrastiveModule(CachedStep):
    """Trains with CLIP's loss or SigLIP's.

    Args:
        clip: the model.
        optim: settings of the optimiser.
        total_steps: optimizer steps of the whole run.
        heldout: pairs to evaluate on.
        batch_size: pairs in one step of all ranks together.
        identity: what determines the run besides its settings (`training_loop.identity_of`); a checkpoint with another identity is refused.
        report: where results go.
        loss: a key of losses.STARTS.
        micro_batch: pairs that a rank embeds at a time, by gradient caching; 0 embeds the whole batch at once.
        compiled: whether the optimiser's kernels are compiled.
        rates: factors of the learning rate of towers and blocks.
        frozen: batch normalisations that keep their statistics.
        gallery: draws images with their best-matching captions, or None.
    """

    def __init__(
        self,
        clip: Clip,
        optim: OptimConfig | SgdConfig,
        *,
        total_steps: int,
        heldout: HeldOut,
        batch_size: int,
        identity: dict[str, Any],
        report: Report,
        loss: str = "clip",
        micro_batch: int = 0,
        compiled: bool = False,
        rates: RatesConfig | None = None,
        frozen: Sequence[nn.Module] = (),
        gallery: Callable[[list[int], list[str], Retrieval], Any] | None = None,
    ) -> None:
        super().__init__()
        self.model, self.name, self.width = clip.model, clip.name, clip.width
        self.optim, self.total_steps, self.heldout, self.batch_size = optim, total_steps, heldout, batch_size
        self.identity, self.report, self.gallery = identity, report, gallery
        self.register_buffer("mean", clip.mean.view(3, 1, 1), persistent=False)
        self.register_buffer("std", clip.std.view(3, 1, 1), persistent=False)
        self.loss, self.alone = make_loss(loss), make_loss(loss, rank=0, ranks=1)
        self.most = MAX_LOGIT_SCALE if loss == "clip" else None  # SigLIP does not limit its temperature
        self.micro_batch, self.caches = micro_batch, 0 < micro_batch < batch_size // world_size()
        self.compiled, self.rates, self.frozen = compiled, rates, tuple(frozen)
        if frozen:
            warnings.filterwarnings("ignore", ".*module.s. in eval mode at the start of training.*")  # on purpose
        self.last: tuple[Tensor, Tensor] | None = None
        self.embedded: list[tuple[Tensor, Tensor, Tensor]] = []
        self.validated_at = -1
        self.metrics: dict[str, float] = {}
        self.watched = dict.fromkeys(MONITORS, math.nan)
        """The latest values of what early stopping may watch, on rank 0."""

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for module in self.frozen:
            module.eval()
        return self

    def forward(self, images: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Unit embeddings (B, D) of images (B, 3, S, S) and of texts (B, context length)."""
        return self.embed(self.model, images, tokens)

    def embed(self, model: nn.Module, images: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        out = model(normalised(images, self.mean, self.std), tokens)
        return at_least_fp32(out["image_features"]), at_least_fp32(out["text_features"])

    def training_step(self, batch: Batch, _: int) -> Tensor:
        if not self.caches:
            return self.contrast(*self(batch.images, batch.tokens))
        micro_batches = list(zip(batch.images.split(self.micro_batch), batch.tokens.split(self.micro_batch), strict=True))
        return self.cached((self.embed_images, self.embed_texts), micro_batches, self.contrast)

    def embed_images(self, micro_batch: tuple[Tensor, Tensor]) -> Tensor:
        return at_least_fp32(self.model.encode_image(normalised(micro_batch[0], self.mean, self.std), normalize=True))

    def embed_texts(self, micro_batch: tuple[Tensor, Tensor]) -> Tensor:
        return at_least_fp32(self.model.encode_text(micro_batch[1], normalize=True))

    def contrast(self, images: Tensor, texts: Tensor) -> Tensor:
        """The loss of this rank's embeddings against those of all ranks."""
        self.last = images.detach(), texts.detach()
        return self.loss(images, texts, self.model.logit_scale.exp(), getattr(self.model, "logit_bias", None))

    def figures(self) -> dict[tuple[str, str], float]:
        """Values of the last training step to report besides its loss, by title and series. Every rank must call this."""
        found = {("logit scale", "exp"): float(self.model.logit_scale.detach().exp())}
        if self.last is not None:
            found["recall@1", "image to text, in its training batch"] = recall_in_batch(*self.last)
        return found

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        unscaled = bool(self.trainer.gradient_clip_val) and getattr(self.trainer.precision_plugin, "scaler", None) is not None
        others = [parameter for name, parameter in self.named_parameters(recurse=False)]
        optimizer = make_optimizer(
            self.model, self.optim, self.name, compiled=self.compiled, fused=not unscaled, rates=self.rates, others=others
        )
        warmup = warmup_within(self.optim.warmup, self.total_steps)
        return scheduled(optimizer, lambda step: cosine_with_warmup(step, warmup, self.total_steps))

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Optimizer, closure: Callable[[], Any] | None = None) -> None:
        super().optimizer_step(epoch, batch_idx, optimizer, closure)
        with torch.no_grad():
            for scale in (self.model.logit_scale, *self.parameters(recurse=False)):
                assert isinstance(scale, nn.Parameter)
                if scale.requires_grad and self.most is not None:
                    scale.clamp_(0, self.most)

    def validation_step(self, batch: Batch, _: int) -> None:
        if len(batch.index):
            size = self.micro_batch or len(batch.index)
            parts = zip(batch.index.split(size), batch.images.split(size), batch.tokens.split(size), strict=True)
            for index, *pairs in parts:
                images, texts = self(*pairs)
                self.embedded.append((index, images.float(), texts.float()))

    def on_validation_epoch_end(self) -> None:
        """Compute recall and loss over the embeddings of all ranks, in the order of the pairs."""
        none = (torch.empty(0, dtype=torch.int64), torch.empty(0, self.width), torch.empty(0, self.width))
        parts = zip(tuple(part.to(self.device) for part in none), *self.embedded, strict=True)  # a rank may have no pairs
        index, images, texts = (gather_rows(torch.cat(part)) for part in parts)
        self.embedded = []
        self.validated_at = self.global_step
        if rank() == 0 and len(index):
            self.evaluate(index, images, texts)
        told = self.watched if rank() == 0 else dict.fromkeys(MONITORS, 0.0)
        self.log_dict(told, sync_dist=True, reduce_fx="sum")  # rank 0's values on every rank, for early stopping

    def evaluate(self, index: Tensor, images: Tensor, texts: Tensor) -> None:
        """Report recall and loss over all held-out embeddings, with their pairs' indices."""
        order = index.argsort()
        indices, images, texts = index[order].tolist(), images[order], texts[order]
        captions = [self.heldout.caption(i) for i in indices]
        result = retrieval(images, texts, captions)
        bias = getattr(self.model, "logit_bias", None)
        loss = contrastive_loss(images, texts, self.model.logit_scale.exp(), self.batch_size, self.alone, bias)
        self.report_evaluation(result, loss, len(indices))
        if self.gallery is not None:
            self.report.image("held-out images with best captions", "gallery", self.gallery(indices, captions, result), self.global_step)

    def report_evaluation(self, result: Retrieval, loss: float, count: int) -> None:
        step = self.global_step
        self.report.scalar("loss", "held out", loss, step)
        self.report.scalar("logit scale", "exp", float(self.model.logit_scale.exp()), step)
        report_recall(result, self.report, step)
        recall = {f"recall@1/{direction}": result.recall[direction, 1] for direction in ("image to text", "text to image")}
        finite = math.isfinite(loss)  # recall is a number even where the embeddings are none
        self.watched = {"loss/held out": loss, **{name: value if finite else math.nan for name, value in recall.items()}}
        self.metrics = {"loss": loss, **{f"recall@{k} {direction}": value for (direction, k), value in result.recall.items()}}
        self.report.text(f"step {step}: held-out loss {loss:.4f}, image to text / text to image over {count} pairs: {result}")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["identity"] = self.identity

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        check_identity(checkpoint["identity"], self.identity, self.report)


def recall_in_batch(images: Tensor, texts: Tensor) -> float:
    """The share of images of all ranks whose own text is the nearest among the texts of all ranks.

    Args:
        images: this rank's embeddings (B, D); every rank has as many.
        texts: those of their texts (B, D).
    """
    scores = images @ gather_rows(texts).T  # of this rank's images only, as all ranks' would be a matrix far larger than the loss's
    right = torch.zeros_like(scores, dtype=torch.bool)
    right.diagonal(rank() * len(images)).fill_(True)
    return float(mean_over_ranks(first(scores, right).mean()))
