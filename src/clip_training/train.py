"""`command=train`: from settings and a folder of pairs to a trained model."""

from __future__ import annotations

import signal
import sys
from functools import partial
from pathlib import Path

import lightning.pytorch as lightning
import torch

from harness.checkpoint import Checkpoints
from harness.errors import ParameterError
from harness.files import replaced
from harness.report import Report
from training.callbacks import ReportTraining, SaveAndStop, SeedEachStep
from training.distributed import rank, world_size
from training.seeds import seed_everything
from training.trainer import make_trainer

from .batches import Batches
from .config import TrainConfig
from .contrast import Contrast
from .gallery import gallery
from .loading import datasets, make_loaders
from .model import Clip, make_clip
from .pairs import HeldOut, Pairs


def train(
    settings: TrainConfig,
    folder: Path,
    *,
    seed: int,
    output: Path,
    report: Report,
    checkpoints: Checkpoints,
    resume: Path | None = None,
    init_from: Path | None = None,
) -> Path:
    """Train on the pairs in `folder` and return the file of the final weights, a plain state dict that open_clip loads.

    Args:
        settings: of the run.
        folder: image-text pairs, with or without train/ and heldout/.
        seed: of weights, order, crops and captions.
        output: the run's folder.
        report: where results go.
        checkpoints: where the whole state is saved.
        resume: a checkpoint to continue from, as if the run had never stopped.
        init_from: a file to take weights from.

    Raises:
        HarnessError: for settings, data or weights that do not do.
        SystemExit: with 143, after a SIGTERM and a last checkpoint.
    """
    seed_everything(seed)
    clip = make_clip(settings.model, init_from)
    if not (settings.model.pretrained or init_from or resume):
        report.text(f"{clip.name} starts from random weights")
    training, heldout = datasets(clip, settings, folder, seed)
    together = settings.train.batch_size * world_size()
    position = Position()
    batches = Batches(len(training), settings.train.batch_size, seed=seed, rank=rank(), ranks=world_size(), step=position)
    module = make_module(clip, settings, training, heldout, len(batches), seed, report)
    saving = SaveAndStop(checkpoints, settings.train.checkpoint_every)
    trainer = make_trainer(
        epochs=settings.train.epochs,
        validate_every=settings.train.validate_every,
        precision=settings.train.precision,
        deterministic=settings.train.deterministic,
        output=output,
        callbacks=[SeedEachStep(seed), ReportTraining(report, settings.train.report_every, together), saving],
    )
    position.trainer = trainer
    loaders = make_loaders(training, heldout, batches, settings)
    if resume is None:
        trainer.validate(module, loaders[1], verbose=False)
    trainer.fit(module, *loaders, ckpt_path=resume, weights_only=True)
    if saving.stopped:
        report.text(f"stopped after SIGTERM; continue with resume={output}")
        report.flush()
        sys.exit(128 + signal.SIGTERM)
    if module.validated_at != trainer.global_step:
        trainer.validate(module, loaders[1], verbose=False)
    path = publish(module, clip, output, report)
    trainer.strategy.barrier()  # for every rank the file is there
    return path


def make_module(clip: Clip, settings: TrainConfig, training: Pairs, heldout: HeldOut, steps: int, seed: int, report: Report) -> Contrast:
    """What Lightning trains, for epochs of `steps` optimizer steps.

    Raises:
        ParameterError: when the warm-up would outlast the run.
    """
    total = steps * settings.train.epochs
    if settings.optim.warmup >= total:
        raise ParameterError([f"optim.warmup={settings.optim.warmup}: must be below the run's {total} steps ({steps} per epoch)"])
    together = settings.train.batch_size * world_size()
    report.text(f"{len(training)} pairs to train on, {len(heldout)} held out; {steps} steps of {together} pairs per epoch, {total} in all")
    return Contrast(
        clip,
        settings.optim,
        total_steps=total,
        heldout=heldout,
        batch_size=together,
        identity={"model": clip.name, "seed": seed, "pairs": len(training), "train.batch_size over all processes": together},
        report=report,
        gallery=partial(gallery, heldout, settings.train.debug_images) if settings.train.debug_images else None,
    )


class Position:
    """Where the run stands, for the order of the data: known once there is a trainer."""

    trainer: lightning.Trainer | None = None

    def __call__(self) -> int:
        return self.trainer.global_step if self.trainer else 0


def publish(module: Contrast, clip: Clip, output: Path, report: Report) -> Path:
    """Write the plain model's weights, and report them with what they reached."""
    path = output / "weights.pt"
    if rank() == 0:
        with replaced(path) as beside:
            torch.save(clip.model.state_dict(), beside)
        report.artifact("weights", path)
        report.artifact("result", {"model": clip.name, "steps": module.total_steps, **module.metrics})
    report.flush()
    return path
