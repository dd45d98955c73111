"""The rows of a table that are nearest to a query: by comparing with all of them, or above 100,000 by an index of faiss.

The index (IndexIVFFlat, Jégou et al. 2011) keeps the rows in lists around centres, and compares a query with the lists of the nearest
centres only. How many lists that takes is measured when it is built, with queries of the kind that it will answer, against the exact
result. Scores are exact either way; what an index can miss is a row.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from harness.files import replaced, sha256, write_json

from .embedding_tables import ROWS

INDEXED = 100_000
"""Rows up to which comparing with all of them takes milliseconds."""
RECALL, BEST = 0.95, 10
"""An index finds this share of the ten best rows, on average over the queries that it is measured with."""
FIRST_PROBES = 8
PER_LIST = 64
"""Rows of each list that its centre is learned from."""
Floats = NDArray[np.float32]
Found = tuple[Floats, NDArray[np.int64]]
"""Scores and rows, (Q, k) each, the best first."""


class Index(Protocol):
    """What can be searched."""

    def search(self, queries: Floats, k: int) -> Found:
        """The `k` best rows for each of `queries` (Q, D), or all rows if there are fewer."""


@dataclass(frozen=True)
class Exact:
    """Compares with every row."""

    vectors: NDArray[Any]

    def search(self, queries: Floats, k: int) -> Found:
        k = min(k, len(self.vectors))
        scores, rows = np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        for start in range(0, len(self.vectors), ROWS):
            part = queries @ self.vectors[start : start + ROWS].astype(np.float32, copy=False).T
            scores = np.concatenate([scores, part], axis=1)
            rows = np.concatenate([rows, np.broadcast_to(np.arange(start, start + part.shape[1]), part.shape)], axis=1)
            best = np.argpartition(-scores, min(k, scores.shape[1]) - 1, axis=1)[:, :k]
            scores, rows = np.take_along_axis(scores, best, axis=1), np.take_along_axis(rows, best, axis=1)
        order = np.lexsort((rows, -scores), axis=1)
        return np.take_along_axis(scores, order, axis=1), np.take_along_axis(rows, order, axis=1)


@dataclass(frozen=True)
class Listed:
    """An index of faiss, and what it is known to find."""

    lists: Any
    exact: Exact
    recall: Mapping[str, float]
    """By kind of query, the share of the ten best rows that it found."""

    def search(self, queries: Floats, k: int) -> Found:
        scores, rows = self.lists.search(np.ascontiguousarray(queries), min(k, len(self.exact.vectors)))
        if (rows < 0).any():  # the lists that were searched hold fewer than k rows
            return self.exact.search(queries, k)
        return scores, rows


def build(vectors: NDArray[Any], queries: Mapping[str, Floats]) -> Listed:
    """An index of unit vectors (N, D), measured with unit vectors (Q, D) of each kind of query."""
    import faiss

    count, width = vectors.shape
    lists = round(4 * count**0.5)
    index = faiss.index_factory(width, f"IVF{lists},Flat", faiss.METRIC_INNER_PRODUCT)
    index.cp.seed, index.cp.spherical = 0, True
    sample = np.sort(np.random.default_rng(0).permutation(count)[: PER_LIST * lists])
    index.train(vectors[sample].astype(np.float32))
    for start in range(0, count, ROWS):
        index.add(np.ascontiguousarray(vectors[start : start + ROWS], np.float32))
    exact = Exact(vectors)
    best = {kind: exact.search(values, BEST)[1] for kind, values in queries.items()}
    probes = FIRST_PROBES
    while True:
        index.nprobe = min(probes, lists)
        recall = {kind: recall_of(index.search(values, BEST)[1], best[kind]) for kind, values in queries.items()}
        if min(recall.values()) >= RECALL or index.nprobe == lists:
            return Listed(index, exact, recall)
        probes *= 2


def recall_of(found: NDArray[np.int64], best: NDArray[np.int64]) -> float:
    """The share of the best rows (Q, k) that were found, in whatever order."""
    return float(np.mean([np.isin(right, rows).mean() for rows, right in zip(found, best, strict=True)]))


def index_for(
    vectors: NDArray[Any], queries: Callable[[], Mapping[str, Floats]], table: Path | None, say: Callable[[str], None], exact: bool = False
) -> Index:
    """How to search these vectors: exactly up to INDEXED rows, or if `exact`; else by the index kept beside their table.

    An index that is missing, damaged or of another state of the table is built.

    Args:
        vectors: (N, D), of norm 1.
        queries: makes the queries to measure an index with.
        table: the file of the vectors; None keeps no index.
        say: receives what is done that takes long.
        exact: whether to compare with every row, however many there are.
    """
    if exact or len(vectors) <= INDEXED:
        return Exact(vectors)
    digest = sha256(table) if table else ""
    if table and (kept := read_index(table, digest, vectors, say)):
        return kept
    say(f"building an index of {len(vectors)} embeddings; exact=True compares with all of them instead")
    index = build(vectors, queries())
    say(f"the index finds these shares of the {BEST} best: {', '.join(f'{kind} {share:.3f}' for kind, share in index.recall.items())}")
    if table:
        try:
            write_index(table, digest, index)
        except OSError as error:
            say(f"the index is not kept: {error}")
    return index


def places(table: Path) -> tuple[Path, Path]:
    """The files of a table's index, and of what is known about it."""
    return table.with_name(f"{table.name}.index"), table.with_name(f"{table.name}.index.json")


def write_index(table: Path, digest: str, index: Listed) -> None:
    import faiss

    path, about = places(table)
    with replaced(path) as beside:
        try:
            faiss.write_index(index.lists, str(beside))
        except RuntimeError as error:  # faiss raises no other, also when a disk is full or a folder cannot be written
            raise OSError(str(error)) from error
    write_json(about, {"table": digest, "bytes": path.stat().st_size, "probes": index.lists.nprobe, "recall": dict(index.recall)})


def read_index(table: Path, digest: str, vectors: NDArray[Any], say: Callable[[str], None]) -> Listed | None:
    """The index beside a table; None if there is none that is whole and of this state of the table, which is said."""
    import faiss

    path, about = places(table)
    if not path.is_file():
        return None
    try:
        stated = json.loads(about.read_text())
        if stated["table"] != digest:
            say(f"{path} is of another state of the table, and is built again")
            return None
        if stated["bytes"] != path.stat().st_size:
            raise ValueError(f"it has {path.stat().st_size} of {stated['bytes']} bytes")
        lists = faiss.read_index(str(path), faiss.IO_FLAG_MMAP)
        lists.nprobe = int(stated["probes"])
        return Listed(lists, Exact(vectors), stated["recall"])
    except (OSError, ValueError, LookupError, TypeError, RuntimeError) as error:
        say(f"{path} cannot be used, and is built again: {error}")
        return None
