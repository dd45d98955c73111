"""Train CLIP on image-text pairs, from random weights or from a file's.

python -m clip_training.train model_name=RN50 folder=data_dir batch_size=512

Settings that are not stated are the paper's. nproc_per_node=N takes N GPUs. Options (key=value, or --key value):
"""

from __future__ import annotations

if __name__ == "__main__":  # before PyTorch is imported: what is wrong with a line is told at once
    from harness.entry import enter

    enter("clip", "train", __doc__)

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from torch import Tensor

from harness import Job
from harness.torch.resume import check
from harness.torch.seeds import seed_everything
from harness.world import world_size

from . import boosts
from .checkpoint import description_of
from .config import RESUMABLE, TrainConfig
from .contrast import Contrast
from .gallery import gallery
from .loading import datasets
from .model import make_clip
from .running import fit, identity_of, order_of, publish, total_steps, warn_of_batch_norm


def train(job: Job) -> Path:
    """Train on image-text pairs and return the file of the final weights, a plain state dict that open_clip loads.

    Args:
        job: its settings are a TrainConfig, its dataset is pairs, with or without train/ and heldout/, and its `init_from` a file to
            take weights from.

    Raises:
        HarnessError: for settings, data or weights that do not do.
        SystemExit: with 143, after a SIGTERM and a last checkpoint.
    """
    settings: TrainConfig = job.settings
    check(job, RESUMABLE, description_of)
    seed_everything(job.seed)
    clip = make_clip(settings.model, job.init_from, settings.train.loss)
    if not (settings.model.pretrained or job.init_from or job.resume):
        job.report.text(f"{clip.name} starts from random weights")
    boosts.apply(clip.model, settings)
    warn_of_batch_norm(clip, job)
    training, heldout = datasets(clip, settings, job.dataset, job.seed)
    batches = order_of(training, settings, job.seed)
    module = Contrast(
        clip,
        settings.optim,
        total_steps=total_steps(batches, settings),
        heldout=heldout,
        batch_size=settings.train.batch_size * world_size(),
        identity=identity_of(clip, training, heldout, settings),
        report=job.report,
        loss=settings.train.loss,
        micro_batch=settings.train.micro_batch,
        compiled=settings.train.compile,
        gallery=partial(gallery, heldout, settings.train.debug_images) if settings.train.debug_images else None,
    )
    trainer = fit(module, training, heldout, batches, job)
    result = {"model": clip.name, "steps": module.total_steps, **module.metrics}
    return publish(trainer, plain(clip.model.state_dict()), result, job)


def plain(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights in one precision and layout, whatever they were trained in."""
    return {key: value.float().contiguous() if value.is_floating_point() else value for key, value in state.items()}
