"""An agent's training as a Lightning module, and the callbacks that run between its steps."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from harness.checkpoint import Checkpoints
from harness.errors import CheckpointError
from harness.files import replaced
from harness.numbers import finite
from harness.report import Report
from harness.torch.callbacks import ReportTraining, SaveAndStop
from harness.torch.distributed import gather_rows
from harness.torch.resume import check_identity
from harness.torch.saving import save_whole
from harness.torch.schedule import scheduled
from harness.torch.step_losses import StepLosses
from harness.world import rank

from ..checkpoint_files import BEST, LAST, kept_at
from .agent import Agent
from .batch import Batch
from .checkpoint import KEY
from .overlay import gallery
from .validation import Result, validate


class Imitation(lightning.LightningModule):
    """Minimizes the cross-entropy to the demonstrator's pick and place with Adam.

    Args:
        agent: the agent to train.
        lr: learning rate.
        decay: final share of the steps over which the learning rate falls linearly to 0.
        steps: length of the whole run.
        identity: what determines the run besides its settings; a checkpoint with a different identity is not resumed.
        report: receives a note on anything that an older checkpoint does not state.
        description: what checkpoints say about the agent.
    """

    def __init__(
        self, agent: Agent, *, lr: float, decay: float, steps: int, identity: dict[str, Any], description: dict[str, Any], report: Report
    ) -> None:
        super().__init__()
        self.agent, self.lr, self.decay, self.steps = agent, lr, decay, steps
        self.identity, self.description, self.report = identity, description, report

    def on_fit_start(self) -> None:
        """Check that every rank has found the same frozen weights."""
        trunk = self.description["trunk"]
        number = torch.tensor([int(trunk["fingerprint"][:15], 16) if trunk else 0], device=self.device)
        if len(gather_rows(number).unique()) > 1:
            raise CheckpointError(
                f"the processes have different frozen weights, rank {rank()}: {self.agent.origin}; name a file by model.clip_weights"
            )

    def training_step(self, batch: Batch, _: int) -> dict[str, Tensor]:
        losses: dict[str, Tensor] = self.agent(batch)
        return losses

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        optimizer = torch.optim.Adam(self.agent.parameters(), lr=self.lr, fused=True)
        return scheduled(optimizer, lambda step: falling(step, self.steps, self.decay))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["identity"] = self.identity
        checkpoint[KEY] = self.description

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        check_identity(checkpoint["identity"], self.identity, self.report)
        if checkpoint["global_step"] < self.steps:  # written at the end of a shorter run: Lightning would consider its one epoch finished
            checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["is_last_batch"] = False


def falling(step: int, total: int, share: float) -> float:
    """Factor of the learning rate: 1, then falling linearly to 0 over the final `share` of the steps."""
    return min(1.0, (total - step) / (share * total)) if share else 1.0


class ReportParts(Callback):
    """Reports the mean losses of pick and place over all ranks; `training` reports that of their sum."""

    def __init__(self, training: ReportTraining) -> None:
        self.training = training
        self.losses = {"attn": StepLosses(), "trans": StepLosses()}

    def on_train_batch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule, outputs: Any, *_: Any) -> None:
        for name, losses in self.losses.items():
            losses.add(outputs[name])
            if trainer.global_step % self.training.every == 0:
                mean = self.training.finite.mean(losses.over_ranks())
                self.training.report.scalar(f"{name}/loss", self.training.series, mean, trainer.global_step)
                losses.clear()

    def state_dict(self) -> dict[str, Any]:
        """The losses since the last point. Every rank must call this."""
        return {name: losses.over_ranks() for name, losses in self.losses.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, losses in self.losses.items():
            losses.restore(state[name])


class Validate(Callback):
    """Validates every `every` steps, at `keep_at` and at the end, and keeps parameters in files (see `checkpoint_files`).

    These files hold what an agent needs and no state of training.

    Args:
        batches: yields this rank's validation samples.
        folder: where the files are written.
        training: reports the training's speed; it must not count the time spent here.
        every: steps between two validations.
        keep_at: steps after which a file is kept for good.
        pictures: number of scenes shown.
    """

    def __init__(
        self,
        batches: Callable[[], Iterable[tuple[list[int], Batch]]],
        folder: Path,
        training: ReportTraining,
        *,
        every: int,
        keep_at: Iterable[int],
        pictures: int,
    ) -> None:
        self.batches, self.folder, self.training, self.report = batches, folder, training, training.report
        self.every, self.keep_at, self.pictures = every, set(keep_at), pictures
        self.best = float("inf")
        self.result: Result | None = None

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best = state["best"]

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        if trainer.global_step == 0:
            self.run(trainer, module)

    def on_train_batch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule, *_: Any) -> None:
        step = trainer.global_step
        last = step >= trainer.estimated_stepping_batches
        if last or step % self.every == 0 or step in self.keep_at:
            self.run(trainer, module)

    def run(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Validate now; every rank has to take part."""
        assert isinstance(module, Imitation)
        step = trainer.global_step
        self.result, drawn = validate(module.agent, self.batches(), trainer.precision_plugin.forward_context, self.pictures)
        self.training.on_validation_end(trainer, module)
        better = step > 0 and finite(self.result.loss) and self.result.loss < self.best
        self.best = self.result.loss if better else self.best
        kept = (better or step in self.keep_at) and self.training.finite.can_be_kept(trainer)
        if rank() > 0:
            return
        for title, value in self.result.scalars().items():
            self.report.scalar(title, "vl", value, step)
        if drawn:
            self.report.image("pick and place", "validation", gallery(drawn), step)
        shown = ", ".join(f"{name} {value:.4g}" for name, value in self.result.scalars().items())
        self.report.text(f"step {step}: {shown}")
        if kept and step in self.keep_at:
            self.keep(module, kept_at(step, self.result.loss), step)
        if kept and better:
            self.keep(module, BEST, step)

    def keep(self, module: Imitation, name: str, step: int) -> None:
        assert self.result is not None
        self.folder.mkdir(parents=True, exist_ok=True)
        content = {"state_dict": module.agent.state_dict(), "global_step": step, "val_loss": self.result.loss, KEY: module.description}
        save_whole(content, self.folder / name)


class KeepLast(Callback):
    """Links `last.ckpt` to the newest checkpoint of the full state.

    Args:
        saving: writes the checkpoints; has to come earlier in the list of callbacks.
        checkpoints: where they are written.
        folder: where `last.ckpt` is.
    """

    def __init__(self, saving: SaveAndStop, checkpoints: Checkpoints, folder: Path) -> None:
        self.saving, self.checkpoints, self.folder = saving, checkpoints, folder

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        if self.saving.saved_at == trainer.global_step:
            self.link()

    def on_train_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self.link()  # all that is left to do for a run that was killed after its last checkpoint

    def link(self) -> None:
        found = self.checkpoints.newest_first()
        if rank() == 0 and found:
            self.folder.mkdir(parents=True, exist_ok=True)
            with replaced(self.folder / LAST) as beside:
                os.link(found[0], beside)
