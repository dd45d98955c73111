"""Rank images by a sentence or an image: those in a folder, or those in a table of command=embed.

python -m clip_training.search init_from=weights.pt images=FOLDER query="a red ring"
python -m clip_training.search table=table.npz query_image=ring.jpg

A table states its model, so none has to be given with it. Options (key=value):
"""

from __future__ import annotations

if __name__ == "__main__":  # before PyTorch is imported, so that a wrong command line fails at once
    from harness.entry import enter

    enter("clip", "search", __doc__)

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from open_clip import IMAGENET_CLASSNAMES
from PIL import Image

from harness import Job
from harness.errors import CheckpointError, DataError, NotFiniteError, ParameterError
from harness.files import replaced, write_json
from harness.report import Report, Silent
from harness.torch.seeds import seed_everything

from .config import ImageEncoderConfig, ModelConfig, SearchConfig, TextEncoderConfig
from .embed import Embedding, model_in, source_of, write_embeddings
from .embedder import BATCH, Embedder, Vectors, open_model
from .embedding_tables import COLUMNS, Table, faults_of, read_table
from .gallery import best_gallery
from .listings import image_in, images_in, read_lines
from .pairs import UnusableError, read_image
from .vector_index import Index, index_for

PAGES = 20
"""Queries of which pictures are shown; the files hold the results of all."""
MEASURED = 200
"""Queries of each kind that an index is measured with."""
Encoders = tuple[ImageEncoderConfig, TextEncoderConfig]


@dataclass(frozen=True)
class Query:
    """What is looked for."""

    name: str
    """The sentence, or the path of the image."""
    image: Image.Image | None = None


@dataclass(frozen=True)
class Match:
    """One result."""

    rank: int
    """From 1."""
    name: str
    """The image's path below the folder, or the text."""
    score: float
    """Cosine similarity, -1 to 1. Only scores of the same query compare: sentences score lower than images."""


@dataclass(frozen=True)
class Searcher:
    """Embeddings, and the model that made them, ready for queries."""

    embedder: Embedder
    table: Table
    index: Index

    def search(self, query: str | Path | Image.Image, k: int = 10) -> list[Match]:
        """The `k` best matches of a sentence, or of an image given as a Path or a picture; all rows if there are fewer.

        Raises:
            UnusableError: for an image that cannot be read.
            NotFiniteError: when the query's embedding is not finite, or zero.
        """
        vectors = self.embedder.texts([query]) if isinstance(query, str) else self.embedder.images([query])
        if faults_of(vectors):
            raise NotFiniteError(f"the embedding of the query is not finite, or zero: {self.embedder.weights} cannot be used for {query}")
        scores, rows = self.index.search(vectors, k)
        found = zip(rows[0].tolist(), scores[0].tolist(), strict=True)
        return [Match(rank, self.table.names[row], score) for rank, (row, score) in enumerate(found, 1)]


def open_search(
    where: Path | str,
    init_from: Path | str | None = None,
    name: str = ModelConfig.name,
    pretrained: str = "",
    *,
    precision: str = "fp32",
    exact: bool = False,
    encoders: Encoders | None = None,
) -> Searcher:
    """Embeddings to search: those in a table of `command=embed`, or of a folder of images, which are made now.

        photos = open_search("photos", "weights.pt")
        photos.search("a red ring")

    Args:
        where: a table, or a folder.
        init_from: as the other arguments, see `open_model`; without weights, a table's own model is opened.
        exact: whether to compare with every embedding, also above `vector_index.INDEXED`.

    Raises:
        HarnessError: for an unusable table, folder or model, or a table by another model.
    """
    where = Path(where)
    if where.is_dir():
        embedder = open_model(init_from, name, pretrained, precision, encoders)
        if embedder.weights == "random":
            print(f"{embedder.clip.name} has random weights; name others, such as open_search({str(where)!r}, 'weights.pt')")
        table, path = table_of(embedder, where), None
    else:
        table, path = read_table(where), where
        embedder = model_of(table, where, ModelConfig(name, pretrained), init_from, precision, encoders)
    return searcher(embedder, table, path, print, exact)


def searcher(embedder: Embedder, table: Table, path: Path | None, say: Callable[[str], None], exact: bool) -> Searcher:
    def queries() -> dict[str, Vectors]:
        rows = np.random.default_rng(0).permutation(len(table))[:MEASURED]
        sentences = [f"a photo of a {name}." for name in IMAGENET_CLASSNAMES[:: len(IMAGENET_CLASSNAMES) // MEASURED]]
        return {"of sentences": embedder.texts(sentences), "of rows": table.vectors[np.sort(rows)].astype(np.float32)}

    return Searcher(embedder, table, index_for(table.vectors, queries, path, say, exact))


def table_of(embedder: Embedder, folder: Path) -> Table:
    """The images of a folder, embedded into memory. Those that cannot be read are counted on the terminal."""
    listing = images_in(folder)
    found = [*Embedding(embedder, listing, BATCH, 0, Silent()).rows()]
    skipped = [reason for each in found for reason in each.skipped.values()]
    rows = [row for each in found for row in each.rows]
    if not rows:
        raise DataError(f"none of the {len(listing)} images can be embedded; the first: {skipped[0]}")
    if skipped:
        print(f"{len(skipped)} of {len(listing)} images were left out, e.g. {skipped[0]}")
    about = {"kind": "images", **embedder.identity, "weights": embedder.weights, "root": listing.root}
    return Table([listing.names[row] for row in rows], np.concatenate([each.vectors for each in found]), about)


def model_of(
    table: Table, path: Path, model: ModelConfig, init_from: Path | str | None, precision: str, encoders: Encoders | None
) -> Embedder:
    """The model of a table: the one that is given, or without weights the one that the table states.

    Raises:
        CheckpointError: when it is another model, or is not there any more.
    """
    about = table.about
    given = bool(init_from or model.pretrained)
    source = init_from if given else about["init_from"]
    if not given and about["weights"] == "random":
        raise CheckpointError(f"{path} was made by random weights, which are nowhere; embed the images by a model with weights")
    if not given and source and not Path(source).exists():
        raise CheckpointError(f"{path} was made by {about['model']} of {source}, which is not there; set init_from to where it is")
    name, pretrained = (model.name, model.pretrained) if given else (about["model.name"], about["model.pretrained"])
    embedder = open_model(source, name, pretrained, precision, encoders)
    identity = embedder.identity
    if identity["digest"] != about["digest"]:
        made, given_now = f"{about['model']} ({about['weights']})", f"{identity['model']} ({embedder.weights})"
        raise CheckpointError(f"{path} was made by {made}, not by {given_now}; embeddings of two models do not compare")
    return embedder


def search(job: Job) -> list[dict[str, Any]]:
    """Rank images for each query. Report and return the results, and write them to results.json and results.csv.

    Args:
        job: its settings are a SearchConfig. Its dataset is a folder of images, or None where `table` names their embeddings.

    Raises:
        HarnessError: for invalid settings, unusable data or unusable weights.
    """
    settings: SearchConfig = job.settings
    if problems := [*settings.problems()]:
        raise ParameterError(problems)
    queries = [*queries_of(settings)]
    seed_everything(job.seed)
    found, root = opened(job, settings)
    if settings.k > len(found.table):
        job.report.text(f"k={settings.k}: there are {len(found.table)} {found.table.about['kind']}, and all are ranked")
    column, results = COLUMNS[found.table.about["kind"]], []
    for number, query in enumerate(queries):
        matches = found.search(query.image or query.name, settings.k)
        ranking = [{"rank": match.rank, column: match.name, "score": match.score} for match in matches]
        results.append({"query": query.name, "matches": ranking})
        job.report.text(f"{query.name}: {', '.join(f'{match.name} ({match.score:.3f})' for match in matches[:3])}")
        if found.table.of_images and settings.pictures and number < PAGES:
            shown = [(image_in(root, match.name), match) for match in matches[: settings.pictures]]
            page = best_gallery(query.name, query.image, [(file, match.name, match.score) for file, match in shown])
            job.report.image("best matches", f"{number + 1} {query.name}"[:60], page, 0)
    if len(queries) > PAGES and settings.pictures:
        job.report.text(f"pictures are shown of the first {PAGES} of {len(queries)} queries")
    about = {"model": found.table.about["model"], "weights": found.embedder.weights, "root": str(root), "rows": len(found.table)}
    write_results(job.output_dir, about, results, job.report)
    job.report.flush()
    return results


def opened(job: Job, settings: SearchConfig) -> tuple[Searcher, Path]:
    """What to search, and the folder of its images."""
    if settings.table:
        path = table_file(Path(settings.table))
        table = read_table(path)
        embedder = model_of(table, path, settings.model, job.init_from, settings.embed.precision, (settings.image, settings.text))
    else:
        if job.dataset is None:
            raise ParameterError(["dataset_id is required: images (or images=FOLDER, table=FILE)"])
        listing = images_in(job.dataset)
        embedder = model_in(job)
        path = job.output_dir / "embeddings.npz"
        stated = {"precision": settings.embed.precision, "dtype": "fp32", **source_of(settings.model, job.init_from)}
        embedding = Embedding(embedder, listing, settings.embed.batch_size, settings.embed.workers, job.report)
        write_embeddings(embedding, path, stated, job.output_dir)
        table = read_table(path)
    root = Path(settings.root or table.about["root"])
    if table.of_images and not root.is_dir():
        job.report.text(f"{root} is not there, so the pages have no pictures; set root to the folder of the table's images")
    return searcher(embedder, table, path, job.report.text, settings.exact), root


def table_file(path: Path) -> Path:
    """A table, or that of the run whose folder is given."""
    return path / "embeddings.npz" if path.is_dir() else path


def queries_of(settings: SearchConfig) -> Iterator[Query]:
    """The sentences and images that are looked for, each alone or one a line of a .txt file.

    Raises:
        ParameterError: for a list that cannot be read, and with every image that cannot be.
    """
    problems = []
    for name in named(settings.query, "query"):
        yield Query(name)
    for name in named(settings.query_image, "query_image"):
        try:
            yield Query(name, read_image(Path(name)))
        except UnusableError as error:
            problems.append(f"query_image={error}")
    if problems:
        raise ParameterError(problems)


def named(value: str, key: str) -> Sequence[str]:
    """The value itself, or the lines of a .txt file."""
    if value.endswith(".txt"):
        return read_lines(Path(value), key)
    return [value] if value else []


def write_results(folder: Path, about: dict[str, Any], results: list[dict[str, Any]], report: Report) -> None:
    """Write results.json and results.csv."""
    write_json(folder / "results.json", {**about, "queries": results})
    with replaced(folder / "results.csv") as beside, beside.open("w", newline="", encoding="utf-8", errors="surrogateescape") as handle:
        rows = csv.writer(handle)
        rows.writerow(["query", *results[0]["matches"][0]])
        rows.writerows([each["query"], *match.values()] for each in results for match in each["matches"])
    report.artifact("results", folder / "results.json")
    report.artifact("ranking", folder / "results.csv")
