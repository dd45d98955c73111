"""`command=train`: from settings and image-text pairs to a trained model."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from torch import Tensor

from training.distributed import world_size
from training.resume import check
from training.run import Run
from training.seeds import seed_everything

from . import boosts
from .checkpoint import description_of
from .config import RESUMABLE, TrainConfig
from .contrast import Contrast
from .gallery import gallery
from .loading import datasets
from .model import make_clip
from .running import fit, identity_of, order_of, publish, total_steps, warn_of_batch_norm


def train(settings: TrainConfig, folder: Path, run: Run) -> Path:
    """Train on the pairs in `folder` and return the file of the final weights, a plain state dict that open_clip loads.

    Args:
        settings: of the run.
        folder: image-text pairs, with or without train/ and heldout/.
        run: its `init_from` is a file to take weights from.

    Raises:
        HarnessError: for settings, data or weights that do not do.
        SystemExit: with 143, after a SIGTERM and a last checkpoint.
    """
    check(settings, run, RESUMABLE, description_of)
    seed_everything(run.seed)
    clip = make_clip(settings.model, run.init_from, settings.train.loss)
    if not (settings.model.pretrained or run.init_from or run.resume):
        run.report.text(f"{clip.name} starts from random weights")
    boosts.apply(clip.model, settings)
    warn_of_batch_norm(clip, settings, run)
    training, heldout = datasets(clip, settings, folder, run.seed)
    batches = order_of(training, settings, run.seed)
    module = Contrast(
        clip,
        settings.optim,
        total_steps=total_steps(batches, settings),
        heldout=heldout,
        batch_size=settings.train.batch_size * world_size(),
        identity=identity_of(clip, training, heldout, settings),
        report=run.report,
        loss=settings.train.loss,
        micro_batch=settings.train.micro_batch,
        compiled=settings.train.compile,
        gallery=partial(gallery, heldout, settings.train.debug_images) if settings.train.debug_images else None,
    )
    trainer = fit(module, training, heldout, batches, settings, run)
    result = {"model": clip.name, "steps": module.total_steps, **module.metrics}
    return publish(trainer, plain(clip.model.state_dict()), result, run)


def plain(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights in one precision and layout, whatever they were trained in."""
    return {key: value.float().contiguous() if value.is_floating_point() else value for key, value in state.items()}
