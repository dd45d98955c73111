"""A small module that gives losses and gradients which are no numbers where it is asked to, and its run.

python diverging.py OUTPUT: what each of two ranks does in test_finite.py, of which the second alone meets a bad loss.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
import torch
from lightning.pytorch.plugins import MixedPrecision
from support.training import job_in
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader

from harness import Job
from harness.errors import NotFiniteError
from harness.torch.callbacks import ReportTraining, SaveAndStop
from harness.torch.finite import Finite
from harness.torch.trainer import make_trainer
from harness.world import rank

NAN = float("nan")


class Line(lightning.LightningModule):
    """Least squares by momentum, on a batch that follows from the step.

    Args:
        loss: the step, from 1, whose loss is no number.
        gradient: the step whose gradient is none, at a loss that is one; -1 is every step.
        alone: the bad loss has a gradient of zeros.
        lr: learning rate.
        scale: of the loss.
        norm: with batch normalisation.
        steps: of the run.
        fused: the optimiser undoes a scaler's work itself.
    """

    def __init__(
        self, *, loss: int = 0, gradient: int = 0, alone: bool = False, lr: float = 0.1, scale: float = 1.0, norm: bool = False,
        steps: int = 5, fused: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3) if norm else nn.Identity(), nn.Linear(3, 1))
        self.bad_loss, self.bad_gradient, self.alone, self.lr, self.scale, self.steps = loss, gradient, alone, lr, scale, steps
        self.fused = fused

    def batch(self, step: int) -> Tensor:
        return torch.randn(8, 4, generator=torch.Generator().manual_seed(step))

    def training_step(self, batch: Tensor, number: int) -> Tensor:
        step = number + 1
        if step == self.bad_loss and not self.alone:
            batch = batch * NAN
        out = self.model(batch)
        if self.bad_gradient in (step, -1):
            out.register_hook(lambda gradient: gradient * NAN)
        loss = self.scale * (out - 1).square().mean()
        return loss + (NAN if step == self.bad_loss and self.alone else 0)

    def configure_optimizers(self) -> dict[str, Any]:
        optimizer = torch.optim.SGD(self.parameters(), lr=self.lr, momentum=0.9, fused=self.fused)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": LambdaLR(optimizer, lambda step: 1 / (1 + step)), "interval": "step"}}


def fit(module: Line, job: Job, policy: str, scaler: torch.amp.GradScaler | None = None) -> lightning.Trainer:
    """As workloads do it; with a scaler as in fp16, which Lightning keeps for GPUs."""
    finite = Finite(job, policy)
    saving = SaveAndStop(job.checkpoints, 1, finite, {})
    trainer = make_trainer(
        epochs=1,
        validate_every=1,
        precision="fp32",
        deterministic=False,
        output=job.output_dir,
        callbacks=[finite, ReportTraining(job.report, 1, 8, finite), saving],
    )
    if scaler is not None:
        trainer.strategy.precision_plugin = MixedPrecision("16-mixed", "cpu", scaler)
    trainer.fit(module, DataLoader([module.batch(step) for step in range(module.steps)], batch_size=None))
    finite.check_published(trainer)
    return trainer


def weights_of(module: Line) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.model.state_dict().items()}


def main(output: Path) -> None:
    module = Line(loss=3 * rank(), alone=True)
    fit(module, job_in(output / "skip"), "skip")
    torch.save(weights_of(module), output / f"rank-{rank()}.pt")
    try:
        fit(Line(loss=3 * rank(), alone=True), job_in(output / "stop"), "stop")
    except NotFiniteError as error:
        (output / f"stopped-{rank()}.txt").write_text(str(error))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
