"""Optimisers: the paper's AdamW, or SGD, with decay on weight matrices only; and a cosine schedule to zero after a linear warm-up."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from .config import OptimConfig, RatesConfig, SgdConfig
from .layer_rates import rates_by_parameter

FAMILIES = {"vit": ((0.9, 0.98), 1e-6), "resnet": ((0.9, 0.999), 1e-8)}
"""(beta1, beta2) and epsilon by family (Radford et al. 2021, table 19)."""

LEARNING_RATES = {
    "RN50": 5e-4,
    "RN101": 5e-4,
    "RN50x4": 5e-4,
    "RN50x16": 4e-4,
    "RN50x64": 3.6e-4,
    "ViT-B-32": 5e-4,
    "ViT-B-16": 5e-4,
    "ViT-L-14": 4e-4,
    "ViT-L-14-336": 2e-5,
}
"""Peak learning rate by open_clip's model name (Radford et al. 2021, tables 19 and 20)."""


def family_of(model: nn.Module) -> str:
    """`resnet` when the image tower has batch normalisation, otherwise `vit`."""
    visual = model.visual
    assert isinstance(visual, nn.Module)
    return "resnet" if any(isinstance(module, nn.BatchNorm2d) for module in visual.modules()) else "vit"


def parameter_groups(
    model: nn.Module, weight_decay: float, rates: Mapping[nn.Parameter, float] | None = None, others: Sequence[nn.Parameter] = ()
) -> list[dict[str, Any]]:
    """Trainable parameters by rate, in two groups each: matrices and embeddings decay; gains, biases and logit_scale do not.

    Args:
        model: whose parameters.
        weight_decay: of what decays.
        rates: factors of the learning rate, 1 where there is none; the groups of the largest come first.
        others: scalars to train that are not in the model.
    """
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {(1.0, False): [], (1.0, True): []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            is_free = parameter.ndim < 2 or name.rpartition(".")[2] in ("bias", "logit_scale", "logit_bias")
            groups.setdefault(((rates or {}).get(parameter, 1.0), is_free), []).append(parameter)
    groups[1.0, True] += others
    ordered = sorted(groups.items(), key=lambda item: (-item[0][0], item[0][1]))
    return [
        {"params": parameters, "weight_decay": 0.0 if is_free else weight_decay, "rate": rate} for (rate, is_free), parameters in ordered
    ]


def make_optimizer(
    model: nn.Module,
    settings: OptimConfig | SgdConfig,
    name: str = "",
    *,
    compiled: bool = False,
    fused: bool = True,
    rates: RatesConfig | None = None,
    others: Sequence[nn.Parameter] = (),
) -> Optimizer:
    """SGD or AdamW over the model's trainable parameters.

    Args:
        model: an open_clip model, or one with the same two towers.
        settings: the optimiser's; for AdamW, 0 selects the paper's value.
        name: the model's name in open_clip.
        compiled: whether to compile AdamW's kernels, where that makes a difference.
        fused: whether AdamW may unscale gradients of half precision by itself, which leaves no moment for clipping them.
        rates: factors of the learning rate of towers and blocks.
        others: scalars to train that are not in the model.

    Raises:
        ParameterError: when the blocks of a tower are not known, and `rates` is about them.
    """
    lr = settings.lr or learning_rate_of(name)
    groups = parameter_groups(model, settings.weight_decay, rates_by_parameter(model, rates) if rates else None, others)
    for group in groups:
        group["lr"] = lr * group.pop("rate")
    if isinstance(settings, SgdConfig):
        return SGD(groups, lr=lr, momentum=settings.momentum)
    (_, beta2), eps = FAMILIES[family_of(model)]
    betas = (settings.beta1, settings.beta2 or beta2)
    if settings.state_dtype == "fp32" and settings.text_weights == "fp32":
        return AdamW(groups, lr=lr, betas=betas, eps=settings.eps or eps, fused=fused)
    from .adam import LeanAdamW  # torchao takes seconds to import

    return LeanAdamW(groups, lr, betas, settings.eps or eps, settings.state_dtype, compiled)


def learning_rate_of(name: str) -> float:
    """The paper's peak learning rate for a model; a model that is not in the paper gets ViT-B/32's."""
    return LEARNING_RATES.get(name.removesuffix("-quickgelu"), LEARNING_RATES["ViT-B-32"])


def warmup_within(stated: int, total: int) -> int:
    """Steps of warm-up in a run of `total` steps: as stated, or a tenth of a run that is not longer than that."""
    return stated if stated < total else total // 10


def cosine_with_warmup(step: int, warmup: int, total: int) -> float:
    """Learning-rate factor at optimizer step `step`, counted from 0: rises to 1 over `warmup` steps, then falls to 0 at `total`."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, total - warmup))))
