"""Locked towers: weights that training leaves as they are (LiT, Zhai et al. 2022, arXiv:2111.07991), by open_clip's own functions."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from types import SimpleNamespace

from open_clip.hf_model import HFTextEncoder
from open_clip.timm_model import TimmModel
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from harness.errors import ParameterError

from .config import LockConfig
from .encoders import TwoEncoders

ALIKE = {"bert": "roberta"}
"""Kinds of transformers that open_clip locks only as a whole, by those that it can lock in part and whose modules have the same names."""


def lock(model: nn.Module, settings: LockConfig) -> list[nn.Module]:
    """Lock what the settings ask for, and return the batch normalisations whose statistics must stay, too: keep them in evaluation mode.

    There they compute what open_clip's FrozenBatchNorm2d does. They are not replaced by it because it has no `num_batches_tracked`,
    which would then be missing in the published weights.

    Args:
        model: an open_clip model, or a pair of encoders, whose projections are never locked: they are new.
        settings: what to lock.

    Raises:
        ParameterError: when a tower cannot be locked in part, or the settings lock nothing or everything.
    """
    if settings.image:
        lock_image(model, settings.image_unlocked)
    if settings.text:
        lock_text(model, settings.text_unlocked)
    if not any(parameter.requires_grad for name, parameter in model.named_parameters() if not name.startswith("logit_")):
        raise ParameterError(["lock.image and lock.text: lock all weights; leave one tower, or some groups of it, unlocked"])
    if not (settings.image and settings.bn_stats):
        return []
    frozen = [module for module in model.visual.modules() if isinstance(module, _BatchNorm) and not any(learned(module))]
    for module in frozen:
        module.eval()
    return frozen


def learned(module: nn.Module) -> Iterator[bool]:
    """Of each parameter, whether it is trained."""
    return (parameter.requires_grad for parameter in module.parameters())


def lock_image(model: nn.Module, unlocked: int) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # open_clip imports from a place that timm has renamed
            if not isinstance(model, TwoEncoders):
                model.lock_image_tower(unlocked)
            elif hasattr(model.visual.trunk, "lock"):
                model.visual.trunk.lock(unlocked)
            else:
                TimmModel.lock(model.visual, unlocked)  # all that it asks of a tower is a `trunk`
    except (AssertionError, AttributeError) as error:
        kind = type(getattr(model.visual, "trunk", model.visual)).__name__
        raise ParameterError([f"lock.image_unlocked={unlocked}: {kind} can only be locked as a whole: set it to 0"]) from error
    if all(learned(model.visual)):
        raise ParameterError([f"lock.image_unlocked={unlocked}: leaves nothing of the image tower locked; set a smaller number"])


def lock_text(model: nn.Module, unlocked: int) -> None:
    if isinstance(model, TwoEncoders):
        lock_transformer(model.text.transformer, unlocked)
    else:
        model.lock_text_tower(unlocked)
    if all(learned(getattr(model, "text", model))) or (not hasattr(model, "text") and model.token_embedding.weight.requires_grad):
        raise ParameterError([f"lock.text_unlocked={unlocked}: leaves nothing of the text tower locked; set a smaller number"])


def lock_transformer(transformer: nn.Module, unlocked: int) -> None:
    """Lock one of Hugging Face's transformers."""
    kind = transformer.config.model_type
    tower = SimpleNamespace(transformer=transformer, config=SimpleNamespace(model_type=ALIKE.get(kind, kind)))
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints
            HFTextEncoder.lock(tower, unlocked)
    except (KeyError, AttributeError) as error:
        raise ParameterError([f"lock.text_unlocked={unlocked}: a {kind} can only be locked as a whole: set it to 0"]) from error
