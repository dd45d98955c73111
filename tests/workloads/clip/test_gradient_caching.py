"""Gradients computed by micro-batches equal those of the whole batch."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from models import RESNET, TEXT, gradients, largest_difference, pairs, small
from runs import run
from torch import Tensor

from clip_training.contrastive_module import ContrastiveModule
from clip_training.gradient_caching import cached_loss
from clip_training.losses import make_loss
from clip_training.optim import cosine_with_warmup
from harness.report import Recorder

Towers = tuple[Callable[[Any], Tensor], Callable[[Any], Tensor]]


def towers(model: torch.nn.Module) -> Towers:
    return (
        lambda micro_batch: model.encode_image(micro_batch[0], normalize=True),
        lambda micro_batch: model.encode_text(micro_batch[1], normalize=True),
    )


def by_parts(model: torch.nn.Module, parts: list[tuple[Tensor, Tensor]]) -> list[Tensor]:
    """The embeddings of all micro-batches in one graph, with the same random numbers as in gradient caching."""
    embedded = [[tower(part) for tower in towers(model)] for part in parts]
    return [torch.cat(column) for column in zip(*embedded, strict=True)]


def contrasting(model: torch.nn.Module, name: str) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda images, texts: make_loss(name)(images, texts, model.logit_scale.exp(), model.logit_bias)


@pytest.mark.parametrize("name", ["clip", "siglip"])
@pytest.mark.parametrize("size", [1, 4, 5, 12, 20])
def test_gradients_equal_those_of_the_plain_step_in_float64(name: str, size: int) -> None:
    model = small("vit", bias=-3.0 if name == "siglip" else None)
    images, texts = pairs(model)
    out = model(images, texts)
    plain = contrasting(model, name)(out["image_features"], out["text_features"])
    plain.backward()
    expected = gradients(model)
    loss = cached_loss(model, towers(model), list(zip(images.split(size), texts.split(size), strict=True)), contrasting(model, name))
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
    contrasting(model, "clip")(*by_parts(model, parts)).backward()
    expected, after = gradients(model), torch.rand(1)
    torch.manual_seed(7)
    cached_loss(model, towers(model), parts, contrasting(model, "clip")).backward()

    assert largest_difference(gradients(model), expected) < 1e-12
    assert torch.equal(torch.rand(1), after)  # and what is drawn next is drawn as after a plain step
    torch.manual_seed(8)
    cached_loss(model, towers(model), parts, contrasting(model, "clip")).backward()
    assert largest_difference(gradients(model), expected) > 1e-6


def test_any_loss_over_any_embeddings() -> None:
    """With one tower, or with three, one of which is frozen and one unused by the loss."""
    torch.manual_seed(0)
    layer = torch.nn.Linear(3, 4).double()
    rows = torch.randn(6, 3, dtype=torch.float64)
    three = (layer, lambda part: part, lambda part: layer(part) ** 2)
    cached_loss(layer, three, rows.split(2), lambda a, raw, _: (a.T @ raw).square().sum()).backward()
    found = gradients(layer)
    (layer(rows).T @ rows).square().sum().backward()
    assert largest_difference(found, gradients(layer)) < 1e-9
    cached_loss(layer, [layer], rows.split(2), lambda a: a.square().sum() ** 2).backward()
    found = gradients(layer)
    (layer(rows).square().sum() ** 2).backward()
    assert largest_difference(found, gradients(layer)) < 1e-9


def test_a_frozen_tower_runs_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in prompt tuning, whose text tower is frozen."""
    model = small("vit")
    model.transformer.requires_grad_(False)
    for parameter in (model.token_embedding.weight, model.positional_embedding, model.text_projection, *model.ln_final.parameters()):
        parameter.requires_grad_(False)
    images, texts = pairs(model)
    contrasting(model, "clip")(*(tower((images, texts)) for tower in towers(model))).backward()
    expected, passes = gradients(model), [0, 0]
    encoders = model.visual.forward, model.transformer.forward
    monkeypatch.setattr(model.visual, "forward", lambda *given: (passes.__setitem__(0, passes[0] + 1), encoders[0](*given))[1])
    monkeypatch.setattr(
        model.transformer, "forward", lambda *given, **named: (passes.__setitem__(1, passes[1] + 1), encoders[1](*given, **named))[1]
    )
    parts = list(zip(images.split(4), texts.split(4), strict=True))
    cached_loss(model, towers(model), parts, contrasting(model, "clip")).backward()
    assert largest_difference(gradients(model), expected) < 1e-12
    assert passes == [6, 3]


def test_only_one_tower_s_activations_of_one_micro_batch_are_in_memory() -> None:
    """Counted in elements alive for a backward pass, weights aside: 12 pairs by 3 take less than 3 pairs at once, and a fourth of 12."""

    class Kept:
        weights: ClassVar[set[int]] = set()
        alive = most = 0

        def __init__(self, tensor: Tensor) -> None:
            self.tensor = tensor.detach()
            self.elements = 0 if tensor.data_ptr() in Kept.weights else tensor.numel()
            Kept.alive += self.elements
            Kept.most = max(Kept.most, Kept.alive)

        def __del__(self) -> None:
            Kept.alive -= self.elements

    def most(count: int, size: int) -> int:
        model = small("vit")
        images, texts = pairs(model, count)
        Kept.alive = Kept.most = 0
        Kept.weights = {parameter.data_ptr() for parameter in model.parameters()}
        with torch.autograd.graph.saved_tensors_hooks(Kept, lambda kept: kept.tensor):
            parts = list(zip(images.split(size), texts.split(size), strict=True))
            cached_loss(model, towers(model), parts, contrasting(model, "clip")).backward()
        return Kept.most

    assert most(12, 3) < 0.75 * most(3, 3)
    assert most(12, 12) > 3.5 * most(3, 3)


def test_gradients_of_several_steps_accumulate() -> None:
    model = small("vit")
    parts = list(zip(*(tensor.split(6) for tensor in pairs(model)), strict=True))
    once = cached_loss(model, towers(model), parts, contrasting(model, "clip"))
    once.backward()
    expected = {name: 2 * gradient for name, gradient in gradients(model).items()}
    for _ in range(2):
        cached_loss(model, towers(model), parts, contrasting(model, "clip")).backward()
    assert largest_difference(gradients(model), expected) < 1e-12


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor], close: float) -> None:
    """Each gradient agrees relative to its norm, or to a hundredth of the largest norm if that is more: tiny ones may be noise."""
    assert found.keys() == expected.keys()
    norms = {name: float(torch.linalg.norm(gradient)) for name, gradient in expected.items()}
    for name, norm in norms.items():
        assert float(torch.linalg.norm(found[name] - expected[name])) < close * max(norm, max(norms.values()) / 100), name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_mixed_precision_has_the_same_gradients(dtype: torch.dtype) -> None:
    """They agree to the precision of the half type, because sums over micro-batches are rounded differently."""
    model = small("vit", dtype=torch.float32)
    images, texts = pairs(model, dtype=torch.float32)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**12, enabled=dtype == torch.float16)
    found = []
    for size in (12, 3):
        parts = list(zip(images.split(size), texts.split(size), strict=True))
        with torch.autocast("cpu", dtype):
            loss = cached_loss(model, towers(model), parts, contrasting(model, "clip"), scaler.scale)
        scaler.scale(loss).backward()
        factor = 2.0**12 if dtype == torch.float16 else 1.0
        found.append({name: gradient / factor for name, gradient in gradients(model).items()})
    assert_close(found[1], found[0], 0.05)


def test_a_half_precision_overflow_skips_the_step_and_keeps_the_loss() -> None:
    model = small("vit", dtype=torch.float32)
    parts = list(zip(*(tensor.split(4) for tensor in pairs(model, dtype=torch.float32)), strict=True))
    scaler, before = torch.amp.GradScaler("cpu", init_scale=2.0**120), [parameter.clone() for parameter in model.parameters()]
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    with torch.autocast("cpu", torch.float16):
        loss = cached_loss(model, towers(model), parts, contrasting(model, "clip"), scaler.scale)
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()

    assert torch.isfinite(loss.detach())
    assert all(torch.equal(one, other) for one, other in zip(before, model.parameters(), strict=True))
    assert scaler.get_scale() == 2.0**119


def test_batch_statistics_are_those_of_the_micro_batch_and_counted_once() -> None:
    """The exception to exactness: with batch normalisation, the gradients follow from the statistics of the micro-batches."""
    model, other = small("resnet"), small("resnet")
    parts = list(zip(*(tensor.split(4) for tensor in pairs(model)), strict=True))
    cached_loss(model, towers(model), parts, contrasting(model, "clip")).backward()
    contrasting(other, "clip")(*by_parts(other, parts)).backward()

    found = gradients(model)
    assert largest_difference(found, gradients(other)) < 1e-10
    assert int(model.visual.bn1.num_batches_tracked) == 3
    for name, buffer in model.named_buffers():
        assert torch.allclose(buffer.double(), dict(other.named_buffers())[name].double(), rtol=1e-12), name
    out = other(*pairs(other))
    contrasting(other, "clip")(out["image_features"], out["text_features"]).backward()
    assert largest_difference(found, gradients(other)) > 1e-3


class Kept(Exception):  # noqa: N818
    """Ends a run as soon as the gradients that a test needs are there."""


def first_gradients(monkeypatch: pytest.MonkeyPatch, steps: int, *places: Any, **options: Any) -> list[dict[str, Tensor]]:
    """The gradients that the optimizer receives in the first steps of a run with a tiny learning rate."""
    found: list[dict[str, Tensor]] = []

    def keep(module: ContrastiveModule, _: Any) -> None:
        found.append({name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None})
        if len(found) == steps:
            raise Kept

    monkeypatch.setattr(ContrastiveModule, "on_before_optimizer_step", keep)
    with pytest.raises(Kept):
        run(*places, train__batch_size=30, optim__lr=1e-12, **options)
    return found


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_training_steps_use_cached_gradients(
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


def test_batch_normalisation_is_reported_once(squares: Path, tmp_path: Path) -> None:
    path = tmp_path / "test-resnet.json"
    path.write_text(json.dumps({"embed_dim": 32, "vision_cfg": RESNET, "text_cfg": {**TEXT, "vocab_size": 49408}}))
    report = Recorder()
    run(squares, tmp_path / "out", path, report, train__micro_batch=5, train__epochs=1)
    assert sum("normalises over micro-batches" in text for text in report.texts) == 1
