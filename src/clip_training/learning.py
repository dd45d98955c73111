"""`command=train`: from settings and image-text pairs to a trained model."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from torch import Tensor

from harness.checkpoint import Checkpoints
from harness.report import Report
from training.batchnorm import normalises_batches
from training.distributed import world_size
from training.seeds import seed_everything

from . import boosts
from .config import TrainConfig
from .contrast import Contrast
from .gallery import gallery
from .loading import datasets
from .model import make_clip
from .running import fit, identity_of, order_of, publish, total_steps


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
    clip = make_clip(settings.model, init_from, settings.train.loss)
    if not (settings.model.pretrained or init_from or resume):
        report.text(f"{clip.name} starts from random weights")
    boosts.apply(clip.model, settings)
    if settings.train.micro_batch and normalises_batches(clip.model):
        report.text(
            f"train.micro_batch: {clip.name} normalises over batches, here over micro-batches: its gradients are not the whole batch's"
        )
    training, heldout = datasets(clip, settings, folder, seed)
    batches = order_of(training, settings, seed)
    module = Contrast(
        clip,
        settings.optim,
        total_steps=total_steps(batches, settings),
        heldout=heldout,
        batch_size=settings.train.batch_size * world_size(),
        identity=identity_of(clip, training, settings, seed) | course(settings),
        report=report,
        loss=settings.train.loss,
        micro_batch=settings.train.micro_batch,
        compiled=settings.train.compile,
        gallery=partial(gallery, heldout, settings.train.debug_images) if settings.train.debug_images else None,
    )
    where = {"seed": seed, "output": output, "report": report, "checkpoints": checkpoints, "resume": resume}
    trainer = fit(module, training, heldout, batches, settings, **where)
    result = {"model": clip.name, "steps": module.total_steps, **module.metrics}
    return publish(trainer, plain(clip.model.state_dict()), result, output, report)


def course(settings: TrainConfig) -> dict[str, str]:
    """What else a checkpoint of the training depends on."""
    optim = settings.optim
    return {"train.loss": settings.train.loss, "optim.state_dtype": optim.state_dtype, "optim.text_weights": optim.text_weights}


def plain(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights in one precision and layout, whatever they were trained in."""
    return {key: value.float().contiguous() if value.is_floating_point() else value for key, value in state.items()}
