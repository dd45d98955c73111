"""Learning rates of towers and blocks, against the rule stated by hand: BEiT's, as in timm."""

from __future__ import annotations

import open_clip
import pytest
import timm
import torch
from models import FORMS, TEXT, small
from torch import nn
from transformers import BertConfig, BertModel

from clip_training.config import OptimConfig, RatesConfig, SgdConfig
from clip_training.encoders import ImageTower, TextTower, TwoEncoders
from clip_training.optim import make_optimizer, parameter_groups
from harness.errors import ParameterError


def rates(model: nn.Module, settings: RatesConfig, lr: float = 1.0) -> dict[str, float]:
    """Each parameter's learning rate in the optimizer."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    optimizer = make_optimizer(model, SgdConfig(lr=lr), rates=settings)
    found = {names[p]: group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert found.keys() == set(names.values())
    return found


def test_a_block_has_the_share_of_the_block_after_it() -> None:
    """Two blocks in each tower: the projection has the tower's rate, then decay, decay squared, and decay cubed for the embeddings."""
    found = rates(small("vit"), RatesConfig(layer_decay=0.5, image=0.1, text=2.0), lr=3.0)
    for name, expected in {
        "visual.proj": 0.3,
        "visual.ln_post.weight": 0.15,
        "visual.transformer.resblocks.1.mlp.c_fc.weight": 0.15,
        "visual.transformer.resblocks.0.attn.in_proj_bias": 0.075,
        "visual.conv1.weight": 0.0375,
        "visual.class_embedding": 0.0375,
        "visual.positional_embedding": 0.0375,
        "visual.ln_pre.bias": 0.0375,
        "text_projection": 6.0,
        "ln_final.bias": 3.0,
        "transformer.resblocks.1.ln_1.weight": 3.0,
        "transformer.resblocks.0.ln_1.weight": 1.5,
        "token_embedding.weight": 0.75,
        "positional_embedding": 0.75,
        "logit_scale": 3.0,
    }.items():
        assert found[name] == pytest.approx(expected), name


def test_a_resnets_blocks_are_its_bottlenecks() -> None:
    """Five of them in four stages: the pooling after them has the whole rate."""
    found = rates(small("resnet"), RatesConfig(layer_decay=0.5))
    assert found["visual.attnpool.c_proj.weight"] == 1
    for number, block in enumerate(("layer4.0", "layer3.0", "layer2.0", "layer1.1", "layer1.0"), 1):
        assert found[f"visual.{block}.conv2.weight"] == 0.5**number
    assert found["visual.conv1.weight"] == found["visual.bn3.bias"] == 0.5**6


def test_timms_towers_have_timms_own_rates() -> None:
    """The reference is timm's function on the classifier, whose head takes the place of the projection."""
    trunk = timm.create_model("vit_tiny_patch16_224", num_classes=32)
    groups = timm.optim.param_groups_layer_decay(trunk, layer_decay=0.7)
    names = {parameter: name for name, parameter in trunk.named_parameters()}
    expected = {names[p]: group["lr_scale"] for group in groups for p in group["params"]}
    found = rates(small("timm"), RatesConfig(layer_decay=0.7))
    compared = {name: rate for name, rate in found.items() if name.startswith("visual.trunk.")}
    assert len(compared) > 100
    for name, rate in compared.items():
        assert rate == pytest.approx(expected[name.removeprefix("visual.trunk.")]), name
    assert found["visual.head.proj.weight"] == 1


def test_finetunes_towers_too() -> None:
    text = BertModel(BertConfig(num_hidden_layers=2, hidden_size=32, num_attention_heads=2, intermediate_size=48, vocab_size=30))
    for trunk, first in (
        (open_clip.model.CLIP(32, FORMS["vit"]["vision_cfg"], TEXT).visual, "visual.trunk.conv1.weight"),
        (timm.create_model("test_vit", num_classes=0), "visual.trunk.patch_embed.proj.weight"),
    ):
        found = rates(TwoEncoders(ImageTower(trunk, 32, 24), TextTower(text, 24, average=True)), RatesConfig(layer_decay=0.5))
        assert found["visual.projection.weight"] == found["text.projection.weight"] == 1
        assert found[first] == min(rate for name, rate in found.items() if name.startswith("visual.")) < 0.5
        assert found["text.transformer.encoder.layer.1.output.dense.weight"] == 0.5
        assert found["text.transformer.encoder.layer.0.output.dense.weight"] == 0.25
        assert found["text.transformer.embeddings.word_embeddings.weight"] == 0.125


def test_a_tower_of_unknown_blocks_is_refused() -> None:
    model = TwoEncoders(
        ImageTower(nn.Linear(3, 32), 32, 24), TextTower(BertModel(BertConfig(num_hidden_layers=1, vocab_size=30)), 24, True)
    )
    with pytest.raises(ParameterError, match=r"rates\.layer_decay: the blocks of a Linear are not known"):
        rates(model, RatesConfig(layer_decay=0.5))
    assert rates(model, RatesConfig(image=0.5))["visual.trunk.weight"] == 0.5


def test_the_groups_without_rates_are_in_the_order_of_earlier_checkpoints() -> None:
    """An optimizer's state is stored by the place of each parameter in its groups."""
    model = small("vit")
    groups = parameter_groups(model, 0.2, dict.fromkeys(model.parameters(), 1.0))
    assert [group["weight_decay"] for group in groups] == [0.2, 0.0]
    order = [p for p in model.parameters() if p.ndim >= 2]
    assert all(a is b for a, b in zip(groups[0]["params"], order, strict=True))


def test_the_first_group_has_the_highest_rate_which_is_the_one_reported() -> None:
    optimizer = make_optimizer(small("vit", dtype=torch.float32), OptimConfig(lr=1e-3), rates=RatesConfig(layer_decay=0.5))
    assert optimizer.param_groups[0]["lr"] == 1e-3 == max(group["lr"] for group in optimizer.param_groups)
