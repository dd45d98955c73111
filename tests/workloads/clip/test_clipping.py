"""Gradient clipping, compared with clipping the gradient of the whole batch computed in float64."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
import open_clip
import pytest
import torch
from lightning.pytorch.plugins import MixedPrecision
from models import largest_difference
from runs import run
from torch import Tensor

from clip_training.contrastive_module import ContrastiveModule
from clip_training.model import normalised
from clip_training.pairs import Batch
from harness.report import Recorder
from harness.torch.trainer import make_trainer

Gradients = dict[str, Tensor]


class Steps:
    """The true gradient of each step in float64, and what clipping left of the gradient for the optimizer."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.true: list[Gradients] = []
        self.given: list[Gradients] = []
        step, clip = ContrastiveModule.training_step, ContrastiveModule.configure_gradient_clipping

        def training_step(module: ContrastiveModule, batch: Batch, number: int) -> Tensor:
            self.true.append(true_gradient(module, batch))
            return step(module, batch, number)

        def configure_gradient_clipping(module: ContrastiveModule, *arguments: Any, **options: Any) -> None:
            clip(module, *arguments, **options)
            self.given.append({name: p.grad.double() for name, p in module.model.named_parameters() if p.grad is not None})

        patch.setattr(ContrastiveModule, "training_step", training_step)
        patch.setattr(ContrastiveModule, "configure_gradient_clipping", configure_gradient_clipping)


def in_half_precision(patch: pytest.MonkeyPatch) -> None:
    """Make trainers scale the loss as on a GPU; Lightning does not on a CPU, where torch can."""

    def make(**options: Any) -> lightning.Trainer:
        trainer = make_trainer(**options | {"precision": "fp32"})
        trainer.strategy.precision_plugin = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=2.0**10))
        return trainer

    patch.setattr("clip_training.training_loop.make_trainer", make)


def true_gradient(module: ContrastiveModule, batch: Batch) -> Gradients:
    """Of open_clip's own loss over the whole batch, by torch alone."""
    model = copy.deepcopy(module.model).double()
    model.zero_grad()
    out = model(normalised(batch.images, module.mean, module.std).double(), batch.tokens)
    open_clip.ClipLoss()(out["image_features"], out["text_features"], out["logit_scale"]).backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def norm(gradients: Gradients) -> float:
    return float(torch.cat([gradient.flatten().double() for gradient in gradients.values()]).norm())


@pytest.mark.parametrize(
    ("options", "tolerance"),
    [
        ({}, 1e-5),
        ({"train__micro_batch": 4}, 1e-5),
        ({"train__precision": "fp16"}, 5e-3),
        ({"train__precision": "fp16", "train__micro_batch": 4}, 5e-3),
        ({"optim__state_dtype": "int8"}, 1e-5),
        ({"optim__text_weights": "bf16"}, 2e-2),
    ],
    ids=lambda value: "-".join(map(str, value.values())) or "plain" if isinstance(value, dict) else "",
)
def test_what_is_clipped_is_the_true_gradient(
    options: dict[str, Any], tolerance: float, squares: Path, undropped_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the whole batch and without the loss scale, whatever way it was computed. Fused AdamW would clip the scaled gradient."""
    steps = Steps(monkeypatch)
    if options.get("train__precision") == "fp16":
        in_half_precision(monkeypatch)
    run(squares, tmp_path, undropped_model, train__max_steps=2, train__clip=0.5, **options)
    assert len(steps.given) == len(steps.true) == 2
    for given, true in zip(steps.given, steps.true, strict=True):
        assert norm(true) > 1  # so there is something to clip
        expected = {name: gradient * 0.5 / norm(true) for name, gradient in true.items()}
        assert norm(given) == pytest.approx(0.5, rel=max(1e-4, tolerance))
        assert largest_difference(given, expected) < tolerance


def test_a_smaller_gradient_is_left_as_it_is(squares: Path, undropped_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps(monkeypatch)
    run(squares, tmp_path, undropped_model, train__max_steps=1, train__clip=100.0)
    assert largest_difference(steps.given[0], steps.true[0]) < 1e-4


def test_values_can_be_clipped_instead(squares: Path, undropped_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps(monkeypatch)
    run(squares, tmp_path, undropped_model, train__max_steps=1, train__clip=0.01, train__clip_by="value")
    expected = {name: gradient.clamp(-0.01, 0.01) for name, gradient in steps.true[0].items()}
    assert max(float(gradient.abs().max()) for gradient in steps.true[0].values()) > 0.1
    assert largest_difference(steps.given[0], expected) < 1e-5


@pytest.mark.parametrize("policy", ["skip", "warn"])
def test_a_gradient_that_is_not_finite_is_dealt_with_before_it_is_clipped(
    policy: str, squares: Path, undropped_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clipping a NaN would give NaN to every weight; `skip` leaves the step out."""
    contrast = ContrastiveModule.contrast

    def spoilt(module: ContrastiveModule, *rows: Tensor) -> Tensor:
        return contrast(module, *rows) * (torch.nan if module.global_step == 1 else 1)

    monkeypatch.setattr(ContrastiveModule, "contrast", spoilt)
    report = Recorder()
    options = {"train__max_steps": 3, "train__clip": 0.5, "train__non_finite": policy}
    if policy == "warn":
        with pytest.raises(Exception, match="weights are not finite"):
            run(squares, tmp_path, undropped_model, report, **options)
    else:
        weights = run(squares, tmp_path, undropped_model, report, **options)
        assert all(value.isfinite().all() for value in weights.values())
        assert "1 steps were left out because their loss or gradient was not finite" in report.texts
