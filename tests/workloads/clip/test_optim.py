"""Parameter groups and schedule, against the paper and the closed form."""

from __future__ import annotations

import math

import open_clip
import pytest
import torch

from clip_training.config import OptimConfig
from clip_training.optim import cosine_with_warmup, make_optimizer, parameter_groups, warmup_within


@pytest.fixture(scope="module", params=["ViT-B-32", "RN50"])
def model(request: pytest.FixtureRequest) -> torch.nn.Module:
    return open_clip.create_model(request.param, load_weights=False)


def test_gains_biases_and_temperature_do_not_decay(model: torch.nn.Module) -> None:
    groups = parameter_groups(model, 0.2)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decayed, free = ({names[id(p)] for p in group["params"]} for group in groups)
    gains = {
        f"{name}.{kind}"
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.LayerNorm | torch.nn.BatchNorm2d)
        for kind in ("weight", "bias")
    }

    assert [group["weight_decay"] for group in groups] == [0.2, 0.0]
    assert decayed.isdisjoint(free)
    assert decayed | free == set(names.values())
    assert gains <= free
    assert {name for name in names.values() if name.endswith("bias")} <= free
    assert "logit_scale" in free
    assert {"token_embedding.weight", "text_projection", "positional_embedding", "visual.conv1.weight"} <= decayed


def test_the_papers_betas_by_family(model: torch.nn.Module) -> None:
    optimizer = make_optimizer(model, OptimConfig())
    is_vit = hasattr(model.visual, "transformer")
    expected = ((0.9, 0.98), 1e-6) if is_vit else ((0.9, 0.999), 1e-8)
    assert all((group["betas"], group["eps"]) == expected for group in optimizer.param_groups)
    stated = make_optimizer(model, OptimConfig(beta2=0.95, eps=1e-5))
    assert stated.defaults["betas"] == (0.9, 0.95)
    assert stated.defaults["eps"] == 1e-5


def test_the_schedule_is_a_warm_up_and_half_a_cosine() -> None:
    warmup, total = 10, 110
    factors = [cosine_with_warmup(step, warmup, total) for step in range(total + 5)]

    assert factors[:10] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    assert factors[10] == 1
    assert factors[60] == pytest.approx(0.5)
    assert factors[35] == pytest.approx((1 + math.sqrt(0.5)) / 2)
    assert factors[109] == pytest.approx((1 - math.cos(math.pi / 100)) / 2)
    assert factors[110:] == [0] * 5
    assert cosine_with_warmup(0, 0, 4) == 1


@pytest.mark.parametrize(("stated", "total", "expected"), [(10, 110, 10), (110, 110, 11), (2000, 9, 0), (0, 4, 0), (3, 4, 3)])
def test_a_run_that_is_not_longer_than_its_warmup_warms_up_for_a_tenth(stated: int, total: int, expected: int) -> None:
    assert warmup_within(stated, total) == expected
