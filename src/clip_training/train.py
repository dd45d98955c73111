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
from harness.errors import ParameterError

from . import efficiency
from .config import TrainConfig
from .contrastive_module import ContrastiveModule
from .dataloaders import datasets
from .locking import lock
from .model import make_clip
from .training_loop import begin, fit, module_options, publish, result_of, sampler_of, warn_of_batch_norm


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
    begin(job)
    if settings.lock.text and settings.optim.text_weights != "fp32":
        raise ParameterError(["optim.text_weights: must be fp32 with lock.text, which keeps the text tower's weights as they are"])
    clip = make_clip(settings.model, job.init_from, settings.train.loss)
    if not (settings.model.pretrained or job.init_from or job.resume):
        locked = ", those that lock keeps included" if settings.lock.image or settings.lock.text else ""
        job.report.text(f"{clip.name} starts from random weights{locked}")
    frozen = lock(clip.model, settings.lock)
    efficiency.apply(clip.model, settings.train, settings.optim.text_weights)
    warn_of_batch_norm(clip, job)
    training, heldout = datasets(clip, settings.data, job.dataset, job.seed, settings.train.batch_size, settings.augment)
    sampler = sampler_of(training, settings, job.seed)
    options = module_options(clip, training, heldout, sampler, job, frozen)
    module = ContrastiveModule(clip, settings.optim, compiled=settings.train.compile, **options)
    trainer = fit(module, training, heldout, sampler, job)
    return publish(trainer, plain(clip.model.state_dict()), result_of(trainer, module), job)


def plain(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights in float32 and contiguous layout, whatever precision and layout they were trained in."""
    return {key: value.float().contiguous() if value.is_floating_point() else value for key, value in state.items()}
