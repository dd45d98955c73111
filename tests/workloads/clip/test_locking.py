"""Locked towers stay as they are to the bit, and the groups that are locked are those that open_clip locks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from models import FORMS, TEXT, gradients, largest_difference, pairs, small
from runs import run, same
from support.training import broken_off_at
from torch import nn
from transformers import BertConfig, BertModel, DistilBertConfig, DistilBertModel

from clip_training.config import LockConfig
from clip_training.contrastive_module import ContrastiveModule
from clip_training.efficiency import checkpoint_activations
from clip_training.encoders import ImageTower, TextTower, TwoEncoders
from clip_training.gradient_caching import cached_loss
from clip_training.locking import lock
from harness.checkpoint import find
from harness.errors import CheckpointError, ParameterError
from harness.report import Recorder

BLOCKS = {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 48, "vocab_size": 30}
LOCK = {"lock__image": True, "lock__image_unlocked": 1, "lock__text": True, "lock__text_unlocked": 1}


def trained(model: nn.Module) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def of_image(model: nn.Module) -> set[str]:
    return {name for name, _ in model.named_parameters() if name.startswith("visual.")}


def two_encoders(image: nn.Module, text: nn.Module) -> TwoEncoders:
    return TwoEncoders(ImageTower(image, 32, 24), TextTower(text, 24, average=True))


@pytest.mark.parametrize("form", ["vit", "resnet", "timm"])
def test_a_tower_is_locked_as_a_whole(form: str) -> None:
    """Of timm's, open_clip adds the projection itself and leaves it unlocked."""
    model = small(form)
    everything = {name for name, _ in model.named_parameters()}
    assert lock(model, LockConfig(image=True)) == []
    head = {name for name in everything if name.startswith("visual.head.")}
    assert trained(model) == everything - of_image(model) | head
    assert bool(head) == (form == "timm")
    model = small(form)
    lock(model, LockConfig(text=True))
    assert trained(model) == of_image(model) | {"logit_scale"}


def test_the_last_groups_stay_unlocked() -> None:
    """The groups are those that open_clip documents: the projection, and each block from the last one on, with the norm after it."""
    model = small("vit")
    lock(model, LockConfig(image=True, image_unlocked=2, text=True, text_unlocked=1))
    last = {name for name in of_image(model) if name.startswith(("visual.transformer.resblocks.1.", "visual.ln_post."))}
    assert len(last) > 8
    assert trained(model) == last | {"visual.proj", "text_projection", "logit_scale"}


def test_the_first_blocks_of_a_timm_tower_can_be_locked() -> None:
    model = small("timm")
    lock(model, LockConfig(image=True, image_unlocked=3))
    locked = of_image(model) - trained(model)
    assert {name.split(".")[3] for name in locked if ".blocks." in name} == {str(number) for number in range(9)}
    assert {"visual.trunk.cls_token", "visual.trunk.pos_embed", "visual.trunk.patch_embed.proj.weight"} <= locked


@pytest.mark.parametrize("unlocked", [0, 1])
def test_the_encoders_of_finetune_are_locked_below_their_projections(unlocked: int) -> None:
    """Expected is what open_clip's HFTextEncoder unlocks of a RoBERTa, whose modules have the same names as BERT's."""
    trunk = open_clip.model.CLIP(32, {**FORMS["vit"]["vision_cfg"]}, TEXT).visual
    model = two_encoders(trunk, BertModel(BertConfig(**BLOCKS)))
    everything = {name for name, _ in model.named_parameters()}
    lock(model, LockConfig(image=True, text=True, text_unlocked=unlocked))
    ours = {name for name in everything if ".projection." in name}
    last = {name for name in everything if name.startswith("text.transformer.encoder.layer.1.")}
    assert len(last) > 8
    assert trained(model) == ours | {"logit_scale"} | (last if unlocked else set())


@pytest.mark.parametrize(
    ("form", "settings", "message"),
    [
        ("resnet", LockConfig(image=True, image_unlocked=1), r"lock\.image_unlocked=1: ModifiedResNet can only be locked as a whole"),
        ("vit", LockConfig(image=True, image_unlocked=9), r"lock\.image_unlocked=9: leaves nothing of the image tower locked"),
        ("timm", LockConfig(image=True, image_unlocked=99), r"lock\.image_unlocked=99: leaves nothing of the image tower locked"),
        ("vit", LockConfig(text=True, text_unlocked=9), r"lock\.text_unlocked=9: leaves nothing of the text tower locked"),
        ("timm", LockConfig(text=True, text_unlocked=9), r"lock\.text_unlocked=9: leaves nothing of the text tower locked"),
        ("vit", LockConfig(image=True, text=True), "lock all weights"),
    ],
)
def test_a_lock_that_would_do_something_else_is_refused(form: str, settings: LockConfig, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        lock(small(form), settings)


def test_a_transformer_that_open_clip_does_not_know_is_locked_as_a_whole_only() -> None:
    config = DistilBertConfig(n_layers=2, dim=32, hidden_dim=48, n_heads=2, vocab_size=30)
    model = two_encoders(nn.Linear(3, 32), DistilBertModel(config))
    lock(model, LockConfig(text=True))
    assert not any(name.startswith("text.transformer.") for name in trained(model))
    with pytest.raises(ParameterError, match=r"lock\.text_unlocked=1: a distilbert can only be locked as a whole"):
        lock(model, LockConfig(text=True, text_unlocked=1))


def test_frozen_statistics_are_open_clips_and_stay_in_the_state_dict() -> None:
    """The reference is open_clip's own lock, which replaces the layers by FrozenBatchNorm2d."""
    model, reference = small("resnet"), small("resnet")
    images, _ = pairs(model)
    for each in (model, reference):  # statistics that differ from those of the batch below
        each.encode_image(images * 3 + 1)
    frozen = lock(model, LockConfig(image=True, bn_stats=True))
    reference.lock_image_tower(freeze_bn_stats=True)
    assert len(frozen) == sum(isinstance(module, nn.BatchNorm2d) for module in model.modules()) > 10
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert torch.allclose(model.encode_image(images), reference.encode_image(images), rtol=1e-10)
    assert same(before, model.state_dict())
    assert any(name.endswith("num_batches_tracked") for name in before)

    free = small("resnet")
    lock(free, LockConfig(image=True))
    before = {name: value.clone() for name, value in free.state_dict().items()}
    free.encode_image(images)
    assert not same(before, free.state_dict())


@pytest.mark.parametrize("unlocked", [0, 1])
def test_gradients_are_those_of_the_unlocked_model_with_gradient_caching_and_checkpointing_too(unlocked: int) -> None:
    def loss(images: torch.Tensor, texts: torch.Tensor) -> torch.Tensor:
        return open_clip.ClipLoss()(images, texts, model.logit_scale.exp())

    towers = [lambda part: model.encode_image(part[0], normalize=True), lambda part: model.encode_text(part[1], normalize=True)]
    model = small("vit")
    images, tokens = pairs(model)
    loss(*(tower((images, tokens)) for tower in towers)).backward()
    whole = gradients(model)
    lock(model, LockConfig(image=True, image_unlocked=unlocked))
    checkpoint_activations(model)
    cached_loss(model, towers, list(zip(images.split(4), tokens.split(4), strict=True)), loss).backward()
    found = gradients(model)
    assert found.keys() == trained(model)
    assert largest_difference(found, {name: whole[name] for name in found}) < 1e-13


def test_locked_weights_are_equal_to_the_bit_and_the_optimizer_does_not_know_them(
    squares: Path, undropped_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resumed run, too. The optimizer's state in the checkpoint has two statistics of each trained weight and no other."""
    start: list[dict[str, Any]] = []
    begin = ContrastiveModule.on_fit_start

    def keep(module: ContrastiveModule) -> None:
        start.append({name: value.clone() for name, value in module.model.state_dict().items()})
        begin(module)

    monkeypatch.setattr(ContrastiveModule, "on_fit_start", keep)
    report = Recorder()
    unbroken = run(squares, tmp_path / "unbroken", undropped_model, report, **LOCK)
    learned = {"visual.proj", "text_projection", "logit_scale"}
    assert {name for name, value in unbroken.items() if not torch.equal(value, start[0][name])} == learned
    assert any("starts from random weights, those that lock keeps included" in text for text in report.texts)
    optimizer = torch.load(find(tmp_path / "unbroken"), weights_only=True)["optimizer_states"][0]
    assert len(optimizer["state"]) == len(learned)
    with broken_off_at(6):
        run(squares, tmp_path / "broken", undropped_model, **LOCK)
    assert same(run(squares, tmp_path / "broken", undropped_model, resume=find(tmp_path / "broken"), **LOCK), unbroken)
    with pytest.raises(CheckpointError, match=r"lock\.image_unlocked was 1, is now 0"):
        run(
            tmp_path / "nowhere",
            tmp_path / "other",
            undropped_model,
            resume=find(tmp_path / "unbroken"),
            **LOCK | {"lock__image_unlocked": 0},
        )


def test_a_locked_text_tower_is_not_rounded(squares: Path, tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"optim\.text_weights: must be fp32 with lock\.text"):
        run(squares, tmp_path, tiny_model, lock__text=True, optim__text_weights="bf16")
