"""Tune visual prompts: a few learned tokens and the class token, on a vision transformer that stays as it is.

python -m clip_training.finetune_vpt model_name=ViT-L/14 init_from=ViT-L-14.pt folder=yourdataset batch_size=26

The data are img/, text/ and npz/ (see clip_training.npz), or image-text pairs in any other form. Options (key=value, or --key value):
"""

from __future__ import annotations

if __name__ == "__main__":  # before PyTorch is imported: what is wrong with a line is told at once
    from harness.entry import enter

    enter("clip", "finetune_vpt", __doc__)

import warnings
from functools import partial
from pathlib import Path
from typing import Any

from harness import Job
from harness.errors import ParameterError
from harness.torch.resume import check
from harness.torch.seeds import seed_everything
from harness.world import rank, world_size

from . import boosts
from .checkpoint import KEY, description_of, save
from .config import RESUMABLE, VptConfig
from .contrast import Contrast
from .frozen import frozen_datasets
from .gallery import gallery
from .kinds import load_clip
from .model import Clip
from .prompts import Prompts, add_prompts, learned, prompts_of, stated
from .running import fit, identity_of, order_of, publish, total_steps


class PromptTuning(Contrast):
    """Contrasts as training does; what is frozen is also in evaluation mode, so that it draws nothing."""

    def __init__(self, clip: Clip, said: dict[str, Any], *arguments: Any, **options: Any) -> None:
        super().__init__(clip, *arguments, **options)
        self.said = said
        self.train()
        warnings.filterwarnings("ignore", ".*module.s. in eval mode at the start of training.*")  # they are meant to be

    def train(self, mode: bool = True) -> PromptTuning:
        super().train(mode)
        self.model.eval()
        self.model.visual.prompts.train(mode)  # type: ignore[union-attr]
        return self

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint[KEY] = self.said


def finetune_vpt(job: Job) -> Path:
    """Tune prompts on image-text pairs, and return the file of the whole model with them.

    Beside it `prompts.pt` holds what was learned alone; it goes with the weights that it was learned on.

    Args:
        job: its settings are a VptConfig, its dataset is img/, text/ and npz/, or pairs in any other form, or None where `data` names
            the data, and its `init_from` weights to tune prompts for, or weights with prompts to tune further.

    Raises:
        HarnessError: for settings, data or weights that do not do.
        SystemExit: with 143, after a SIGTERM and a last checkpoint.
    """
    settings: VptConfig = job.settings
    check(job, RESUMABLE, description_of)
    seed_everything(job.seed)
    if settings.optim.text_weights != "fp32":
        raise ParameterError(["optim.text_weights: must be fp32, as the text tower stays what it is"])
    clip = load_clip(settings.model, job.init_from, settings.train.loss)
    prompts = with_prompts(clip, settings, job.init_from)
    said = stated(clip, prompts, settings.model.pretrained or str(job.init_from or ""))
    if not (settings.model.pretrained or job.init_from or job.resume):
        job.report.text(f"{clip.name} starts from random weights, which stay; model.pretrained or init_from says which others to take")
    boosts.apply(clip.model, settings)
    training, heldout = frozen_datasets(clip, settings, job.dataset, job.seed)
    batches = order_of(training, settings, job.seed)
    module = PromptTuning(
        clip,
        said,
        settings.optim,
        total_steps=total_steps(batches, settings),
        heldout=heldout,
        batch_size=settings.train.batch_size * world_size(),
        identity=identity_of(clip, training, heldout, settings) | {"weights below the prompts": said["base"]},
        report=job.report,
        loss=settings.train.loss,
        micro_batch=settings.train.micro_batch,
        gallery=partial(gallery, heldout, settings.train.debug_images) if settings.train.debug_images else None,
    )
    count = sum(parameter.numel() for parameter in clip.model.parameters() if parameter.requires_grad)
    job.report.text(f"{count:,} of {sum(parameter.numel() for parameter in clip.model.parameters()):,} parameters learn")
    trainer = fit(module, training, heldout, batches, job)
    state = clip.model.state_dict()
    if rank() == 0:
        save(job.output_dir / "prompts.pt", learned(state), said | {"whole": False})
        job.report.artifact("prompts", job.output_dir / "prompts.pt")
    result = {"model": clip.name, "steps": module.total_steps, "parameters learned": count, **module.metrics}
    path = publish(trainer, {"state_dict": state, KEY: said}, result, job)
    job.report.text(f"{path} is the whole model with its prompts, which evaluate takes; prompts.pt goes with the weights it was learned on")
    return path


def with_prompts(clip: Clip, settings: VptConfig, init_from: Path | None) -> Prompts:
    """The model's prompts: those of the file it comes from, or new ones.

    Raises:
        ParameterError: when the file's are others than the settings ask for.
    """
    prompts, asked = prompts_of(clip), settings.vpt
    if prompts is None:
        return add_prompts(clip, tokens=asked.tokens, deep=asked.deep, dropout=asked.dropout)
    count = prompts.tokens.shape[1]
    if (count, prompts.deep) != (asked.tokens, asked.deep):
        raise ParameterError([f"{init_from} has {count} tokens, deep={prompts.deep}; set vpt.tokens={count} vpt.deep={prompts.deep}"])
    prompts.dropout.p = asked.dropout
    return prompts
