"""Nearest rows: exact ones equal a plain sort, and an index finds nearly all of them, stays beside its table, and is made again in time."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from clip_training import embedding_tables, vector_index
from clip_training.vector_index import INDEXED, RECALL, Exact, Listed, index_for, places

WIDTH = 16


def unit_vectors(count: int, seed: int) -> NDArray[np.float32]:
    """In all directions alike, which is the hardest case for an index: there are no groups."""
    vectors = np.random.default_rng(seed).standard_normal((count, WIDTH), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def plain(vectors: NDArray[np.float32], query: NDArray[np.float32], k: int) -> list[int]:
    return np.argsort(-(vectors @ query))[:k].tolist()


@pytest.mark.parametrize("k", [1, 7, 50, 51])
def test_the_exact_rows_are_those_of_a_plain_sort(k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compared in pieces; of 50 rows there are no 51."""
    monkeypatch.setattr(vector_index, "ROWS", 8)
    vectors, queries = unit_vectors(50, 0), unit_vectors(3, 1)
    scores, rows = Exact(vectors).search(queries, k)
    assert rows.tolist() == [plain(vectors, query, k) for query in queries]
    np.testing.assert_allclose(scores, [(vectors @ query)[found] for query, found in zip(queries, rows, strict=True)], atol=1e-6)
    assert Exact(vectors.astype(np.float16)).search(queries, k)[0].dtype == np.float32


def test_an_index_of_over_100_000_random_vectors_finds_nearly_all_of_the_ten_best() -> None:
    """Also for queries that it was not measured with."""
    vectors = unit_vectors(INDEXED + 1, 0)
    said: list[str] = []
    index = index_for(vectors, lambda: {"of sentences": unit_vectors(50, 1)}, None, said.append)
    assert isinstance(index, Listed)
    assert index.recall["of sentences"] >= RECALL
    assert "the index finds these shares of the 10 best: of sentences 0.9" in said[1] or "1.000" in said[1]
    queries = unit_vectors(100, 2)
    scores, rows = index.search(queries, 10)
    shares = [len({*plain(vectors, query, 10)} & {*found.tolist()}) / 10 for query, found in zip(queries, rows, strict=True)]
    assert np.mean(shares) > 0.9
    np.testing.assert_allclose(scores[0], vectors[rows[0]] @ queries[0], atol=1e-5)
    assert (index.search(queries[:1], INDEXED)[1][0] == Exact(vectors).search(queries[:1], INDEXED)[1][0]).all()  # more than it can find


def test_a_small_table_or_an_exact_search_needs_no_index() -> None:
    for vectors, exact in ((unit_vectors(INDEXED, 0), False), (unit_vectors(INDEXED + 1, 0), True)):
        assert isinstance(index_for(vectors, dict, None, print, exact), Exact)


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that stands for one of 300 vectors, which count as many."""
    monkeypatch.setattr(vector_index, "INDEXED", 100)
    (tmp_path / "t.npz").write_bytes(b"one")
    return tmp_path / "t.npz"


def kept(table: Path) -> tuple[Listed, list[str]]:
    said: list[str] = []
    index = index_for(unit_vectors(300, 0), lambda: {"of rows": unit_vectors(5, 1)}, table, said.append)
    assert isinstance(index, Listed)
    return index, said


def test_an_index_is_kept_beside_its_table(table: Path) -> None:
    first, said = kept(table)
    assert said[0].startswith("building an index of 300 embeddings")
    second, said = kept(table)
    assert said == []
    assert second.recall == first.recall
    query = unit_vectors(4, 3)
    for one, other in zip(first.search(query, 5), second.search(query, 5), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("damage", ["table", "cut", "no json", "wild json"])
def test_a_stale_or_damaged_index_is_built_again_and_said(damage: str, table: Path) -> None:
    kept(table)
    index, about = places(table)
    if damage == "table":
        table.write_bytes(b"two")
    elif damage == "cut":
        index.write_bytes(index.read_bytes()[:-100])
    elif damage == "no json":
        about.unlink()
    else:
        about.write_text("[]")
    _, said = kept(table)
    assert "built again" in said[0]
    assert said[1].startswith("building")
    assert json.loads(about.read_text())["bytes"] == index.stat().st_size
    assert kept(table)[1] == []


def test_an_index_that_cannot_be_kept_is_used_all_the_same(table: Path) -> None:
    places(table)[1].mkdir()  # a folder in the place of the file; permissions do not stop root
    _, said = kept(table)
    assert said[-1].startswith("the index is not kept: ")


def test_rows_that_are_no_unit_vectors_are_found_in_every_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_tables, "ROWS", 8)
    vectors = unit_vectors(30, 0)
    vectors[3], vectors[9, 2], vectors[20, 0], vectors[29] = 0, np.nan, np.inf, 1e30
    assert embedding_tables.faults_of(vectors) == [3, 9, 20, 29]
    assert embedding_tables.faults_of(unit_vectors(30, 0).astype(np.float16)) == []
