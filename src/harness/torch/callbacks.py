"""Lightning callbacks: what a training run reports, when it saves, and how it stops."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason

from harness import Job
from harness.checkpoint import Checkpoints
from harness.report import Report
from harness.world import rank

from .finite import Finite
from .resume import SETTINGS
from .seeds import seed_everything
from .step_losses import StepLosses


class SeedEachStep(Callback):
    """Seeds each step from (seed, step, rank), so that dropout and the like draw the same numbers in a resumed run."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        seed_everything(self.seed, trainer.global_step, rank())


class ReportTraining(Callback):
    """Reports progress, learning rate and rank 0's memory at regular steps, and mean loss and samples per second of all ranks together.

    If the module has a method `figures()`, which every rank calls, the values that it returns by title and series are reported too.

    Args:
        report: where they go.
        every: steps between two points.
        items_per_step: samples in one step of all ranks together.
        finite: averages the losses; its `series` names the curves of loss and speed.
    """

    def __init__(self, report: Report, every: int, items_per_step: int, finite: Finite) -> None:
        self.report, self.every, self.items_per_step, self.finite, self.series = report, every, items_per_step, finite, finite.series
        self.losses = StepLosses()
        self.since = self.paused = self.rate = 0.0
        self.steps = 0
        self.bar: Iterator[int] = iter(())

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        total = int(trainer.estimated_stepping_batches)
        self.bar = iter(self.report.progress(range(trainer.global_step, total), total=total - trainer.global_step, description="steps"))
        self.steps, self.since = 0, time.perf_counter()

    def on_train_batch_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        self.rate = float(trainer.optimizers[0].param_groups[0]["lr"])  # after the step it is the next step's

    def on_train_batch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule, outputs: Any, *_: Any) -> None:
        next(self.bar, None)
        self.losses.add(outputs["loss"])
        self.steps += 1
        step = trainer.global_step
        if step % self.every == 0:
            seconds = time.perf_counter() - self.since
            self.report.scalar("loss", self.series, self.finite.mean(self.losses.over_ranks()), step)
            self.report.scalar("learning rate", "lr", self.rate, step)
            self.report.scalar("samples per second", self.series, self.steps * self.items_per_step / seconds, step)
            figures: dict[tuple[str, str], float] = getattr(module, "figures", dict)()
            for (title, series), value in {**figures, **peak_memory()}.items():
                self.report.scalar(title, series, value, step)
            self.losses.clear()
            self.steps, self.since = 0, time.perf_counter()

    def on_validation_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self.paused = time.perf_counter()

    def on_validation_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self.since += time.perf_counter() - self.paused  # validation is not training time

    def on_train_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        for _ in self.bar:
            break
        self.report.flush()

    def state_dict(self) -> dict[str, Any]:
        """The losses since the last point: a resumed run averages them with those that follow, as an uninterrupted run does.

        Every rank must call this, as Lightning does when all of them save.
        """
        return {"losses": self.losses.over_ranks()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.losses.restore(state["losses"])


def peak_memory() -> dict[tuple[str, str], float]:
    """Peak memory of this process in GiB, by title and series."""
    found = {("memory (GiB)", "peak resident"): resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}
    if torch.cuda.is_available():
        found["memory (GiB)", "peak on the GPU"] = torch.cuda.max_memory_allocated() / 2**30
    return found


class ValidateWhereDue(Callback):
    """A resumed run begins with the validation that was due at its checkpoint, which was written before it.

    Lightning takes it as done. Then early stopping would not count it, and its point would be missing in the curves.
    """

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        if trainer.global_step and is_validation_due(trainer):
            loop = trainer.fit_loop.epoch_loop.val_loop
            loop.restarting = False
            trainer.validating = True
            loop.run()
            trainer.training = True


def is_validation_due(trainer: lightning.Trainer) -> bool:
    """Whether Lightning validates right after the step that was the last one."""
    in_epoch, interval, every = int(trainer.num_training_batches), trainer.val_check_batch, trainer.check_val_every_n_epoch
    assert isinstance(interval, int)
    assert every is not None
    epochs, steps = divmod(trainer.global_step - 1, in_epoch)  # before that step
    return bool(trainer.enable_validation) and (epochs + 1) % every == 0 and (steps + 1) % interval == 0


class StopEarly(EarlyStopping):
    """Lightning's, which also says why it stops, saves its decision, and keeps it when a stopped run is resumed.

    Args:
        report: where the reason goes.
        options: EarlyStopping's.
    """

    def __init__(self, report: Report, **options: Any) -> None:
        super().__init__(**options, check_on_train_epoch_end=False)
        self.report = report

    @property
    def stopped(self) -> bool:
        return self.stopping_reason is not EarlyStoppingReason.NOT_STOPPED

    @property
    def state_key(self) -> str:
        return "StopEarly"

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        trainer.should_stop = trainer.should_stop or self.stopped

    def on_validation_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        if not self.stopped:
            super().on_validation_end(trainer, module)
            if self.stopped:
                self.report.text(f"step {trainer.global_step}: finished early: {self.stopping_reason_message}")


class SaveAndStop(Callback):
    """Saves the whole state at regular steps and at the end; after a SIGTERM, saves a last checkpoint and ends the run.

    The signal only sets a flag. After each step the ranks agree on it, so that all of them save and stop at the same step.

    Args:
        checkpoints: where they go; rank 0 writes.
        every: optimizer steps between two checkpoints; 0 saves none.
        finite: decides whether weights may be saved.
        settings: saved with the weights, see `resume.stated`.
    """

    def __init__(self, checkpoints: Checkpoints, every: int, finite: Finite, settings: dict[str, Any]) -> None:
        self.checkpoints, self.every, self.finite, self.settings = checkpoints, every, finite, settings
        self.asked = self.stopped = False
        self.saved_at = -1
        self.before: Any = None

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self.saved_at = trainer.global_step
        self.before = signal.signal(signal.SIGTERM, self.ask)  # replaces Lightning's handler, which would end the run without a checkpoint

    def ask(self, *_: object) -> None:
        self.asked = True

    def on_train_batch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule, *_: Any) -> None:
        self.stopped = bool(trainer.strategy.reduce_boolean_decision(self.asked, all=False))
        last = trainer.global_step >= trainer.estimated_stepping_batches
        if self.stopped or last or (self.every and trainer.global_step % self.every == 0):
            self.save(trainer)
        trainer.should_stop = trainer.should_stop or self.stopped
        if self.stopped and not last:
            trainer.limit_val_batches = 0  # or Lightning would validate first: too slow now, and a point that no uninterrupted run has

    def save(self, trainer: lightning.Trainer) -> None:
        """Write a checkpoint. Every rank must call this."""
        if self.saved_at == trainer.global_step or not self.finite.can_be_kept(trainer) or not self.every:
            return
        self.saved_at = trainer.global_step
        if trainer.is_global_zero:
            self.checkpoints.save(trainer.global_step, trainer.save_checkpoint)
        else:
            trainer.save_checkpoint(Path(os.devnull))  # takes part in gathering what rank 0 writes, and waits for it

    def on_save_checkpoint(self, trainer: lightning.Trainer, module: lightning.LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint[SETTINGS] = self.settings

    def on_train_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        if trainer.should_stop and not self.stopped:  # early: a resumed run knows that it is at its end
            self.save(trainer)
        self.restore()

    def on_exception(self, trainer: lightning.Trainer, module: lightning.LightningModule, exception: BaseException) -> None:
        self.restore()

    def exit_if_stopped(self, trainer: lightning.Trainer, job: Job) -> None:
        """If a SIGTERM stopped the run before its last step, end the process with the signal's exit code.

        Raises:
            SystemExit: with 143.
        """
        if self.stopped and trainer.global_step < trainer.estimated_stepping_batches:
            job.report.text(f"stopped after SIGTERM; continue with resume={job.output_dir}")
            job.report.flush()
            sys.exit(128 + signal.SIGTERM)

    def restore(self) -> None:
        """Restore Lightning's signal handler; Lightning in turn restores the one before its own."""
        if self.before is not None:
            signal.signal(signal.SIGTERM, self.before)
            self.before = None
