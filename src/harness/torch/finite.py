"""Checks for non-finite numbers: in each loss and gradient before the update, and in the weights before they are saved."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import lightning.pytorch as lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from harness import Job
from harness.errors import NotFiniteError
from harness.world import world_size

from .distributed import mean_over_ranks


class Finite(Callback):
    """Applies `train.non_finite` when a step's loss or gradient is not finite. The ranks agree first, so that all do the same.

    `stop` raises an error before the update. `skip` omits the update: weights, optimiser statistics and batch statistics stay the same,
    schedule and data move on, and the omitted steps are counted. `warn` logs a line once. In half precision the loss scaler omits the
    steps whose gradient overflows; that is normal as long as its scale can still be lowered.

    Under every policy, non-finite weights are neither saved nor published. A step costs one pass over the gradients, one reduction of two
    numbers, and one synchronisation with the GPU.

    Args:
        job: provides the report, and the checkpoints among which to look up the last good one.
        policy: `stop`, `skip` or `warn`.
        series: the name of the loss's curve.
    """

    def __init__(self, job: Job, policy: str, series: str = "train") -> None:
        self.job, self.policy, self.series = job, policy, series
        self.left_out = 0
        self.warned = False
        self.loss: Tensor | None = None
        self.statistics: list[tuple[Tensor, Tensor]] = []

    def on_train_batch_start(self, trainer: lightning.Trainer, module: lightning.LightningModule, *_: Any) -> None:
        if self.policy == "skip":  # because the forward pass overwrites them
            self.statistics = [(buffer, buffer.clone()) for buffer in statistics_of(module)]

    def on_before_backward(self, trainer: lightning.Trainer, module: lightning.LightningModule, loss: Tensor) -> None:
        self.loss = loss.detach()

    def on_before_optimizer_step(self, trainer: lightning.Trainer, module: lightning.LightningModule, optimizer: Optimizer) -> None:
        assert self.loss is not None
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        bad_loss, bad_gradient = anywhere([self.loss, largest(gradients)])
        if not bad_loss and (not bad_gradient or scaled_down(trainer)):
            return
        what = "the loss and its gradient are" if bad_loss and bad_gradient else "the loss is" if bad_loss else "the gradient is"
        if self.policy == "skip":
            self.leave_out(trainer, optimizer, gradients, f"{what} not finite")
        elif self.policy == "warn":
            self.warn(f"step {trainer.global_step + 1}: {what} not finite; train.non_finite=warn continues, and logs this only once")
        else:
            if bad_loss:
                self.job.report.scalar("loss", self.series, float(mean_over_ranks(self.loss)), trainer.global_step + 1)
            raise self.error(trainer.global_step + 1, f"{what} not finite")

    def leave_out(self, trainer: lightning.Trainer, optimizer: Optimizer, gradients: list[Tensor], what: str) -> None:
        """Make this step's update change nothing.

        Raises:
            NotFiniteError: when the weights themselves are not finite, so that omitting the update does not help.
        """
        step = trainer.global_step + 1
        for buffer, before in self.statistics:
            buffer.copy_(before)
        if not self.weights_are_finite(trainer):
            raise self.error(step, f"{what}, nor are the weights, so that skipping steps does not help")
        if scaler_of(trainer) is not None and getattr(optimizer, "_step_supports_amp_scaling", False):
            for gradient in gradients:
                gradient.fill_(torch.inf)  # a fused optimiser's scaler checks them only now, and must find some: it then skips the step
        else:
            optimizer.zero_grad(set_to_none=True)
        if not self.left_out:
            self.job.report.text(f"step {step}: {what}; its update is left out, as are those of later steps like it")
        self.left_out += 1
        self.job.report.scalar("steps left out", "not finite", self.left_out, step)

    def mean(self, losses: list[Tensor]) -> float:
        """The mean of several steps' losses; with `skip`, of the finite ones, because the other steps were left out."""
        stacked = torch.stack(losses)
        return float((stacked[stacked.isfinite()] if self.policy == "skip" else stacked).mean())

    def warn(self, message: str) -> None:
        if not self.warned:
            self.job.report.text(message)
        self.warned = True

    def error(self, step: int, what: str) -> NotFiniteError:
        last = self.job.checkpoints.latest() or self.job.resume
        return NotFiniteError(
            f"step {step}: {what}; training ends, and no weights are published; "
            f"{f'the last good checkpoint is {last}' if last else 'there is no checkpoint yet'}; "
            "try a lower learning rate, or train.non_finite=skip to leave out such steps"
        )

    def weights_are_finite(self, trainer: lightning.Trainer) -> bool:
        """Whether the weights are finite on all ranks. Every rank must call this."""
        module = trainer.lightning_module
        return not any(anywhere([largest([*module.parameters(), *statistics_of(module)])]))

    def can_be_kept(self, trainer: lightning.Trainer) -> bool:
        """Whether the weights may be saved now. Every rank must call this.

        Raises:
            NotFiniteError: when they may not, unless `policy` is to continue.
        """
        if self.weights_are_finite(trainer):
            return True
        if self.policy != "warn":
            raise self.error(trainer.global_step, "the weights are not finite")
        self.warn(f"step {trainer.global_step}: the weights are not finite; train.non_finite=warn continues without saving them")
        return False

    def check_published(self, trainer: lightning.Trainer) -> None:
        """Check the weights before they are published. Every rank must call this.

        Raises:
            NotFiniteError: when they are not finite, under every policy.
        """
        if not self.weights_are_finite(trainer):
            raise self.error(trainer.global_step, "the weights are not finite")

    def on_train_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        if self.left_out:
            self.job.report.text(f"{self.left_out} steps were left out because their loss or gradient was not finite")

    def state_dict(self) -> dict[str, Any]:
        return {"left_out": self.left_out}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.left_out = state["left_out"]


def largest(tensors: Iterable[Tensor]) -> Tensor:
    """The largest absolute value, which is NaN or infinite if any value is."""
    return get_total_norm([tensor.detach() for tensor in tensors if tensor.is_floating_point()], float("inf"))


def anywhere(values: list[Tensor]) -> list[bool]:
    """For each number, whether it is not finite on any rank."""
    flags = torch.stack([~value.isfinite().reshape(()) for value in values]).int()
    if world_size() > 1:
        dist.all_reduce(flags, dist.ReduceOp.MAX)
    return [bool(flag) for flag in flags.tolist()]


def statistics_of(module: nn.Module) -> list[Tensor]:
    """The running statistics of batch normalisation."""
    return [buffer for each in module.modules() if isinstance(each, _BatchNorm) for buffer in each.buffers()]


def scaler_of(trainer: lightning.Trainer) -> torch.amp.GradScaler | None:
    return getattr(trainer.precision_plugin, "scaler", None)


def scaled_down(trainer: lightning.Trainer) -> bool:
    """Whether the loss scaler of half precision deals with a non-finite gradient, by omitting the step and lowering its scale."""
    scaler = scaler_of(trainer)
    return scaler is not None and scaler.get_scale() > 1
