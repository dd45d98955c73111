"""What all training commands share: the order of the data, the course of a run, what a checkpoint belongs to, and the published weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
import torch

from harness import Job
from harness.errors import ParameterError
from harness.files import replaced
from harness.torch.batchnorm import normalises_batches
from harness.torch.callbacks import ReportTraining, SaveAndStop, SeedEachStep
from harness.torch.finite import Finite
from harness.torch.resume import stated
from harness.torch.trainer import make_trainer
from harness.world import rank, world_size

from .batches import Batches
from .contents import contents_of
from .loading import make_loaders
from .model import Clip
from .own_data import OwnPairs
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


def warn_of_batch_norm(clip: Clip, job: Job) -> None:
    """Say of what gradient caching cannot make exact."""
    if job.settings.train.micro_batch and normalises_batches(clip.model):
        job.report.text(
            f"train.micro_batch: {clip.name} normalises over batches, here over micro-batches: its gradients are not the whole batch's"
        )


def identity_of(clip: Clip, training: Pairs, heldout: HeldOut, settings: Any) -> dict[str, Any]:
    """What the course of a run follows from beside its settings; a checkpoint with another one is refused.

    Of one's own data module nothing but the number of pairs is known.
    """
    micro_batch = {"train.micro_batch": settings.train.micro_batch} if normalises_batches(clip.model) else {}
    own = isinstance(training, OwnPairs)
    data = {} if own else {"training data": contents_of(training.pairs), "held-out data": contents_of(heldout.pairs)}
    return {"model": clip.name, "pairs": len(training), **data, **micro_batch}


def fit(module: Any, training: Pairs, heldout: HeldOut, batches: Batches, job: Job) -> lightning.Trainer:
    """Train `module` to the end, evaluated before, at times, and after.

    Raises:
        NotFiniteError: when it diverges.
        SystemExit: with 143, after a SIGTERM and a last checkpoint.
    """
    settings = job.settings
    finite = Finite(job, settings.train.non_finite)
    saving = SaveAndStop(job.checkpoints, settings.train.checkpoint_every, finite, stated(job))
    together = settings.train.batch_size * world_size()
    trainer = make_trainer(
        epochs=settings.train.epochs,
        validate_every=settings.train.validate_every,
        precision=settings.train.precision,
        deterministic=settings.train.deterministic,
        output=job.output_dir,
        callbacks=[
            SeedEachStep(job.seed),
            finite,
            ReportTraining(job.report, settings.train.report_every, together, finite),
            ListSkipped(job.report, job.output_dir, training.left_out),
            saving,
        ],
    )
    batches.step = lambda: trainer.global_step
    job.report.text(
        f"{len(training)} pairs to train on, {len(heldout)} held out; {len(batches)} steps of {together} pairs per epoch, "
        f"{len(batches) * settings.train.epochs} in all"
    )
    loaders = make_loaders(training, heldout, batches, settings)
    if job.resume is None:
        trainer.validate(module, loaders[1], verbose=False)
    trainer.fit(module, *loaders, ckpt_path=job.resume, weights_only=True)
    saving.exit_if_stopped(trainer, job)
    finite.check_published(trainer)
    if module.validated_at != trainer.global_step:
        trainer.validate(module, loaders[1], verbose=False)
    return trainer


def publish(trainer: lightning.Trainer, weights: Mapping[str, Any], result: Mapping[str, Any], job: Job) -> Path:
    """Write the final weights, and report them with what they reached. On every rank the file is there when this returns."""
    path = job.output_dir / "weights.pt"
    if rank() == 0:
        with replaced(path) as beside:
            torch.save(dict(weights), beside)
        job.report.artifact("weights", path)
        job.report.artifact("result", dict(result))
    job.report.flush()
    trainer.strategy.barrier()
    return path
