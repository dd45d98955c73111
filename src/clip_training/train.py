"""Train CLIP on image-text pairs, starting from random weights or from a file.

python -m clip_training.train model_name=RN50 folder=data_dir batch_size=512

The defaults are the paper's. nproc_per_node=N uses N GPUs. Options (key=value, or --key value):
"""

from __future__ import annotations

if __name__ == "__main__":  # before PyTorch is imported, so that a wrong command line fails at once
    from harness.entry import enter

    enter("clip", "train", __doc__)

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from harness import Job
from harness.torch.resume import check
from harness.torch.seeds import seed_everything

from . import efficiency
from .checkpoint import description_of
from .config import RESUMABLE, TrainConfig
from .contrastive_module import ContrastiveModule
from .dataloaders import datasets
from .model import make_clip
from .training_loop import fit, module_options, publish, sampler_of, warn_of_batch_norm


def train(job: Job) -> Path:
    """Train on image-text pairs and return the file of the final weights, a plain state dict that open_clip loads.

    Args:
        job: its settings are a TrainConfig. Its dataset is pairs, with or without train/ and heldout/, or None where `data` names them.
            Its `init_from` is a file of initial weights.

    Raises:
        HarnessError: for invalid settings, unusable data or unusable weights.
        SystemExit: with 143, after a SIGTERM and a last checkpoint.
    """
    settings: TrainConfig = job.settings
    check(job, RESUMABLE, description_of)
    seed_everything(job.seed)
    clip = make_clip(settings.model, job.init_from, settings.train.loss)
    if not (settings.model.pretrained or job.init_from or job.resume):
        job.report.text(f"{clip.name} starts from random weights")
    efficiency.apply(clip.model, settings.train, settings.optim.text_weights)
    warn_of_batch_norm(clip, job)
    training, heldout = datasets(clip, settings.data, job.dataset, job.seed, settings.train.batch_size)
    sampler = sampler_of(training, settings, job.seed)
    options = module_options(clip, training, heldout, sampler, job)
    module = ContrastiveModule(clip, settings.optim, compiled=settings.train.compile, **options)
    trainer = fit(module, training, heldout, sampler, job)
    result = {"model": clip.name, "steps": module.total_steps, **module.metrics}
    return publish(trainer, plain(clip.model.state_dict()), result, job)


def plain(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights in float32 and contiguous layout, whatever precision and layout they were trained in."""
    return {key: value.float().contiguous() if value.is_floating_point() else value for key, value in state.items()}
