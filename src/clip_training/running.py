"""What all training commands share: the order of the data, the course of a run, what a checkpoint belongs to, and the published weights."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
import torch

from harness.checkpoint import Checkpoints
from harness.errors import ParameterError
from harness.files import replaced
from harness.report import Report
from training.callbacks import ReportTraining, SaveAndStop, SeedEachStep
from training.distributed import rank, world_size
from training.trainer import make_trainer

from .batches import Batches
from .checkpoint import check_resumable
from .loading import make_loaders
from .model import Clip
from .pairs import HeldOut, Pairs
from .skipped import ListSkipped


def order_of(training: Pairs, settings: Any, seed: int) -> Batches:
    """This rank's batches; where they begin is known once `fit` has a trainer. `settings` have `train`, as have TrainConfig's."""
    return Batches(len(training), settings.train.batch_size, seed=seed, rank=rank(), ranks=world_size())


def total_steps(batches: Batches, settings: Any) -> int:
    """Optimizer steps of the whole run.

    Raises:
        ParameterError: when the warm-up would outlast it.
    """
    total = len(batches) * settings.train.epochs
    if settings.optim.warmup >= total:
        raise ParameterError([f"optim.warmup={settings.optim.warmup}: must be below the run's {total} steps ({len(batches)} per epoch)"])
    return total


def identity_of(clip: Clip, training: Pairs, settings: Any, seed: int) -> dict[str, Any]:
    """What the course of a run follows from; a checkpoint with another one is refused."""
    together = settings.train.batch_size * world_size()
    return {"model": clip.name, "seed": seed, "pairs": len(training), "train.batch_size over all processes": together}


def fit(
    module: Any,
    training: Pairs,
    heldout: HeldOut,
    batches: Batches,
    settings: Any,
    *,
    seed: int,
    output: Path,
    report: Report,
    checkpoints: Checkpoints,
    resume: Path | None = None,
) -> lightning.Trainer:
    """Train `module` to the end, evaluated before, at times, and after.

    Raises:
        SystemExit: with 143, after a SIGTERM and a last checkpoint.
    """
    saving = SaveAndStop(checkpoints, settings.train.checkpoint_every)
    together = settings.train.batch_size * world_size()
    trainer = make_trainer(
        epochs=settings.train.epochs,
        validate_every=settings.train.validate_every,
        precision=settings.train.precision,
        deterministic=settings.train.deterministic,
        output=output,
        callbacks=[SeedEachStep(seed), ReportTraining(report, settings.train.report_every, together), ListSkipped(report, output), saving],
    )
    batches.step = lambda: trainer.global_step
    report.text(
        f"{len(training)} pairs to train on, {len(heldout)} held out; {len(batches)} steps of {together} pairs per epoch, "
        f"{len(batches) * settings.train.epochs} in all"
    )
    loaders = make_loaders(training, heldout, batches, settings)
    if resume is not None:
        check_resumable(resume)
    else:
        trainer.validate(module, loaders[1], verbose=False)
    trainer.fit(module, *loaders, ckpt_path=resume, weights_only=True)
    if saving.stopped:
        report.text(f"stopped after SIGTERM; continue with resume={output}")
        report.flush()
        sys.exit(128 + signal.SIGTERM)
    if module.validated_at != trainer.global_step:
        trainer.validate(module, loaders[1], verbose=False)
    return trainer


def publish(trainer: lightning.Trainer, weights: Mapping[str, Any], result: Mapping[str, Any], output: Path, report: Report) -> Path:
    """Write the final weights, and report them with what they reached. On every rank the file is there when this returns."""
    path = output / "weights.pt"
    if rank() == 0:
        with replaced(path) as beside:
            torch.save(dict(weights), beside)
        report.artifact("weights", path)
        report.artifact("result", dict(result))
    report.flush()
    trainer.strategy.barrier()
    return path
