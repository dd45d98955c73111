"""Recall, chance and loss against a plain recomputation in float64."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from open_clip import ClipLoss

from clip_training.losses import make_loss
from clip_training.retrieval import chance_of, contrastive_loss, retrieval


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def plain_recall(queries: np.ndarray, candidates: np.ndarray, texts: list[str], k: int) -> float:
    """For each query, sort all candidates and check whether one with the right text is among the first k."""
    hits = 0
    for number, query in enumerate(queries):
        order = sorted(range(len(texts)), key=lambda j: -float(query @ candidates[j]))
        hits += texts[number] in [texts[j] for j in order[:k]]
    return hits / len(texts)


def plain_loss(images: np.ndarray, texts: np.ndarray, scale: float) -> float:
    logits = scale * images @ texts.T

    def cross_entropy(rows: np.ndarray) -> float:
        return float(np.mean([np.log(np.exp(row - row.max()).sum()) + row.max() - row[i] for i, row in enumerate(rows)]))

    return (cross_entropy(logits) + cross_entropy(logits.T)) / 2


@pytest.mark.parametrize("distinct", [40, 12])
def test_recall_equals_the_plain_count(distinct: int) -> None:
    rng = np.random.default_rng(0)
    names = [f"caption {number % distinct}" for number in range(40)]
    vectors = {name: rng.normal(size=8) for name in names}
    texts = unit(np.array([vectors[name] for name in names]))  # equal captions have equal embeddings
    images = unit(texts + rng.normal(size=texts.shape) * 0.5)
    result = retrieval(torch.from_numpy(images), torch.from_numpy(texts), names)

    for k in (1, 5, 10):
        assert result.recall["text to image", k] == pytest.approx(plain_recall(texts, images, names, k))
        if distinct == 40:
            assert result.recall["image to text", k] == pytest.approx(plain_recall(images, texts, names, k))
    best = (images @ texts.T).argmax(1)
    assert [names[j] for j in result.best[:, 0].tolist()] == [names[j] for j in best]


def test_a_model_with_constant_scores_finds_nothing() -> None:
    same = torch.ones(20, 4) / 2
    assert set(retrieval(same, same, [str(i) for i in range(20)]).recall.values()) == {0.0}


def test_captions_of_equal_text_count_as_one() -> None:
    texts = torch.eye(3)[[0, 0, 1]]
    result = retrieval(texts, texts, ["same", "same", "other"])
    assert result.recall["image to text", 1] == 1
    assert result.recall["text to image", 1] == 1
    assert result.chance[1] == pytest.approx((2 / 3 + 2 / 3 + 1 / 3) / 3)


@pytest.mark.parametrize(("candidates", "right", "k"), [(6, 1, 1), (6, 2, 3), (5, 3, 2), (4, 1, 5)])
def test_chance_is_the_share_of_orders_that_hit(candidates: int, right: int, k: int) -> None:
    orders = list(itertools.permutations(range(candidates)))
    hits = sum(any(place < right for place in order[:k]) for order in orders)
    assert chance_of(candidates, right, k) == pytest.approx(hits / len(orders))


def test_the_loss_equals_float64_by_hand() -> None:
    rng = np.random.default_rng(1)
    images, texts = unit(rng.normal(size=(10, 6))), unit(rng.normal(size=(10, 6)))
    arguments = torch.from_numpy(images), torch.from_numpy(texts), torch.tensor(14.3, dtype=torch.float64)

    whole = plain_loss(images, texts, 14.3)
    assert contrastive_loss(*arguments, batch_size=50) == pytest.approx(whole, rel=1e-12)
    assert float(ClipLoss()(*arguments)) == pytest.approx(whole, rel=1e-12)  # what training uses
    halves = [plain_loss(images[i : i + 4], texts[i : i + 4], 14.3) for i in (0, 4)]
    assert contrastive_loss(*arguments, batch_size=4) == pytest.approx(np.mean(halves), rel=1e-12)


def test_siglip_s_loss_equals_float64_by_hand() -> None:
    rng = np.random.default_rng(2)
    images, texts = unit(rng.normal(size=(10, 6))), unit(rng.normal(size=(10, 6)))
    logits = 9.0 * images @ texts.T - 4.0
    signs = 2 * np.eye(10) - 1
    whole = float(np.log1p(np.exp(-signs * logits)).sum() / 10)  # each pair against all texts, a mean over images
    towers = torch.from_numpy(images), torch.from_numpy(texts)
    scale, bias = torch.tensor(9.0, dtype=torch.float64), torch.tensor(-4.0, dtype=torch.float64)
    assert contrastive_loss(*towers, scale, 50, make_loss("siglip"), bias) == pytest.approx(whole, rel=1e-12)
