"""Gradients by micro-batches are those of the whole batch."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from models import RESNET, TEXT, gradients, largest_difference, pairs, small
from runs import run
from torch import Tensor

from clip_training.caching import cached_loss
from clip_training.contrast import Contrast
from clip_training.losses import make_loss
from clip_training.optim import cosine_with_warmup
from harness.report import Recorder


def embedding(model: torch.nn.Module) -> Callable[[tuple[Tensor, Tensor]], tuple[Tensor, Tensor]]:
    def embed(micro_batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        out = model(*micro_batch)
        return out["image_features"], out["text_features"]

    return embed


def contrasting(model: torch.nn.Module, name: str) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda images, texts: make_loss(name)(images, texts, model.logit_scale.exp(), model.logit_bias)


@pytest.mark.parametrize("name", ["clip", "siglip"])
@pytest.mark.parametrize("size", [1, 4, 5, 12, 20])
def test_gradients_equal_the_plain_step_s_in_float64(name: str, size: int) -> None:
    model = small("vit", bias=-3.0 if name == "siglip" else None)
    images, texts = pairs(model)
    out = model(images, texts)
    plain = contrasting(model, name)(out["image_features"], out["text_features"])
    plain.backward()
    expected = gradients(model)
    loss = cached_loss(model, embedding(model), list(zip(images.split(size), texts.split(size), strict=True)), contrasting(model, name))
    loss.backward()
    found = gradients(model)

    assert float(loss.detach()) == pytest.approx(float(plain.detach()), abs=1e-12)
    assert largest_difference(found, expected) < 1e-12
    own = {"logit_scale", "logit_bias"} & found.keys()
    assert own == ({"logit_scale", "logit_bias"} if name == "siglip" else {"logit_scale"})
    assert all(abs(float(found[key])) > 1e-3 for key in own)  # and not n or 2n times as large, as where each micro-batch adds it again


def test_both_passes_over_a_micro_batch_drop_the_same_patches() -> None:
    model = small("dropping")
    parts = list(zip(*(tensor.split(4) for tensor in pairs(model)), strict=True))
    torch.manual_seed(7)
    embedded = [embedding(model)(part) for part in parts]
    contrasting(model, "clip")(*(torch.cat(column) for column in zip(*embedded, strict=True))).backward()
    expected, after = gradients(model), torch.rand(1)
    torch.manual_seed(7)
    cached_loss(model, embedding(model), parts, contrasting(model, "clip")).backward()

    assert largest_difference(gradients(model), expected) < 1e-12
    assert torch.equal(torch.rand(1), after)  # and what is drawn next is drawn as after a plain step
    torch.manual_seed(8)
    cached_loss(model, embedding(model), parts, contrasting(model, "clip")).backward()
    assert largest_difference(gradients(model), expected) > 1e-6


def test_a_loss_of_anything_that_is_embedded() -> None:
    """One tensor, or three of which the loss leaves one alone."""
    torch.manual_seed(0)
    layer = torch.nn.Linear(3, 4).double()
    rows = torch.randn(6, 3, dtype=torch.float64)
    cached_loss(
        layer, lambda part: (layer(part), layer(part) ** 2, part), rows.split(2), lambda a, b, _: (a.T @ b).square().sum()
    ).backward()
    found = gradients(layer)
    (layer(rows).T @ layer(rows) ** 2).square().sum().backward()
    assert largest_difference(found, gradients(layer)) < 1e-9


def test_gradients_of_several_steps_add_up_as_they_do_elsewhere() -> None:
    model = small("vit")
    parts = list(zip(*(tensor.split(6) for tensor in pairs(model)), strict=True))
    once = cached_loss(model, embedding(model), parts, contrasting(model, "clip"))
    once.backward()
    expected = {name: 2 * gradient for name, gradient in gradients(model).items()}
    for _ in range(2):
        cached_loss(model, embedding(model), parts, contrasting(model, "clip")).backward()
    assert largest_difference(gradients(model), expected) < 1e-12


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor], close: float) -> None:
    """Each gradient to a share of its norm, or of a hundredth of the largest where it is smaller than that: it may be rounding alone."""
    assert found.keys() == expected.keys()
    norms = {name: float(torch.linalg.norm(gradient)) for name, gradient in expected.items()}
    for name, norm in norms.items():
        assert float(torch.linalg.norm(found[name] - expected[name])) < close * max(norm, max(norms.values()) / 100), name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_mixed_precision_has_the_same_gradients(dtype: torch.dtype) -> None:
    """To the precision of the half, in which sums over micro-batches are rounded otherwise than over the batch."""
    model = small("vit", dtype=torch.float32)
    images, texts = pairs(model, dtype=torch.float32)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**12, enabled=dtype == torch.float16)
    found = []
    for size in (12, 3):
        parts = list(zip(images.split(size), texts.split(size), strict=True))
        with torch.autocast("cpu", dtype):
            loss = cached_loss(model, embedding(model), parts, contrasting(model, "clip"), scaler.scale)
        scaler.scale(loss).backward()
        factor = 2.0**12 if dtype == torch.float16 else 1.0
        found.append({name: gradient / factor for name, gradient in gradients(model).items()})
    assert_close(found[1], found[0], 0.05)


def test_an_overflow_of_halves_skips_the_step_and_leaves_the_loss_readable() -> None:
    model = small("vit", dtype=torch.float32)
    parts = list(zip(*(tensor.split(4) for tensor in pairs(model, dtype=torch.float32)), strict=True))
    scaler, before = torch.amp.GradScaler("cpu", init_scale=2.0**120), [parameter.clone() for parameter in model.parameters()]
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    with torch.autocast("cpu", torch.float16):
        loss = cached_loss(model, embedding(model), parts, contrasting(model, "clip"), scaler.scale)
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()

    assert torch.isfinite(loss.detach())
    assert all(torch.equal(one, other) for one, other in zip(before, model.parameters(), strict=True))
    assert scaler.get_scale() == 2.0**119


def test_batch_statistics_are_counted_once_and_are_the_micro_batch_s() -> None:
    """The exception: with batch normalisation the gradients are not the whole batch's, but those of its micro-batches' statistics."""
    model, other = small("resnet"), small("resnet")
    parts = list(zip(*(tensor.split(4) for tensor in pairs(model)), strict=True))
    cached_loss(model, embedding(model), parts, contrasting(model, "clip")).backward()
    embedded = [embedding(other)(part) for part in parts]
    contrasting(other, "clip")(*(torch.cat(column) for column in zip(*embedded, strict=True))).backward()

    found = gradients(model)
    assert largest_difference(found, gradients(other)) < 1e-10
    assert int(model.visual.bn1.num_batches_tracked) == 3
    for name, buffer in model.named_buffers():
        assert torch.allclose(buffer.double(), dict(other.named_buffers())[name].double(), rtol=1e-12), name
    out = other(*pairs(other))
    contrasting(other, "clip")(out["image_features"], out["text_features"]).backward()
    assert largest_difference(found, gradients(other)) > 1e-3


class Kept(Exception):  # noqa: N818
    """Ends a run when the gradients that a test is after are there."""


def first_gradients(monkeypatch: pytest.MonkeyPatch, steps: int, *places: Any, **options: Any) -> list[dict[str, Tensor]]:
    """What the optimizer is given in each of the first steps of a run that hardly moves."""
    found: list[dict[str, Tensor]] = []

    def keep(module: Contrast, _: Any) -> None:
        found.append({name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None})
        if len(found) == steps:
            raise Kept

    monkeypatch.setattr(Contrast, "on_before_optimizer_step", keep)
    with pytest.raises(Kept):
        run(*places, train__batch_size=30, optim__lr=1e-12, **options)
    return found


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_training_steps_take_them(
    precision: str, squares: Path, undropped_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = (squares, tmp_path, undropped_model)
    whole = first_gradients(monkeypatch, 2, *places, train__precision=precision)
    cached = first_gradients(monkeypatch, 2, *places, train__precision=precision, train__micro_batch=7)
    for step in (0, 1):
        assert_close(cached[step], whole[step], 1e-5 if precision == "fp32" else 0.15)


def test_micro_batches_change_neither_steps_nor_schedule(squares: Path, tiny_model: Path, tmp_path: Path) -> None:
    report = Recorder()
    run(squares, tmp_path, tiny_model, report, train__micro_batch=4, train__epochs=2)
    assert [step for step, _ in report.scalars["loss", "train"]] == list(range(1, 9))
    assert any("4 steps of 15 pairs per epoch, 8 in all" in text for text in report.texts)
    expected = [3e-3 * cosine_with_warmup(step, 3, 8) for step in range(8)]
    assert [rate for _, rate in report.scalars["learning rate", "lr"]] == pytest.approx(expected)


def test_batch_normalisation_is_warned_of_once(squares: Path, tmp_path: Path) -> None:
    path = tmp_path / "test-resnet.json"
    path.write_text(json.dumps({"embed_dim": 32, "vision_cfg": RESNET, "text_cfg": {**TEXT, "vocab_size": 49408}}))
    report = Recorder()
    run(squares, tmp_path / "out", path, report, train__micro_batch=5, train__epochs=1)
    assert sum("normalises over batches" in text for text in report.texts) == 1
