"""Tables of embeddings: a row for each image or text, and a statement of the model that made them.

An `.npz` file holds `embedding` (N, D), normalised, `path` or `text` (N,), and `about`, a text in JSON. Numpy reads it alone:

    table = np.load("table.npz")
    table["embedding"], table["path"]

A `.csv` file has a row for each image or text, and a column for each dimension. It has no place for a statement of the model.
"""

from __future__ import annotations

import csv
import json
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from harness.errors import DataError
from harness.files import replaced

from .config import TABLES

DTYPES: dict[str, np.dtype[Any]] = {"fp32": np.dtype("<f4"), "fp16": np.dtype("<f2")}
COLUMNS = {"images": "path", "texts": "text"}
"""The name of the rows' column, by kind of table."""
MADE_BY = "clip_training.embed"
LARGEST = 4 << 30
"""Bytes of an .npz file's names, which numpy stores and reads with the width of the longest."""
OFF = {np.dtype("<f4"): 1e-3, np.dtype("<f2"): 1e-2}
"""How far from 1 a row's norm may be: rounding, and not more."""
ROWS = 65536
"""Rows computed with at once, so that memory stays bounded."""
Chunk = tuple[list[str], NDArray[Any]]
"""Names, and embeddings (n, D)."""


@dataclass(frozen=True)
class Table:
    """Embeddings in memory."""

    names: Sequence[str]
    """Paths of images, relative to `about["root"]`, or texts."""
    vectors: NDArray[Any]
    """(N, D), float32 or float16, each row of norm 1."""
    about: Mapping[str, Any]
    """`kind` (images or texts), `model`, `digest`, `width`, where the weights came from, and what was left out."""

    def __len__(self) -> int:
        return len(self.names)

    @property
    def of_images(self) -> bool:
        return bool(self.about["kind"] == "images")


def check_names(path: Path, names: Sequence[str]) -> None:
    """Check that a table of these rows can be written, before hours of work.

    Raises:
        DataError: for an .npz file with a name so long that all names together would need LARGEST bytes.
    """
    longest = max(map(len, names), default=0)
    if path.suffix == ".npz" and longest * len(names) * 4 > LARGEST:
        raise DataError(f"{path}: {len(names)} rows with names of up to {longest} characters are too many for an .npz; name a .csv")


def write_table(path: Path, chunks: Iterable[Chunk], count: int, dtype: np.dtype[Any], about: Mapping[str, Any]) -> None:
    """Write a table of `count` rows from chunks of it. The file appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced(path) as beside:
        WRITERS[path.suffix](beside, chunks, (count, int(about["width"])), dtype, about)


def write_npz(path: Path, chunks: Iterable[Chunk], shape: tuple[int, int], dtype: np.dtype[Any], about: Mapping[str, Any]) -> None:
    names: list[str] = []
    with zipfile.ZipFile(path, "w") as archive:
        with archive.open("embedding.npy", "w", force_zip64=True) as handle:
            npy.write_array_header_1_0(handle, {"descr": dtype.str, "fortran_order": False, "shape": shape})
            for part, vectors in chunks:
                names += part
                handle.write(np.ascontiguousarray(vectors, dtype).tobytes())
        for name, values in ((COLUMNS[about["kind"]], np.array(names, str)), ("about", np.array(json.dumps(about)))):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as handle:
                npy.write_array(handle, values, allow_pickle=False)


def write_csv(path: Path, chunks: Iterable[Chunk], shape: tuple[int, int], dtype: np.dtype[Any], about: Mapping[str, Any]) -> None:
    digits = np.finfo(dtype).precision + 3  # enough for reading the same number
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as handle:
        rows = csv.writer(handle)
        rows.writerow([COLUMNS[about["kind"]], *range(shape[1])])
        for names, vectors in chunks:
            rows.writerows([name, *(f"{value:.{digits}g}" for value in row)] for name, row in zip(names, vectors, strict=True))


WRITERS = dict(zip(TABLES, (write_npz, write_csv), strict=True))


def read_table(path: Path) -> Table:
    """A table of `command=embed`, checked.

    Raises:
        DataError: for any other file, and for one whose rows are not unit vectors or whose paths are not all different.
    """
    table = Table(*contents(path))
    if not len(table):
        raise DataError(f"{path}: the table is empty")
    if faulty := faults_of(table.vectors):
        which = ", ".join(table.names[row] for row in faulty[:3])
        raise DataError(f"{path}: {len(faulty)} of {len(table)} embeddings are not finite or not of norm 1: {which}; embed them again")
    if table.of_images and len(set(table.names)) < len(table):
        name, count = Counter(table.names).most_common(1)[0]
        raise DataError(f"{path}: {len(table) - len(set(table.names))} paths are repeated; {name} is there {count} times")
    return table


def contents(path: Path) -> tuple[list[str], NDArray[Any], dict[str, Any]]:
    """Names, vectors and statement of a table."""
    if not path.is_file():
        raise DataError(f"table={path}: there is no such file")
    if path.suffix == ".csv":
        raise DataError(f"table={path}: a .csv does not state its model, so it is for other programs; search a table.npz")
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as stored:  # numpy does not close a damaged file that it opened
            about = json.loads(str(stored["about"]))
            if about["made by"] != MADE_BY:
                raise ValueError(f"it was made by {about['made by']}")
            names, vectors = stored[COLUMNS[about["kind"]]].tolist(), stored["embedding"]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise DataError(f"table={path}: is no table of command=embed, which states its model ({type(error).__name__}: {error})") from error
    if vectors.shape != (len(names), about["width"]) or vectors.dtype not in OFF:
        raise DataError(f"table={path}: has {len(names)} names and embeddings {vectors.dtype} {vectors.shape} of width {about['width']}")
    return names, vectors, about


def faults_of(vectors: NDArray[Any]) -> list[int]:
    """The rows that are no unit vectors."""
    faulty: list[int] = []
    for start in range(0, len(vectors), ROWS):
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is what is looked for
            norms = np.linalg.norm(vectors[start : start + ROWS].astype(np.float32), axis=1)
        faulty += (start + np.flatnonzero(~(abs(norms - 1) <= OFF[vectors.dtype]))).tolist()
    return faulty
