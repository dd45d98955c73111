"""Tiny models of each open_clip architecture, and a batch for them."""

from __future__ import annotations

import open_clip
import torch
from torch import Tensor

TEXT = {"context_length": 12, "vocab_size": 1000, "width": 32, "heads": 2, "layers": 2}
VIT = {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8}
RESNET = {"image_size": 64, "layers": [2, 1, 1, 1], "width": 8, "head_width": 32}
TIMM = {"timm_model_name": "vit_tiny_patch16_224", "timm_pool": "avg", "timm_proj": "linear", "image_size": 224}
TIMM_RESNET = {"timm_model_name": "resnet10t", "timm_pool": "avg", "timm_proj": "linear", "image_size": 64}
FORMS = {
    "vit": {"vision_cfg": VIT},
    "dropping": {"vision_cfg": {**VIT, "patch_dropout": 0.25}},
    "resnet": {"vision_cfg": RESNET},
    "timm": {"vision_cfg": TIMM},
    "timm-resnet": {"vision_cfg": TIMM_RESNET},
}


def small(form: str, *, bias: float | None = None, dtype: torch.dtype = torch.float64) -> torch.nn.Module:
    """A model of random weights, in training mode; with `bias` it has SigLIP's. Text towers are separate for timm's, as in open_clip."""
    torch.manual_seed(0)
    built = open_clip.model.CustomTextCLIP if form == "timm" else open_clip.CLIP
    model = built(32, text_cfg=TEXT, output_dict=True, init_logit_bias=bias, **FORMS[form]).to(dtype).train()
    for name, parameter in model.named_parameters():
        if name.endswith("bn3.weight"):  # begins at 0, with which no gradient would reach the block
            torch.nn.init.ones_(parameter)
    return model


def pairs(model: torch.nn.Module, count: int = 12, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    size = model.visual.image_size
    side = size if isinstance(size, int) else size[0]
    images = torch.randn(count, 3, side, side, dtype=dtype, generator=generator)
    return images, torch.randint(1, 1000, (count, 12), generator=generator)


def gradients(model: torch.nn.Module) -> dict[str, Tensor]:
    """A copy of every gradient, which is then cleared."""
    found = {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}
    model.zero_grad()
    return found


def largest_difference(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)
