"""Tune visual prompts: a few learned tokens and the class token, on a vision transformer that is otherwise frozen.

python -m clip_training.finetune_vpt model_name=ViT-L/14 init_from=ViT-L-14.pt folder=yourdataset batch_size=26

The data are img/, text/ and npz/ (see clip_training.npz), or image-text pairs in any other form. Options (key=value, or --key value):
"""

from __future__ import annotations

if __name__ == "__main__":  # before PyTorch is imported, so that a wrong command line fails at once
    from harness.entry import enter

    enter("clip", "finetune_vpt", __doc__)

from pathlib import Path

from harness import Job
from harness.errors import ParameterError
from harness.world import rank

from . import efficiency
from .checkpoint import KEY, save
from .config import VptConfig
from .model import Clip
from .model_files import load_clip
from .npz_pairs import npz_datasets
from .prompts import Prompts, PromptTuning, add_prompts, learned, metadata_of, prompts_of
from .training_loop import begin, fit, module_options, publish, result_of, sampler_of


def finetune_vpt(job: Job) -> Path:
    """Tune prompts on image-text pairs and return the file of the whole model with its prompts.

    Next to it, `prompts.pt` holds the learned part alone, which works only with the weights that it was learned on.

    Args:
        job: its settings are a VptConfig. Its dataset is img/, text/ and npz/, or pairs in any other form, or None where `data` names
            the data. Its `init_from` is weights to tune prompts for, or weights with prompts to tune further.

    Raises:
        HarnessError: for invalid settings, unusable data or unusable weights.
        SystemExit: with 143, after a SIGTERM and a last checkpoint.
    """
    settings: VptConfig = job.settings
    begin(job)
    if settings.optim.text_weights != "fp32":
        raise ParameterError(["optim.text_weights: must be fp32, because the text tower is frozen"])
    clip = load_clip(settings.model, job.init_from, settings.train.loss)
    prompts = with_prompts(clip, settings, job.init_from)
    metadata = metadata_of(clip, prompts, settings.model.pretrained or str(job.init_from or ""))
    if not (settings.model.pretrained or job.init_from or job.resume):
        job.report.text(f"{clip.name} has random weights, and they are frozen; use model.pretrained or init_from to load weights")
    efficiency.apply(clip.model, settings.train)
    training, heldout = npz_datasets(clip, settings.data, job.dataset, job.seed, settings.train.batch_size, settings.augment)
    sampler = sampler_of(training, settings, job.seed)
    options = module_options(clip, training, heldout, sampler, job)
    options["identity"] |= {"weights below the prompts": metadata["base"]}
    module = PromptTuning(clip, metadata, settings.optim, **options)
    sizes = {parameter.requires_grad: 0 for parameter in clip.model.parameters()}
    for parameter in clip.model.parameters():
        sizes[parameter.requires_grad] += parameter.numel()
    job.report.text(f"{sizes[True]:,} of {sum(sizes.values()):,} parameters are trained")
    trainer = fit(module, training, heldout, sampler, job)
    state = clip.model.state_dict()
    if rank() == 0:
        name = "fast_dev_run-prompts" if settings.train.fast_dev_run else "prompts"
        save(job.output_dir / f"{name}.pt", learned(state), metadata | {"whole": False})
        job.report.artifact(name, job.output_dir / f"{name}.pt")
    result = result_of(trainer, module) | {"parameters learned": sizes[True]}
    path = publish(trainer, {"state_dict": state, KEY: metadata}, result, job)
    job.report.text(f"{path} is the whole model, ready for evaluate; prompts.pt holds the prompts, for use with the same base weights only")
    return path


def with_prompts(clip: Clip, settings: VptConfig, init_from: Path | None) -> Prompts:
    """The model's prompts: those of its file, or new ones.

    Raises:
        ParameterError: when the file's prompts differ from what the settings ask for.
    """
    prompts, asked = prompts_of(clip), settings.vpt
    if prompts is None:
        return add_prompts(clip, tokens=asked.tokens, deep=asked.deep, dropout=asked.dropout)
    count = prompts.tokens.shape[1]
    if (count, prompts.deep) != (asked.tokens, asked.deep):
        raise ParameterError([f"{init_from} has {count} tokens, deep={prompts.deep}; set vpt.tokens={count} vpt.deep={prompts.deep}"])
    prompts.dropout.p = asked.dropout
    return prompts
