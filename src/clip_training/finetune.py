"""Fine-tune a separately trained image encoder and text encoder into a CLIP, by self-distillation.

python -m clip_training.finetune folder=data_dir image.encoder=torchvision/resnet50 text.encoder=johngiorgi/declutr-sci-base batch_size=64

Options (key=value, or --key value):
"""

from __future__ import annotations

if __name__ == "__main__":  # before PyTorch is imported, so that a wrong command line fails at once
    from harness.entry import enter

    enter("clip", "finetune", __doc__)

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness import Job
from harness.errors import ParameterError
from harness.settings import flat

from . import efficiency
from .checkpoint import KEY, load
from .config import FinetuneConfig
from .dataloaders import datasets
from .distillation import SelfDistillation
from .encoders import from_wrapper, make_encoders, restored
from .locking import lock
from .model import Clip
from .training_loop import begin, fit, module_options, publish, result_of, sampler_of, warn_of_batch_norm

FIXED = {"image": ("encoder", "size"), "text": ("encoder", "avg_word_embs", "context")}
"""Settings of the encoders that a file of them states; the others say where weights come from."""


def finetune(job: Job) -> Path:
    """Fine-tune on image-text pairs and return the file of the final weights, which is all that `model_files.load_clip` needs.

    Args:
        job: its settings are a FinetuneConfig. Its dataset is pairs, or None where `data` names them. Its `init_from` is weights of an
            earlier fine-tuning, or of a CustomCLIPWrapper with the encoders that the settings name.

    Raises:
        HarnessError: for invalid settings, unusable data or unusable weights.
        SystemExit: with 143, after a SIGTERM and a last checkpoint.
    """
    settings: FinetuneConfig = job.settings
    begin(job)
    clip, metadata = start(settings, job.init_from)
    if other := described_otherwise(settings, metadata):
        job.report.text(f"{job.init_from} states its encoders: used are {', '.join(f'{key}={value}' for key, value in other.items())}")
    frozen = lock(clip.model, settings.lock)
    efficiency.apply(clip.model, settings.train)
    warn_of_batch_norm(clip, job)
    training, heldout = datasets(clip, settings.data, job.dataset, job.seed, settings.train.batch_size, settings.augment)
    sampler = sampler_of(training, settings, job.seed)
    options = module_options(clip, training, heldout, sampler, job, frozen)
    module = SelfDistillation(clip, metadata, settings.distillation, settings.optim, **options)
    trainer = fit(module, training, heldout, sampler, job)
    return publish(trainer, {"state_dict": clip.model.state_dict(), KEY: metadata}, result_of(trainer, module), job)


def start(settings: FinetuneConfig, init_from: Path | None) -> tuple[Clip, dict[str, Any]]:
    """The two encoders with their projections, from a file or from the settings, and the metadata that a file of them carries.

    Raises:
        ParameterError: for a file of another kind.
    """
    if init_from is None:
        clip, metadata = make_encoders(settings.image, settings.text, settings.width)
        clip.model.logit_scale.data.fill_(settings.distillation.logit_scale)
        return clip, metadata
    state, description = load(init_from)
    if description.metadata.get("kind") == "encoders":
        check_encoders(settings, description.metadata, init_from)
        return restored(description.metadata, state, init_from), dict(description.metadata)
    if description.kind == "custom_clip_wrapper":
        return from_wrapper(settings.image, settings.text, state, init_from)
    raise ParameterError([f"init_from={init_from}: must come from an earlier finetune or from a CustomCLIPWrapper; {description}"])


def check_encoders(settings: FinetuneConfig, metadata: Mapping[str, Any], path: Path) -> None:
    """Check that no setting asks for other encoders than those of a file, which cannot be changed.

    Defaults ask for nothing, and neither does text.encoder, which names a place: the file holds the text encoder itself.

    Raises:
        ParameterError: naming every such setting.
    """
    given, default = flat(settings), flat(FinetuneConfig())
    other = {key: value for key, value in described_otherwise(settings, metadata).items() if key != "text.encoder"}
    if problems := [f"{key}={given[key]}: {path} was trained with {value}" for key, value in other.items() if given[key] != default[key]]:
        raise ParameterError(problems)


def described_otherwise(settings: FinetuneConfig, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What a file states about its encoders, by setting, where the settings state something else."""
    given = flat(settings)
    stated = {"width": metadata["width"]}
    stated |= {f"{part}.{key}": metadata[part][key] for part, keys in FIXED.items() for key in keys}
    found = {key: value for key, value in stated.items() if given[key] != value}
    if Path(given["text.encoder"]).name == Path(str(stated["text.encoder"])).name:
        found.pop("text.encoder", None)  # in another place
    return found
