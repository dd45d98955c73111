"""Soft targets compared with the definition in float64, the teacher's moving average, and both forms of the loss.

OTTER's form is stated as its published code computes it: github.com/facebookresearch/OTTER, commit 0d3c6a0, models/model.py
(compute_dist_loss), models/model_util.py (sinkhorn), models/ema.py, loss/kl_div_loss.py and loss/contrastive_loss.py; its values are
those of launch_scripts/train_OTTER.sh.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from clip_training.config import DistillationConfig, FinetuneConfig, SgdConfig
from clip_training.distillation import SelfDistillation, divergence, follow, momentum_after, sinkhorn, targets
from clip_training.model import Clip
from harness.report import Recorder
from harness.settings import merge

CONFIGS = Path(__file__).resolve().parents[3] / "configs" / "clip"
OTTER = merge(FinetuneConfig, CONFIGS / "otter.yaml", ()).distillation


def plain_sinkhorn(similarity: np.ndarray, eps: float, iterations: int) -> np.ndarray:
    matrix = np.exp(similarity / eps)
    for _ in range(iterations):
        matrix = matrix / matrix.sum(0, keepdims=True)
        matrix = matrix / matrix.sum(1, keepdims=True)
    return matrix


def embeddings(rows: int = 24) -> tuple[torch.Tensor, torch.Tensor]:
    """Unit vectors of images, and of texts near them."""
    generator = torch.Generator().manual_seed(0)
    images = functional.normalize(torch.randn(rows, 16, generator=generator, dtype=torch.float64), dim=1)
    texts = functional.normalize(images + 0.2 * torch.randn(rows, 16, generator=generator, dtype=torch.float64), dim=1)
    return images, texts


def test_targets_are_sinkhorns_of_all_three_similarities() -> None:
    images, texts = embeddings()
    one, other = targets(images, texts, DistillationConfig())
    a, b = images.numpy(), texts.numpy()
    assert np.allclose(one, plain_sinkhorn(a @ a.T + b @ b.T + a @ b.T, 0.05, 3), rtol=1e-10, atol=0)
    assert np.allclose(other, plain_sinkhorn(a @ a.T + b @ b.T + b @ a.T, 0.05, 3), rtol=1e-10, atol=0)


def test_the_right_pair_gets_most() -> None:
    """With the wrong sign the diagonal would be almost zero, although matching pairs are the most similar."""
    images, texts = embeddings()
    for found in targets(images, texts, DistillationConfig()):
        assert found.argmax(1).tolist() == list(range(24))
        assert found.diagonal().min() > 0.5
        assert torch.allclose(found.sum(1), torch.ones(24, dtype=torch.float64))
    wrong = sinkhorn(-(images @ images.T + texts @ texts.T + images @ texts.T), 0.05, 3)
    assert wrong.diagonal().max() < 1e-12


def test_equal_pairs_share_the_target() -> None:
    images, texts = embeddings()
    images[1], texts[1] = images[0], texts[0]
    found, _ = targets(images, texts, DistillationConfig())
    assert found[0, 0] == pytest.approx(found[0, 1])
    assert found[0, :2].sum() > 0.5


def test_a_tiny_temperature_does_not_overflow_single_precision() -> None:
    images, texts = embeddings()
    for eps in (0.05, 0.001):
        found, _ = targets(images.float(), texts.float(), DistillationConfig(eps=eps))
        assert found.isfinite().all()
        assert torch.allclose(found.double(), targets(images, texts, DistillationConfig(eps=eps))[0], atol=1e-3)


def test_the_divergence_is_kullback_and_leiblers() -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(5, 7, generator=generator, dtype=torch.float64)
    target = torch.rand(5, 7, generator=generator, dtype=torch.float64).softmax(1)
    said = logits.softmax(1)
    assert float(divergence(logits, target)) == pytest.approx(float((target * (target / said).log()).sum(1).mean()), rel=1e-12)
    assert float(divergence(target.log(), target)) == pytest.approx(0, abs=1e-12)


def test_the_teacher_keeps_999_thousandths_of_itself() -> None:
    teacher, student = torch.nn.BatchNorm1d(3).double(), torch.nn.BatchNorm1d(3).double()
    student.weight.data += 1
    student.running_mean += 5
    for _ in range(3):
        follow(teacher, student, 0.999)
    assert torch.allclose(teacher.weight, torch.full((3,), 2 - 0.999**3, dtype=torch.float64), rtol=1e-12)
    assert torch.equal(teacher.running_mean, student.running_mean)


def otters_targets(a: np.ndarray, b: np.ndarray, lam: float = 0.15, iterations: int = 5) -> tuple[np.ndarray, np.ndarray]:
    found = []
    away = 100 * np.eye(len(a))
    for across in (a @ b.T, b @ a.T):
        cost = -((a @ a.T - away) + (b @ b.T - away) + across)
        plan = np.exp(-cost / lam)
        plan /= plan.sum()
        for _ in range(iterations):
            plan = plan / plan.sum(1, keepdims=True) / len(a)
            plan = plan / plan.sum(0, keepdims=True) / len(a)
        found.append(plan / plan.sum(1, keepdims=True))
    return found[0], found[1]


def test_otters_targets_are_those_of_its_code() -> None:
    """No pair is a target of itself; what is left says what else is similar."""
    images, texts = embeddings()
    for found, expected in zip(targets(images, texts, OTTER), otters_targets(images.numpy(), texts.numpy()), strict=True):
        assert np.allclose(found, expected, rtol=1e-10, atol=0)
        assert found.diagonal().max() == 0
        assert torch.allclose(found.sum(1), torch.ones(24, dtype=torch.float64))
    for found in targets(images.float(), texts.float(), OTTER):
        assert found.isfinite().all()


def module_of(settings: DistillationConfig) -> SelfDistillation:
    model = torch.nn.Module()
    model.logit_scale = torch.nn.Parameter(torch.tensor(2.0, dtype=torch.float64))
    clip = Clip("stub", model, lambda _: torch.empty(0), lambda image: image, None, 32, 16, torch.zeros(3), torch.ones(3))
    more = {"total_steps": 10, "heldout": None, "batch_size": 24, "identity": {}, "report": Recorder()}
    return SelfDistillation(clip, {}, settings, SgdConfig(), **more).double()


@pytest.mark.parametrize("alpha", [0.5, 0.2])
def test_otters_loss_is_that_of_its_code_with_a_temperature_of_its_own(alpha: float) -> None:
    """alpha times both directions of the contrast and 1 - alpha times both of the divergence, and the gradient of each temperature."""
    images, texts = embeddings()
    student = functional.normalize(images + texts.roll(1, 0), dim=1)
    module = module_of(merge(FinetuneConfig, CONFIGS / "otter.yaml", [("distillation.alpha", alpha)]).distillation)
    module.targets = targets(images, texts, module.distillation)
    loss = module.contrast(student, texts)
    loss.backward()

    starts = 2.0, torch.tensor(3.9).item()  # the second is a parameter of single precision
    contrast, own = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in starts)
    expected = torch.zeros((), dtype=torch.float64)
    for one, other, target in zip((student, texts), (texts, student), otters_targets(images.numpy(), texts.numpy()), strict=True):
        logits = one @ other.T
        expected = expected - alpha * (logits * contrast.exp()).log_softmax(1).diagonal().mean()
        said, soft = (logits * own.exp()).log_softmax(1), torch.from_numpy(target)
        expected = expected + (1 - alpha) * (torch.xlogy(soft, soft) - soft * said).sum() / len(one)
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    assert float(module.model.logit_scale.grad) == pytest.approx(float(contrast.grad), rel=1e-10)
    assert float(module.target_scale.grad) == pytest.approx(float(own.grad), rel=1e-10)
    assert abs(float(own.grad)) > 1e-3


def test_otters_teacher_follows_faster_at_first() -> None:
    """The reference is its code's moving average, which moves before each step, with the number of times that it has moved."""
    students = [0.0, 1.0, 3.0, -2.0, 5.0, 4.0]
    shadow = students[0]
    ours = torch.nn.Linear(1, 1, bias=False).double()
    ours.weight.data.fill_(students[0])
    for step, value in enumerate(students):
        moved = step + 1
        shadow -= (1 - min(0.999, (1 + moved) / (10 + moved))) * (shadow - value)
        if step:  # the code's first move is that of a teacher which equals the student
            student = torch.nn.Linear(1, 1, bias=False).double()
            student.weight.data.fill_(value)
            follow(ours, student, momentum_after(step, OTTER))
        assert ours.weight.item() == pytest.approx(shadow, rel=1e-12)
    assert momentum_after(1, OTTER) == 0.25
    assert momentum_after(10**6, OTTER) == 0.999
    assert momentum_after(1, DistillationConfig()) == 0.999


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("train_clip", DistillationConfig()),
        ("otter", DistillationConfig(0.999, True, 0.15, 5, True, True, True, 3.9, 0.5, 1.0)),
    ],
)
def test_each_form_has_a_config_and_each_value_can_be_set(name: str, expected: DistillationConfig) -> None:
    settings = merge(FinetuneConfig, CONFIGS / f"{name}.yaml", ())
    assert settings.distillation == expected
    assert (settings.optim.lr, settings.optim.momentum, settings.optim.weight_decay) == (3e-3, 0.9, 0.0)
    assert merge(FinetuneConfig, CONFIGS / f"{name}.yaml", [("distillation.eps", 0.3)]).distillation.eps == 0.3


def test_the_target_of_unrelated_embeddings_is_the_identity_unless_the_diagonal_is_removed() -> None:
    """So self-distillation adds only the contrast's own target until the encoders know something: in train-CLIP's form."""
    generator = torch.Generator().manual_seed(2)
    images, texts = (functional.normalize(torch.randn(64, 256, generator=generator, dtype=torch.float64), dim=1) for _ in range(2))
    for found in targets(images, texts, DistillationConfig()):
        assert torch.allclose(found, torch.eye(64, dtype=torch.float64), atol=1e-9)
    for found in targets(images, texts, OTTER):
        assert found.diagonal().max() == 0
        assert found.max() < 0.2
