"""The course of a training run, shared by all training commands: data order, what a checkpoint belongs to, training, published weights."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning

from harness import Job
from harness.torch.batchnorm import normalises_batches
from harness.torch.callbacks import ReportTraining, SaveAndStop, SeedEachStep
from harness.torch.finite import Finite
from harness.torch.resume import stated
from harness.torch.saving import save_whole
from harness.torch.trainer import make_trainer
from harness.world import rank, world_size

from .batch_sampler import ResumableBatchSampler
from .config import TrainingConfig
from .contrastive_module import ContrastiveModule
from .data_module import ModulePairs
from .dataloaders import make_loaders
from .digest import digest_of_pairs
from .gallery import gallery
from .model import Clip
from .optim import warmup_within
from .pairs import HeldOut, Pairs
from .skipped import ListSkipped


def sampler_of(training: Pairs, settings: TrainingConfig, seed: int) -> ResumableBatchSampler:
    """This rank's batches. `fit` tells the sampler where to start, once there is a trainer."""
    return ResumableBatchSampler(len(training), settings.train.batch_size, seed=seed, rank=rank(), ranks=world_size())


def total_steps(sampler: ResumableBatchSampler, job: Job) -> int:
    """Optimizer steps of the whole run. Reports a warm-up that is shortened to fit into them."""
    settings: TrainingConfig = job.settings
    total, stated = len(sampler) * settings.train.epochs, settings.optim.warmup
    if (warmup := warmup_within(stated, total)) != stated:
        job.report.text(f"optim.warmup={stated}: the run has {total} steps ({len(sampler)} per epoch), so it warms up for {warmup}")
    return total


def module_options(clip: Clip, training: Pairs, heldout: HeldOut, sampler: ResumableBatchSampler, job: Job) -> dict[str, Any]:
    """The arguments that every training command passes to its ContrastiveModule."""
    settings: TrainingConfig = job.settings
    shown = settings.train.debug_images
    return {
        "total_steps": total_steps(sampler, job),
        "heldout": heldout,
        "batch_size": settings.train.batch_size * world_size(),
        "identity": identity_of(clip, training, heldout, settings),
        "report": job.report,
        "loss": settings.train.loss,
        "micro_batch": settings.train.micro_batch,
        "gallery": partial(gallery, heldout, shown) if shown else None,
    }


def warn_of_batch_norm(clip: Clip, job: Job) -> None:
    """Report that gradient caching is not exact for a model with batch normalisation."""
    if job.settings.train.micro_batch and normalises_batches(clip.model):
        job.report.text(
            f"train.micro_batch: {clip.name} uses batch normalisation, which normalises over micro-batches here: "
            "the gradients differ from those of the whole batch"
        )


def identity_of(clip: Clip, training: Pairs, heldout: HeldOut, settings: TrainingConfig) -> dict[str, Any]:
    """What determines the course of a run besides its settings; a checkpoint with another identity is refused.

    For data from `data.module` only the number of training pairs is known: other data with as many pairs goes unnoticed.
    """
    micro_batch = {"train.micro_batch": settings.train.micro_batch} if normalises_batches(clip.model) else {}
    from_module = isinstance(training, ModulePairs)
    data = {} if from_module else {"training data": digest_of_pairs(training.pairs), "held-out data": digest_of_pairs(heldout.pairs)}
    return {"model": clip.name, "pairs": len(training), **data, **micro_batch}


def fit(module: ContrastiveModule, training: Pairs, heldout: HeldOut, sampler: ResumableBatchSampler, job: Job) -> lightning.Trainer:
    """Train `module` to the end, with an evaluation before, during and after.

    Raises:
        NotFiniteError: when training diverges.
        SystemExit: with 143, after a SIGTERM and a last checkpoint.
    """
    settings: TrainingConfig = job.settings
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
    sampler.step = lambda: trainer.global_step
    job.report.text(
        f"{len(training)} training pairs, {len(heldout)} held out; {len(sampler)} steps of {together} pairs per epoch, "
        f"{len(sampler) * settings.train.epochs} in all"
    )
    for note in training.notes() if isinstance(training, ModulePairs) else ():
        job.report.text(note)
    loaders = make_loaders(training, heldout, sampler, settings)
    if job.resume is None:
        trainer.validate(module, loaders[1], verbose=False)
    trainer.fit(module, *loaders, ckpt_path=job.resume, weights_only=True)
    saving.exit_if_stopped(trainer, job)
    finite.check_published(trainer)
    if module.validated_at != trainer.global_step:
        trainer.validate(module, loaders[1], verbose=False)
    return trainer


def publish(trainer: lightning.Trainer, weights: Mapping[str, Any], result: Mapping[str, Any], job: Job) -> Path:
    """Write the final weights and report them with the result. When this returns, the file exists for every rank."""
    path = job.output_dir / "weights.pt"
    if rank() == 0:
        save_whole(dict(weights), path)
        job.report.artifact("weights", path)
        job.report.artifact("result", dict(result))
    job.report.flush()
    trainer.strategy.barrier()
    return path
