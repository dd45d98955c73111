"""Embed images or texts by any CLIP, into a table of paths and vectors.

python -m clip_training.embed init_from=weights.pt images=FOLDER output=table.npz

A run that is stopped continues when the same line is typed again. Options (key=value):
"""

from __future__ import annotations

if __name__ == "__main__":  # before PyTorch is imported, so that a wrong command line fails at once
    from harness.entry import enter

    enter("clip", "embed", __doc__)

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from harness import Job
from harness.errors import DataError, NotFiniteError, ParameterError
from harness.files import replaced, write_json
from harness.report import Report
from harness.torch.digest import digest_of
from harness.torch.seeds import seed_everything
from harness.torch.workers import worker_count

from .config import EmbedConfig, ModelConfig, SearchConfig
from .embedder import Embedder, Vectors, batches, open_model
from .embedding_parts import Parts
from .embedding_tables import DTYPES, MADE_BY, check_names, contents, faults_of, write_table
from .listings import ImageFiles, Listing, captions_in, images_in, texts_in
from .pairs import Batch, Skipped, collate
from .skipped import FILE

PART_SECONDS, PART_ROWS = 30.0, 16384
"""A part is kept when either is reached: so much is lost at most when a run is killed."""


def embed(job: Job) -> Path:
    """Embed a folder of images, a list of texts or the captions of pairs. Return the table.

    Args:
        job: its settings are an EmbedConfig. Its dataset is a folder of images or of pairs, or None where `texts` names a file. Its
            `init_from` is a file of weights.

    Raises:
        HarnessError: for invalid settings, unusable data or unusable weights.
    """
    settings: EmbedConfig = job.settings
    output = Path(settings.output).absolute() if settings.output else job.output_dir / "embeddings.npz"
    listing = listing_of(settings, job.dataset)
    check_names(output, listing.names)
    seed_everything(job.seed)
    embedder = model_in(job)
    stated = {"precision": settings.embed.precision, "dtype": settings.dtype, **source_of(settings.model, job.init_from)}
    embedding = Embedding(embedder, listing, settings.embed.batch_size, settings.embed.workers, job.report)
    about = write_embeddings(embedding, output, stated, job.output_dir)
    write_json(job.output_dir / "results.json", about)
    job.report.artifact("results", about)
    if not settings.output:
        job.report.artifact("embeddings", output)
    job.report.flush()
    return output


def model_in(job: Job) -> Embedder:
    """The model that a run's settings, an EmbedConfig or a SearchConfig, and its `init_from` name. Random weights are said to be so.

    Raises:
        HarnessError: for an unknown model, or unusable weights.
    """
    settings: EmbedConfig | SearchConfig = job.settings
    model = settings.model
    embedder = open_model(job.init_from, model.name, model.pretrained, settings.embed.precision, (settings.image, settings.text))
    if embedder.weights == "random":
        job.report.text(f"{embedder.clip.name} has random weights; use model.pretrained or init_from to load others")
    return embedder


def listing_of(settings: EmbedConfig, folder: Path | None) -> Listing:
    """What the settings name.

    Raises:
        ParameterError: when they name nothing.
        DataError: when nothing is there.
    """
    if settings.texts:
        return texts_in(Path(settings.texts), settings.encoding)
    if folder is None:
        raise ParameterError(["dataset_id is required: images or image-text pairs (or images=FOLDER, texts=FILE)"])
    return captions_in(folder, settings.encoding) if settings.what == "captions" else images_in(folder)


def source_of(model: ModelConfig, init_from: Path | None) -> dict[str, str]:
    """How the model can be opened again; paths are absolute."""
    name, pretrained = (str(Path(text).absolute()) if text and Path(text).exists() else text for text in (model.name, model.pretrained))
    return {"model.name": name, "model.pretrained": pretrained, "init_from": str(init_from.absolute()) if init_from else ""}


@dataclass(frozen=True)
class Rows:
    """The result for the listed items from `start` until `stop`."""

    start: int
    stop: int
    rows: list[int]
    """Those that were embedded."""
    vectors: Vectors
    skipped: Skipped


@dataclass(frozen=True)
class Embedding:
    """Embeds a listing in its order, batch by batch."""

    embedder: Embedder
    listing: Listing
    batch_size: int
    workers: int
    report: Report

    def rows(self, start: int = 0) -> Iterator[Rows]:
        """The rows from `start` on. Those whose embedding is not finite or zero are skipped.

        Raises:
            NotFiniteError: when that holds for the whole of the first batch, as with a model that diverged.
        """
        batches_left = -(-(len(self.listing) - start) // self.batch_size)
        source = self.of_images(start) if self.listing.files else self.of_texts(start)
        good = 0
        for found in self.report.progress(source, total=batches_left, description="batches"):
            faulty = {found.rows[place] for place in faults_of(found.vectors)}
            good += len(found.rows) - len(faulty)
            if faulty and not good:
                raise NotFiniteError(
                    f"none of the first {len(faulty)} embeddings is finite and other than zero, e.g. that of "
                    f"{self.listing.names[found.rows[0]]}: the weights of {self.embedder.weights} are unusable"
                    + ("" if self.embedder.precision == "fp32" else f", or precision={self.embedder.precision} is too coarse for them")
                )
            kept = [place for place, row in enumerate(found.rows) if row not in faulty]
            reasons = {row: f"{self.listing.names[row]}: its embedding is not finite, or zero" for row in faulty}
            yield Rows(found.start, found.stop, [found.rows[place] for place in kept], found.vectors[kept], {**found.skipped, **reasons})

    @torch.inference_mode()
    def of_images(self, start: int) -> Iterator[Rows]:
        loader: Iterable[Batch] = DataLoader(
            ImageFiles(self.listing.files, self.embedder.clip),
            sampler=range(start, len(self.listing)),
            batch_size=self.batch_size,
            collate_fn=collate,
            num_workers=worker_count(self.workers),
            pin_memory=torch.cuda.is_available(),
        )
        for batch in loader:
            stop = min(start + self.batch_size, len(self.listing))
            found = self.embedder.encode_images(batch.images).cpu().numpy() if len(batch.index) else self.none
            yield Rows(start, stop, batch.index.tolist(), found, batch.skipped)
            start = stop

    def of_texts(self, start: int) -> Iterator[Rows]:
        for rows in batches(range(start, len(self.listing)), self.batch_size):
            found = self.embedder.texts([self.listing.names[row] for row in rows])
            yield Rows(rows[0], rows[-1] + 1, list(rows), found, {})

    @property
    def none(self) -> Vectors:
        return np.empty((0, self.embedder.clip.width), np.float32)


def write_embeddings(embedding: Embedding, output: Path, stated: dict[str, str], folder: Path) -> dict[str, Any]:
    """Write a table, or what is missing of it, and return what it states about itself.

    Args:
        embedding: what to embed.
        output: the table.
        stated: `dtype`, and what else the table states.
        folder: where to list what was left out.

    Raises:
        ParameterError: when `output` is another table or file.
        DataError: when nothing can be embedded.
    """
    listing, report = embedding.listing, embedding.report
    dtype = DTYPES[stated["dtype"]]
    identity = embedding.embedder.identity
    work = digest_of(text.encode() for text in (listing.kind, listing.digest, identity["digest"], stated["dtype"], stated["precision"]))
    if output.exists():
        return finished(output, work, report)
    output.parent.mkdir(parents=True, exist_ok=True)
    parts = Parts.beside(output, work)
    if done := parts.done:
        report.text(f"continuing after {done} of {len(listing)} {listing.kind}, which are in {parts.folder}")
    with Pending(parts.add, dtype) as pending:
        for found in embedding.rows(done):
            pending.put(found)
    count, skipped = parts.totals()
    reasons = [*skipped.values(), *listing.left_out]
    write_skipped(reasons, folder / FILE, report, f"of {len(listing)} {listing.kind}")
    if not count:
        raise DataError(f"none of the {len(listing)} {listing.kind} can be embedded; the first: {reasons[0]}")
    about: dict[str, Any] = {"made by": MADE_BY, "kind": listing.kind, **identity, "weights": embedding.embedder.weights, **stated}
    about |= {"root": listing.root, "rows": count, "left out": len(reasons), "work": work}
    chunks = (([listing.names[row] for row in rows], vectors) for rows, vectors, _ in map(parts.read, parts.files()))
    write_table(output, chunks, count, dtype, about)
    parts.remove()
    report.text(f"{count} embeddings of {listing.kind} by {identity['model']} ({about['weights']}) are in {output}")
    return about


def finished(output: Path, work: str, report: Report) -> dict[str, Any]:
    """What the table states that is there already.

    Raises:
        ParameterError: when it is not the result of the same work.
    """
    try:
        names, _, about = contents(output)
        if about["work"] == work:
            report.text(f"{output} is complete: it holds these {len(names)} embeddings")
            return about
    except DataError as error:
        problem = str(error)
    else:
        problem = f"embeddings of {about['root']} by {about['model']} ({about['weights']}), or its images have changed since"
    raise ParameterError([f"output={output}: there is another file already; remove it, or name another: {problem}"])


@dataclass
class Pending:
    """Rows that are not in a part yet. They are put into one at intervals, and at the end, also when the run is stopped."""

    add: Callable[..., None]
    dtype: np.dtype[Any]
    rows: list[Rows] = field(default_factory=list)
    since: float = field(default_factory=time.monotonic)

    def put(self, found: Rows) -> None:
        self.rows.append(found)
        if time.monotonic() - self.since > PART_SECONDS or found.stop - self.rows[0].start >= PART_ROWS:
            self.flush()

    def flush(self) -> None:
        if self.rows:
            rows = [row for each in self.rows for row in each.rows]
            skipped = {row: reason for each in self.rows for row, reason in each.skipped.items()}
            vectors = np.concatenate([each.vectors for each in self.rows]).astype(self.dtype)
            self.add(self.rows[0].start, self.rows[-1].stop, rows, vectors, skipped)
        self.rows, self.since = [], time.monotonic()

    def __enter__(self) -> Pending:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()


def write_skipped(reasons: list[str], path: Path, report: Report, of_what: str) -> None:
    """List what was left out in a file, and say how much that is."""
    if not reasons:
        return
    with replaced(path) as beside:
        beside.write_text("".join(f"{' '.join(reason.split())}\n" for reason in reasons), "utf-8", "backslashreplace")
    report.artifact("skipped", path)
    shown = "; ".join(reasons[:3]).encode(errors="backslashreplace").decode()
    report.text(f"{len(reasons)} {of_what} were left out, listed in {path}, e.g. {shown}")
