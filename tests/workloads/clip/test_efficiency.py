"""Options that save memory or time do not change what is learned."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from models import gradients, largest_difference, pairs, small
from runs import run, same
from torch._dynamo.utils import counters
from torch.autograd.graph import saved_tensors_hooks

from clip_training import efficiency
from clip_training.config import LoopConfig, ModelConfig, OptimConfig
from clip_training.efficiency import checkpoint_activations, halve_text, text_parameters
from clip_training.losses import STARTS, make_loss
from clip_training.model import make_clip
from harness.errors import CheckpointError, ParameterError
from harness.report import Recorder
from harness.torch.weights import read_weights


def step(model: torch.nn.Module, count: int = 4) -> tuple[dict[str, torch.Tensor], int]:
    """Gradients of one step, and the elements that its forward pass keeps for the backward pass."""
    dtype = next(model.visual.parameters()).dtype
    kept: list[int] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.numel())
        return tensor

    torch.manual_seed(5)
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        out = model(*pairs(model, count, dtype))
        images, texts = out["image_features"], out["text_features"].to(out["image_features"].dtype)
        loss = make_loss("clip")(images, texts, model.logit_scale.exp(), None)
    loss.backward()
    return gradients(model), sum(kept)


@pytest.mark.parametrize("form", ["vit", "dropping", "resnet", "timm", "timm-resnet"])
def test_checkpointing_gives_the_same_gradients_with_less_memory(form: str) -> None:
    plain, checkpointed = small(form), small(form)
    checkpoint_activations(checkpointed)
    expected, much = step(plain)
    found, little = step(checkpointed)

    assert largest_difference(found, expected) < 1e-12
    assert little < 0.5 * much
    before, after = dict(plain.named_buffers()), dict(checkpointed.named_buffers())
    assert before.keys() == after.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())  # batch statistics too: counted once, not twice
    assert checkpointed.state_dict().keys() == plain.state_dict().keys()


def test_each_tower_is_checkpointed() -> None:
    """Both towers keep less for the backward pass. open_clip's own checkpointing does nothing for its ResNets."""
    for form in ("vit", "resnet"):
        model = small(form)
        checkpoint_activations(model)
        images, tokens = pairs(model, 4)
        for plain, checkpointed in ((small(form).encode_image, model.encode_image), (small(form).encode_text, model.encode_text)):
            kept: list[list[int]] = [[], []]
            for number, embed in enumerate((plain, checkpointed)):
                with saved_tensors_hooks(lambda tensor, into=kept[number]: into.append(tensor.numel()) or tensor, lambda tensor: tensor):
                    embed(tokens if "text" in embed.__name__ else images)
            assert sum(kept[1]) < 0.6 * sum(kept[0]), (form, plain.__name__)


def test_a_tower_that_cannot_be_checkpointed_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: bool) -> None:
        raise AssertionError("gradient checkpointing not supported")

    model = small("timm")
    monkeypatch.setattr(model.visual.trunk, "set_grad_checkpointing", refuse)
    with pytest.raises(ParameterError, match=r"train\.checkpointing=True: VisionTransformer cannot be checkpointed"):
        checkpoint_activations(model)


def test_channels_last_and_compilation_give_the_same_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[torch.nn.Module] = []

    def note(module: torch.nn.Module) -> None:
        compiled.append(module)

    monkeypatch.setattr(torch.nn.Module, "compile", note)  # a compiler takes a minute
    for form in ("vit", "resnet"):
        expected, _ = step(small(form))
        model = small(form)
        efficiency.apply(model, LoopConfig(channels_last=True, compile=True))
        assert all(
            parameter.is_contiguous(memory_format=torch.channels_last) for parameter in model.visual.parameters() if parameter.ndim == 4
        )
        assert largest_difference(step(model)[0], expected) < 1e-12
        assert compiled[-2:] == [model.visual, model.transformer]
        assert model.state_dict().keys() == small(form).state_dict().keys()


def test_compiling_traces_the_towers() -> None:
    """Uses the compiler's front end alone, which finds the graphs; neither tower falls back to eager mode."""
    model = small("vit")
    expected, _ = step(model)
    torch.compiler.reset()
    counters.clear()
    model.visual.compile(backend="eager")
    model.transformer.compile(backend="eager")
    assert largest_difference(step(model)[0], expected) < 1e-12
    assert counters["stats"]["unique_graphs"] >= 2
    torch.compiler.reset()


def test_only_the_text_tower_is_rounded_to_bf16() -> None:
    model = small("vit", bias=-1.0, dtype=torch.float32)
    halve_text(model)
    halves = {name for name, parameter in model.named_parameters() if parameter.dtype == torch.bfloat16}
    others = {name for name, _ in model.named_parameters()} - halves
    assert {"token_embedding.weight", "positional_embedding", "text_projection", "ln_final.bias"} <= halves
    assert all(name.startswith("visual.") or name in ("logit_scale", "logit_bias") for name in others)
    assert len(text_parameters(model)) == len(halves)
    found, _ = step(model)
    expected, _ = step(small("vit", dtype=torch.float32))
    assert torch.linalg.norm(found["visual.conv1.weight"] - expected["visual.conv1.weight"]) < 0.1 * torch.linalg.norm(
        expected["visual.conv1.weight"]
    )


BOOSTED = {
    "train__micro_batch": 4,
    "train__checkpointing": True,
    "train__channels_last": True,
    "train__loss": "siglip",
    "train__precision": "bf16",
    "optim__state_dtype": "int8",
    "optim__text_weights": "bf16",
}


@pytest.mark.parametrize("state_dtype", ["int8", "bf16"])
def test_a_run_with_all_savings_resumes_bit_for_bit(state_dtype: str, squares: Path, tiny_model: Path, tmp_path: Path) -> None:
    options = {**BOOSTED, "optim__state_dtype": state_dtype, "train__epochs": 2}
    whole = run(squares, tmp_path / "whole", tiny_model, **options)
    checkpoint = tmp_path / "whole" / "checkpoints" / "step=00000006.ckpt"
    torch.load(checkpoint, weights_only=True)  # plain tensors: no library's own types
    assert same(run(squares, tmp_path / "resumed", tiny_model, resume=checkpoint, **options), whole)
    assert all(value.dtype == torch.float32 for value in whole.values() if value.is_floating_point())
    with pytest.raises(CheckpointError, match=r"optim\.state_dtype was .*train\.loss|train\.loss was siglip, is now clip"):
        run(squares, tmp_path / "other", tiny_model, resume=checkpoint, train__epochs=2)


def test_a_run_with_all_savings_learns_and_reports_its_memory(squares: Path, undropped_model: Path, tmp_path: Path) -> None:
    report = Recorder()
    options = {**BOOSTED, "optim__state_dtype": "fp32", "train__epochs": 25, "train__validate_every": 25}
    run(squares, tmp_path, undropped_model, report, **options)
    assert report.scalars["recall@1", "image to text"][-1][1] > 6 * report.scalars["recall@1", "chance"][-1][1]
    assert report.scalars["loss", "held out"][-1][1] < 0.7 * report.scalars["loss", "held out"][0][1]
    assert report.scalars["logit scale", "exp"][0][1] == pytest.approx(10, rel=1e-4)
    assert len(report.scalars["memory (GiB)", "peak resident"]) == len(report.scalars["loss", "train"])
    assert all(0.01 < value < 100 for _, value in report.scalars["memory (GiB)", "peak resident"])
    assert report.scalars["recall@1", "image to text, in its training batch"][-1][1] > 0.4


def test_siglip_starts_as_in_its_paper_and_its_bias_is_restored(tiny_model: Path, tmp_path: Path) -> None:
    named = ModelConfig(name=str(tiny_model))
    model = make_clip(named, loss="siglip").model
    assert model.logit_bias.item() == -10
    assert model.logit_scale.exp().item() == pytest.approx(10)
    assert make_clip(named).model.logit_bias is None
    with torch.no_grad():
        model.logit_bias.fill_(-7.5)
    torch.save(model.state_dict(), tmp_path / "siglip.pt")
    assert make_clip(named, tmp_path / "siglip.pt").model.logit_bias.item() == -7.5
    torch.save(make_clip(named).model.state_dict(), tmp_path / "clip.pt")
    assert make_clip(named, tmp_path / "clip.pt", "siglip").model.logit_bias.item() == STARTS["siglip"]["init_logit_bias"]


def test_siglip_s_temperature_is_unlimited_and_clip_s_is_clamped_at_100(squares: Path, tiny_model: Path, tmp_path: Path) -> None:
    clip = make_clip(ModelConfig(name=str(tiny_model)), loss="siglip").model
    with torch.no_grad():
        clip.logit_scale.fill_(5.0)
    torch.save(clip.state_dict(), tmp_path / "hot.pt")
    for loss, highest in (("clip", 100.0), ("siglip", 148.4)):
        folder = tmp_path / loss
        run(squares, folder, tiny_model, init_from=tmp_path / "hot.pt", train__loss=loss, train__epochs=1, optim__lr=1e-9)
        assert float(read_weights(folder / "weights.pt")["logit_scale"].exp()) == pytest.approx(highest, rel=1e-3)


def test_defaults_change_nothing() -> None:
    model = small("vit")
    before = {name: parameter.dtype for name, parameter in model.named_parameters()}
    efficiency.apply(model, LoopConfig(), OptimConfig().text_weights)
    assert {name: parameter.dtype for name, parameter in model.named_parameters()} == before
    assert not model.transformer.grad_checkpointing
