"""What makes training take less memory or time, and leaves what is learned as it is."""

from __future__ import annotations

from functools import partial

import torch
from open_clip.modified_resnet import Bottleneck, ModifiedResNet
from open_clip.timm_model import TimmModel
from torch import nn
from torch.utils.checkpoint import checkpoint

from harness.errors import ParameterError
from harness.torch.batchnorm import count_once

from .config import TrainConfig


def apply(model: nn.Module, settings: TrainConfig) -> None:
    """Change an open_clip model as `train` and `optim` ask for, with its weights in it.

    Raises:
        ParameterError: for a tower that cannot be checkpointed.
    """
    if settings.optim.text_weights == "bf16":
        halve_text(model)
    if settings.train.channels_last:
        model.visual.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if settings.train.checkpointing:
        checkpoint_activations(model)
    if settings.train.compile:
        compile_towers(model)


def checkpoint_activations(model: nn.Module) -> None:
    """Compute each block's activations again in the backward pass (Chen et al. 2016, arXiv:1604.06174), in both towers.

    open_clip does it for its transformers, and for timm's towers where timm does, but not for its ResNets. Gradients are the same;
    batch normalisation counts a batch once.
    """
    visual, text = towers(model)
    if isinstance(visual, ModifiedResNet):
        visual.stem = partial(checkpoint, visual.stem, use_reentrant=False)  # type: ignore[method-assign]
        for block in visual.modules():
            if isinstance(block, Bottleneck):
                block.forward = partial(checkpoint, block.forward, use_reentrant=False)
    else:
        enable(visual.trunk if isinstance(visual, TimmModel) else visual)
    if hasattr(text.transformer, "gradient_checkpointing_enable"):  # Hugging Face's
        text.transformer.gradient_checkpointing_enable({"use_reentrant": False})
    else:
        text.transformer.grad_checkpointing = True
    count_once(model)


def enable(tower: nn.Module) -> None:
    try:
        tower.set_grad_checkpointing(True)
    except (AssertionError, AttributeError, NotImplementedError) as error:
        raise ParameterError([f"train.checkpointing=True: {type(tower).__name__} cannot be checkpointed {error}".strip()]) from error


def halve_text(model: nn.Module) -> None:
    """Round the text tower's weights to bfloat16, in which it then computes too."""
    for parameter in text_parameters(model):
        parameter.data = parameter.data.bfloat16()


def text_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The text tower's parameters: all but the image tower's and the loss's."""
    return [parameter for name, parameter in model.named_parameters() if not name.startswith(("visual.", "logit_"))]


def compile_towers(model: nn.Module) -> None:
    """Compile in place, so that names in the state dict stay."""
    visual, text = towers(model)
    visual.compile()
    (text.transformer if text is model else text).compile()


def towers(model: nn.Module) -> tuple[nn.Module, nn.Module]:
    """The image tower, and the text tower: in open_clip's older form the model itself."""
    return model.visual, getattr(model, "text", model)  # type: ignore[return-value]
