"""The course of a training run, shared by all training commands: data order, what a checkpoint belongs to, training, published weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
from torch import nn

from harness import Job
from harness.errors import ParameterError
from harness.torch.batchnorm import normalises_batches
from harness.torch.callbacks import ReportTraining, SaveAndStop, SeedEachStep, StopEarly, ValidateWhereDue
from harness.torch.finite import Finite
from harness.torch.resume import check, stated
from harness.torch.saving import save_whole
from harness.torch.seeds import seed_everything
from harness.torch.trainer import make_trainer
from harness.world import rank, world_size

from .batch_sampler import ResumableBatchSampler, share_of
from .checkpoint import description_of
from .config import LoopConfig, TrainingConfig, VptConfig, resumable
from .contrastive_module import ContrastiveModule
from .data_module import ModulePairs
from .dataloaders import make_loaders
from .digest import digest_of_pairs
from .gallery import gallery
from .model import Clip
from .optim import warmup_within
from .pairs import HeldOut, Pairs
from .skipped import ListSkipped


def begin(job: Job) -> None:
    """Check the settings, and whether the run may resume where it is asked to, before anything is loaded; then seed it.

    Raises:
        ParameterError: for settings that contradict each other.
        CheckpointError: for a checkpoint of another run.
    """
    loop: LoopConfig = job.settings.train
    if loop.patience and not loop.limit_val_batches:
        raise ParameterError([f"train.patience={loop.patience}: early stopping needs validation; train.limit_val_batches=0 turns it off"])
    check(job, resumable(loop), description_of)
    seed_everything(job.seed)


def sampler_of(training: Pairs, settings: TrainingConfig, seed: int) -> ResumableBatchSampler:
    """This rank's batches. `fit` tells the sampler where to start, once there is a trainer."""
    loop = settings.train
    limit = loop.fast_dev_run or loop.limit_train_batches
    sampler = ResumableBatchSampler(len(training), loop.batch_size, seed=seed, rank=rank(), ranks=world_size(), limit=limit)
    if isinstance(loop.val_check_interval, int) and loop.val_check_interval > len(sampler) and not loop.fast_dev_run:
        raise ParameterError([f"train.val_check_interval={loop.val_check_interval}: an epoch has only {len(sampler)} steps"])
    return sampler


def total_steps(sampler: ResumableBatchSampler, job: Job) -> int:
    """Optimizer steps of the whole run. Reports a limit that has no effect, and a warm-up that is shortened to fit."""
    settings: TrainingConfig = job.settings
    loop, stated = settings.train, settings.optim.warmup
    total = whole = len(sampler) * (1 if loop.fast_dev_run else loop.epochs)
    if loop.max_steps:
        total = min(whole, loop.max_steps)
    if loop.max_steps > whole:
        job.report.text(f"train.max_steps={loop.max_steps} has no effect: train.epochs={loop.epochs} end the run after {whole} steps")
    if (warmup := warmup_within(stated, total)) != stated:
        job.report.text(f"optim.warmup={stated}: the run has {total} steps ({len(sampler)} per epoch), so it warms up for {warmup}")
    return total


def module_options(
    clip: Clip, training: Pairs, heldout: HeldOut, sampler: ResumableBatchSampler, job: Job, frozen: Sequence[nn.Module] = ()
) -> dict[str, Any]:
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
        "rates": None if isinstance(settings, VptConfig) else settings.rates,
        "frozen": frozen,
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
    loop = settings.train
    finite = Finite(job, loop.non_finite)
    saving = SaveAndStop(job.checkpoints, 0 if loop.fast_dev_run else loop.checkpoint_every, finite, stated(job))
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
            *early_stopping(loop, job),
            ValidateWhereDue(),
            saving,
        ],
        max_steps=loop.max_steps or -1,
        limit_val_batches=loop.limit_val_batches,
        val_check_interval=loop.val_check_interval,
        fast_dev_run=loop.fast_dev_run,
        gradient_clip_val=loop.clip or None,
        gradient_clip_algorithm=loop.clip_by if loop.clip else None,
    )
    sampler.step = lambda: trainer.global_step
    job.report.text(
        f"{len(training)} training pairs, {len(heldout)} held out; {len(sampler)} steps of {together} pairs per epoch, "
        f"{module.total_steps} in all"
    )
    if loop.fast_dev_run:
        job.report.text(f"train.fast_dev_run={loop.fast_dev_run}: a dry run, which writes no checkpoint; its results say nothing")
    for note in training.notes() if isinstance(training, ModulePairs) else ():
        job.report.text(note)
    loaders = make_loaders(training, heldout, sampler, settings)
    check_validation(len(loaders[1]), loop, job)
    if job.resume is None:
        trainer.validate(module, loaders[1], verbose=False)
    trainer.fit(module, *loaders, ckpt_path=job.resume, weights_only=True)
    saving.exit_if_stopped(trainer, job)
    finite.check_published(trainer)
    if module.validated_at != trainer.global_step:
        trainer.validate(module, loaders[1], verbose=False)
    return trainer


def early_stopping(loop: LoopConfig, job: Job) -> list[StopEarly]:
    """The callback that ends the run early, if that is asked for."""
    if not loop.patience:
        return []
    mode = "min" if loop.monitor.startswith("loss") else "max"
    return [StopEarly(job.report, monitor=loop.monitor, mode=mode, patience=loop.patience, min_delta=loop.min_delta)]


def check_validation(batches: int, loop: LoopConfig, job: Job) -> None:
    """Say how much of the held-out pairs is left by a limit.

    Raises:
        ParameterError: when nothing is left, although validation is not turned off.
    """
    limit = loop.fast_dev_run or loop.limit_val_batches
    left = share_of(batches, limit)
    if limit and not left:
        raise ParameterError([f"train.limit_val_batches={limit}: leaves none of the {batches} batches of held-out pairs; 0 turns them off"])
    if left < batches:
        job.report.text(f"evaluates {left} of {batches} batches of held-out pairs per process; recall is over these only")


def result_of(trainer: lightning.Trainer, module: ContrastiveModule) -> dict[str, Any]:
    """What a run reports at its end: the model, its steps, why it ended early or that it was a dry run, and the last evaluation."""
    early = trainer.early_stopping_callback
    ended = {"finished early": early.stopping_reason_message} if isinstance(early, StopEarly) and early.stopped else {}
    dry = {"fast_dev_run": int(trainer.fast_dev_run)} if trainer.fast_dev_run else {}
    return {"model": module.name, "steps": trainer.global_step, **ended, **dry, **module.metrics}


def publish(trainer: lightning.Trainer, weights: Mapping[str, Any], result: Mapping[str, Any], job: Job) -> Path:
    """Write the final weights and report them with the result. When this returns, the file exists for every rank.

    A dry run's weights have another name, by which no run finds them.
    """
    name = "fast_dev_run" if trainer.fast_dev_run else "weights"
    path = job.output_dir / f"{name}.pt"
    if rank() == 0:
        save_whole(dict(weights), path)
        job.report.artifact(name, path)
        job.report.artifact("result", dict(result))
    job.report.flush()
    trainer.strategy.barrier()
    return path
