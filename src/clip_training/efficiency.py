"""Options that save memory or time without changing what a model learns."""

from __future__ import annotations

from functools import partial

import torch
from open_clip.modified_resnet import Bottleneck, ModifiedResNet
from open_clip.timm_model import TimmModel
from torch import nn
from torch.utils.checkpoint import checkpoint

from harness.errors import ParameterError
from harness.torch.batchnorm import count_once

from .config import LoopConfig


def apply(model: nn.Module, loop: LoopConfig, text_weights: str = "fp32") -> None:
    """Change a model whose weights are loaded, as the settings ask.

    Args:
        model: an open_clip model, or one with the same two towers.
        loop: says whether to use channels_last, checkpointing and torch.compile.
        text_weights: `optim.text_weights`.

    Raises:
        ParameterError: when a tower does not support checkpointing.
    """
    if text_weights == "bf16":
        halve_text(model)
    if loop.channels_last:
        model.visual.to(memory_format=torch.channels_last)
    if loop.checkpointing:
        checkpoint_activations(model)
    if loop.compile:
        compile_towers(model)


def checkpoint_activations(model: nn.Module) -> None:
    """Recompute each block's activations in the backward pass (Chen et al. 2016, arXiv:1604.06174), in both towers.

    open_clip supports this for its transformers, and for timm's models that support it, but its `set_grad_checkpointing` does nothing for
    ResNets: those are wrapped here, block by block. Gradients do not change, and batch normalisation counts each batch once.
    """
    visual, text = towers(model)
    if isinstance(visual, ModifiedResNet):
        visual.stem = partial(checkpoint, visual.stem, use_reentrant=False)
        for block in visual.modules():
            if isinstance(block, Bottleneck):
                block.forward = partial(checkpoint, block.forward, use_reentrant=False)
    else:
        enable_checkpointing(visual.trunk if isinstance(visual, TimmModel) else visual)
    if hasattr(text.transformer, "gradient_checkpointing_enable"):  # Hugging Face's
        text.transformer.gradient_checkpointing_enable({"use_reentrant": False})
    else:
        text.transformer.grad_checkpointing = True
    count_once(model)


def enable_checkpointing(tower: nn.Module) -> None:
    try:
        tower.set_grad_checkpointing(True)
    except (AssertionError, AttributeError, NotImplementedError) as error:
        raise ParameterError([f"train.checkpointing=True: {type(tower).__name__} cannot be checkpointed {error}".strip()]) from error


def halve_text(model: nn.Module) -> None:
    """Round the text tower's weights to bfloat16; the tower then also computes in bfloat16."""
    for parameter in text_parameters(model):
        parameter.data = parameter.data.bfloat16()


def text_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The text tower's parameters: all except those of the image tower and of the loss."""
    return [parameter for name, parameter in model.named_parameters() if not name.startswith(("visual.", "logit_"))]


def compile_towers(model: nn.Module) -> None:
    """Compile in place, which keeps the names in the state dict."""
    visual, text = towers(model)
    visual.compile()
    (text.transformer if text is model else text).compile()


def towers(model: nn.Module) -> tuple[nn.Module, nn.Module]:
    """The image tower and the text tower; in open_clip's older layout the model itself is the text tower."""
    return model.visual, getattr(model, "text", model)
