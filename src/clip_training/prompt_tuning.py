"""Tuning of prompts: the training step on a model that is frozen but for them, and the run."""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path
from typing import Any

from harness.errors import ParameterError
from training.distributed import rank, world_size
from training.resume import check
from training.run import Run
from training.seeds import seed_everything

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


def finetune_vpt(settings: VptConfig, folder: Path | None, run: Run) -> Path:
    """Tune prompts on the pairs in `folder`, and return the file of the whole model with them.

    Beside it `prompts.pt` holds what was learned alone; it goes with the weights that it was learned on.

    Args:
        settings: of the run.
        folder: img/, text/ and npz/, or image-text pairs in any other form; None where `data` names the data.
        run: its `init_from` is weights to tune prompts for, or weights with prompts to tune further.

    Raises:
        HarnessError: for settings, data or weights that do not do.
        SystemExit: with 143, after a SIGTERM and a last checkpoint.
    """
    check(settings, run, RESUMABLE, description_of)
    seed_everything(run.seed)
    if settings.optim.text_weights != "fp32":
        raise ParameterError(["optim.text_weights: must be fp32, as the text tower stays what it is"])
    clip = load_clip(settings.model, run.init_from, settings.train.loss)
    prompts = with_prompts(clip, settings, run.init_from)
    said = stated(clip, prompts, settings.model.pretrained or str(run.init_from or ""))
    if not (settings.model.pretrained or run.init_from or run.resume):
        run.report.text(f"{clip.name} starts from random weights, which stay; model.pretrained or init_from says which others to take")
    boosts.apply(clip.model, settings)
    training, heldout = frozen_datasets(clip, settings, folder, run.seed)
    batches = order_of(training, settings, run.seed)
    module = PromptTuning(
        clip,
        said,
        settings.optim,
        total_steps=total_steps(batches, settings),
        heldout=heldout,
        batch_size=settings.train.batch_size * world_size(),
        identity=identity_of(clip, training, heldout, settings) | {"weights below the prompts": said["base"]},
        report=run.report,
        loss=settings.train.loss,
        micro_batch=settings.train.micro_batch,
        gallery=partial(gallery, heldout, settings.train.debug_images) if settings.train.debug_images else None,
    )
    count = sum(parameter.numel() for parameter in clip.model.parameters() if parameter.requires_grad)
    run.report.text(f"{count:,} of {sum(parameter.numel() for parameter in clip.model.parameters()):,} parameters learn")
    trainer = fit(module, training, heldout, batches, settings, run)
    state = clip.model.state_dict()
    if rank() == 0:
        save(run.output / "prompts.pt", learned(state), said | {"whole": False})
        run.report.artifact("prompts", run.output / "prompts.pt")
    result = {"model": clip.name, "steps": module.total_steps, "parameters learned": count, **module.metrics}
    path = publish(trainer, {"state_dict": state, KEY: said}, result, run)
    run.report.text(f"{path} is the whole model with its prompts, which evaluate takes; prompts.pt goes with the weights it was learned on")
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
