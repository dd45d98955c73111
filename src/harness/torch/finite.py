"""Numbers that are not finite: looked for in each loss and gradient before weights take them in, and in weights before they are kept."""

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


class Finite(Callback):
    """Does what `train.non_finite` says about a step whose loss or gradient is not finite; all ranks do the same, for they agree.

    `stop` raises before the update. `skip` leaves the update out: weights, the optimiser's statistics and those of batch normalisation
    stay, the schedule and the data go on, and the steps left out are counted. `warn` says so once. In half precision a gradient that
    overflows is the loss scaler's to leave out, which is no fault until its scale has nowhere left to fall.

    Whatever it says, weights that are not finite are neither saved nor published. A step costs one pass over the gradients, one reduction
    of two numbers, and one wait of the CPU for them.

    Args:
        job: whose checkpoints are looked up for the last good one.
        policy: `stop`, `skip` or `warn`.
        series: under which the loss is reported.
    """

    def __init__(self, job: Job, policy: str, series: str = "train") -> None:
        self.job, self.policy, self.series = job, policy, series
        self.left_out = 0
        self.warned = False
        self.loss: Tensor | None = None
        self.statistics: list[tuple[Tensor, Tensor]] = []

    def on_train_batch_start(self, trainer: lightning.Trainer, module: lightning.LightningModule, *_: Any) -> None:
        if self.policy == "skip":  # a forward pass writes them
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
            self.warn(f"step {trainer.global_step + 1}: {what} not finite; train.non_finite=warn goes on, and will not say so again")
        else:
            if bad_loss:
                self.job.report.scalar("loss", self.series, float(self.loss), trainer.global_step + 1)
            raise self.error(trainer.global_step + 1, f"{what} not finite")

    def leave_out(self, trainer: lightning.Trainer, optimizer: Optimizer, gradients: list[Tensor], what: str) -> None:
        """Let this step's update change nothing."""
        step = trainer.global_step + 1
        for buffer, before in self.statistics:
            buffer.copy_(before)
        if not self.weights_are_finite(trainer):
            raise self.error(step, f"{what}, nor are the weights, so that no step can be left out any more")
        if scaler_of(trainer) is not None and getattr(optimizer, "_step_supports_amp_scaling", False):
            for gradient in gradients:
                gradient.fill_(torch.inf)  # the scaler looks at them only now, and wants some: it leaves the step out
        else:
            optimizer.zero_grad(set_to_none=True)
        if not self.left_out:
            self.job.report.text(f"step {step}: {what}; its update is left out, as will be those of other such steps")
        self.left_out += 1
        self.job.report.scalar("steps left out", "not finite", self.left_out, step)

    def mean(self, losses: list[Tensor]) -> float:
        """The mean of some steps' losses; with `skip` of those that are finite, for the others' steps were left out."""
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
            "a lower learning rate is the usual remedy, and train.non_finite=skip leaves such steps out"
        )

    def weights_are_finite(self, trainer: lightning.Trainer) -> bool:
        """On all ranks, which all must ask."""
        module = trainer.lightning_module
        return not any(anywhere([largest([*module.parameters(), *statistics_of(module)])]))

    def can_be_kept(self, trainer: lightning.Trainer) -> bool:
        """Whether the weights may be written to a file now; every rank must ask.

        Raises:
            NotFiniteError: when they may not and `policy` is not to go on.
        """
        if self.weights_are_finite(trainer):
            return True
        if self.policy != "warn":
            raise self.error(trainer.global_step, "the weights are not finite")
        self.warn(f"step {trainer.global_step}: the weights are not finite; train.non_finite=warn goes on, and they are not saved")
        return False

    def check_published(self, trainer: lightning.Trainer) -> None:
        """Before weights are published, which those that are not finite never are; every rank must ask.

        Raises:
            NotFiniteError: whatever the policy is.
        """
        if not self.weights_are_finite(trainer):
            raise self.error(trainer.global_step, "the weights are not finite")

    def on_train_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        if self.left_out:
            self.job.report.text(f"{self.left_out} steps were left out, for their loss or gradient was not finite")

    def state_dict(self) -> dict[str, Any]:
        return {"left_out": self.left_out}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.left_out = state["left_out"]


def largest(tensors: Iterable[Tensor]) -> Tensor:
    """The largest absolute value of all, which is NaN or infinite where one of them is."""
    return get_total_norm([tensor.detach() for tensor in tensors if tensor.is_floating_point()], float("inf"))


def anywhere(values: list[Tensor]) -> list[bool]:
    """Which of a few numbers are not finite, on this rank or on another."""
    flags = torch.stack([~value.isfinite().reshape(()) for value in values]).int()
    if world_size() > 1:
        dist.all_reduce(flags, dist.ReduceOp.MAX)
    return [bool(flag) for flag in flags.tolist()]


def statistics_of(module: nn.Module) -> list[Tensor]:
    """What batch normalisation gathers while training."""
    return [buffer for each in module.modules() if isinstance(each, _BatchNorm) for buffer in each.buffers()]


def scaler_of(trainer: lightning.Trainer) -> torch.amp.GradScaler | None:
    return getattr(trainer.precision_plugin, "scaler", None)


def scaled_down(trainer: lightning.Trainer) -> bool:
    """Whether a gradient that is not finite is an ordinary one of half precision: its scaler leaves the step out, and lowers its scale."""
    scaler = scaler_of(trainer)
    return scaler is not None and scaler.get_scale() > 1
