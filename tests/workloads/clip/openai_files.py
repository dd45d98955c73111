"""Files in OpenAI's format for small models, written by torch itself; and a pickle that runs code when it is read."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import open_clip
import torch
from models import FORMS, TEXT
from torch import Tensor, nn


def clip(form: str = "vit", **options: object) -> nn.Module:
    torch.manual_seed(1)
    return open_clip.CLIP(32, text_cfg=TEXT, quick_gelu=True, **FORMS[form], **options).eval()


def same(found: dict[str, Tensor], model: nn.Module) -> bool:
    wanted = model.state_dict()
    return found.keys() == wanted.keys() and all(torch.equal(found[key], value) for key, value in wanted.items())


class OpenAI(nn.Module):
    """A CLIP with the three numbers that OpenAI's have in their state dict, traced with both inputs as theirs are."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        for name, child in model.named_children():
            self.add_module(name, child)
        for name, parameter in model.named_parameters(recurse=False):
            self.register_parameter(name, parameter)
        self.register_buffer("attn_mask", model.attn_mask)
        for name, value in {"input_resolution": 32, "context_length": 12, "vocab_size": 1000}.items():
            self.register_buffer(name, torch.tensor(value))
        self.whole = [model]

    def forward(self, images: Tensor, tokens: Tensor) -> tuple[Tensor, ...]:
        return self.whole[0](images, tokens)


def traced(model: nn.Module, path: Path) -> Path:
    side = model.visual.image_size
    side = side if isinstance(side, int) else side[0]
    dtype = model.visual.conv1.weight.dtype
    inputs = (torch.zeros(1, 3, side, side, dtype=dtype), torch.zeros(1, 12, dtype=torch.long))
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.jit.trace(model, inputs, check_trace=False, strict=False).save(str(path))
    return path


class Trap:
    """Leaves a mark when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("trapped",)
