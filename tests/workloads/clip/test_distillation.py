"""Soft targets compared with the definition in float64, and the teacher's moving average."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from clip_training.config import DistillationConfig
from clip_training.distillation import divergence, follow, sinkhorn, targets


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
