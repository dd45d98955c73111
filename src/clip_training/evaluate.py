"""Evaluate any model, trained here or elsewhere, on image-text retrieval and zero-shot classification.

python -m clip_training.evaluate folder=pairs model.name=ViT-B-32 model.pretrained=weights.pt zero_shot.classes=[tabletop_colours]
"""

from __future__ import annotations

if __name__ == "__main__":  # before PyTorch is imported, so that a wrong command line fails at once
    from harness.entry import enter

    enter("clip", "evaluate", __doc__)

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness import Job
from harness.errors import DataError, ParameterError
from harness.files import write_json
from harness.report import Report
from harness.torch.seeds import seed_everything

from .class_folders import ClassFolders, has_class_folders
from .config import EvaluateConfig
from .dataloaders import datasets, heldout_loader
from .embedder import Embedder, open_model
from .gallery import class_gallery, gallery
from .model import Clip
from .pairs import HeldOut, Skipped
from .retrieval import KS, report_recall, retrieval
from .zero_shot import Accuracy, ClassSet, accuracy, classifier, read_classes, read_templates


def evaluate(job: Job) -> dict[str, Any]:
    """Evaluate a model on pairs or on folders of classes. Report and return the results, and write them to the run's results.json.

    Args:
        job: its settings are an EvaluateConfig. Its dataset is pairs in any form that training accepts, or one sub-folder of images per
            class, or None where `data` names the pairs. Its `init_from` is a file of weights.

    Raises:
        HarnessError: for invalid settings, unusable data or unusable weights.
    """
    settings: EvaluateConfig = job.settings
    folder = job.dataset
    seed_everything(job.seed)
    templates = read_templates(settings.zero_shot.templates)
    sets = [read_classes(source, settings.data.encoding) for source in settings.zero_shot.classes]
    embedder = open_model(
        job.init_from, settings.model.name, settings.model.pretrained, settings.evaluate.precision, (settings.image, settings.text)
    )
    clip, weights = embedder.clip, embedder.weights
    if weights == "random":
        job.report.text(f"{clip.name} has random weights; use model.pretrained or init_from to load others")
    evaluation = Evaluation(embedder, settings, job.report)
    results: dict[str, Any] = {"model": clip.name, "weights": weights, "precision": settings.evaluate.precision}
    with torch.inference_mode():
        kind = settings.evaluate.data
        if kind == "classes" or (kind == "auto" and folder is not None and has_class_folders(folder)):
            folders = ClassFolders(folder, clip, sets[0] if sets else None, settings.evaluate.pairs)
            results |= evaluation.of_class_folders(folders, templates)
        else:
            results |= evaluation.of_pairs(pairs_of(clip, settings, folder, job.seed), sets, templates)
    write_json(job.output_dir / "results.json", results)
    job.report.artifact("results", results)
    job.report.flush()
    return results


def pairs_of(clip: Clip, settings: EvaluateConfig, folder: Path | None, seed: int) -> HeldOut:
    """The pairs that training on this data holds out, or all pairs.

    Raises:
        ParameterError: when all pairs of a LightningDataModule are asked for, which only provides its own validation pairs.
    """
    training, heldout = datasets(clip, settings.data, folder, seed, settings.evaluate.batch_size)
    if settings.evaluate.pairs == "all":
        if settings.data.module:
            raise ParameterError(["evaluate.pairs=all: cannot be combined with data.module, whose validation pairs are evaluated"])
        heldout.pairs = [*training.pairs, *heldout.pairs]
    return heldout


@dataclass
class Evaluation:
    """Evaluates a model and reports the results."""

    embedder: Embedder
    settings: EvaluateConfig
    report: Report

    def of_pairs(self, heldout: HeldOut, sets: list[ClassSet], templates: Any) -> dict[str, Any]:
        """Recall in both directions, and for each set of classes the accuracy on the pairs whose caption names one of them."""
        index, images, texts = self.embedded(heldout, with_texts=True)
        indices = index.tolist()
        captions = [heldout.caption(i) for i in indices]
        found = retrieval(images, texts, captions)
        report_recall(found, self.report, 0)
        self.report.text(f"image to text / text to image over {len(indices)} pairs: {found}")
        if count := self.settings.evaluate.debug_images:
            self.report.image("images with best captions", "gallery", gallery(heldout, count, indices, captions, found), 0)
        recall = {direction: {str(k): found.recall[direction, k] for k in KS} for direction in ("image to text", "text to image")}
        chance = {str(k): value for k, value in found.chance.items()}
        left_out = len(heldout) - len(indices)
        results: dict[str, Any] = {
            "retrieval": {"pairs": len(indices), "left out": left_out, "recall": recall, "chance": chance},
        }
        if sets:
            results["zero-shot"] = {classes.name: self.of_named_classes(classes, images, captions, templates) for classes in sets}
        return results

    def of_named_classes(self, classes: ClassSet, images: Tensor, captions: list[str], templates: Any) -> dict[str, Any]:
        """Accuracy on the images whose caption names a class. For an image that shows several, any of them is right."""
        named = [classes.labels(caption) for caption in captions]
        kept = [row for row, labels in enumerate(named) if labels]
        if not kept:
            raise DataError(f"zero_shot.classes={classes.name}: no caption names a class: {', '.join(list(classes.words)[:6])} ...")
        scores = images[kept] @ self.classifier(classes, templates)
        result = accuracy(scores, [named[row] for row in kept], list(classes.words))
        return self.reported(classes, result, len(kept), len(captions) - len(kept))

    def of_class_folders(self, folders: ClassFolders, templates: Any) -> dict[str, Any]:
        """Accuracy on the images in folders of classes."""
        if folders.note:
            self.report.text(folders.note)
        index, images, _ = self.embedded(folders, with_texts=False)
        labels = [folders.labels[i] for i in index.tolist()]
        scores = images @ self.classifier(folders.classes, templates)
        result = accuracy(scores, [{label} for label in labels], list(folders.classes.words))
        if count := self.settings.evaluate.debug_images:
            self.report.image("images with best classes", "gallery", class_gallery(folders, count, index.tolist(), result), 0)
        name = folders.classes.name
        if absent := [each for number, each in enumerate(folders.classes.words) if number not in labels]:
            self.report.text(f"{len(absent)} of {len(folders.classes.words)} classes of {name} have no image, e.g. {absent[0]}")
        return {"zero-shot": {name: self.reported(folders.classes, result, len(labels), len(folders) - len(labels))}}

    def classifier(self, classes: ClassSet, templates: Any) -> Tensor:
        with self.embedder.autocast():
            return classifier(self.embedder.clip, classes, templates, self.embedder.device).float()

    def reported(self, classes: ClassSet, result: Accuracy, count: int, left_out: int) -> dict[str, Any]:
        """Report an accuracy as scalars, a log line and a table by class, and return it as plain values."""
        title = f"zero-shot {classes.name}"
        for k, value in result.top.items():
            self.report.scalar(title, f"top-{k}", value, 0)
            self.report.scalar(title, f"chance of top-{k}", result.chance[k], 0)
        top = ", ".join(f"top-{k} {value:.3f} (chance {result.chance[k]:.3f})" for k, value in result.top.items())
        self.report.text(f"{title}: {top} over {count} images, {left_out} left out; mean over classes {result.mean_per_class:.3f}")
        self.report.plot(title, "by class", class_table(result))
        return {
            "images": count,
            "left out": left_out,
            "top": {str(k): value for k, value in result.top.items()},
            "chance": {str(k): value for k, value in result.chance.items()},
            "mean per class": result.mean_per_class,
            "per class": {name: {"images": number, "found": share} for name, (number, share) in result.per_class.items()},
        }

    def embedded(self, data: HeldOut | ClassFolders, *, with_texts: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Indices (N,) of the readable images, and unit embeddings (N, D) of those images and, if asked for, of their texts.

        Raises:
            DataError: when no image is readable.
        """
        loader = heldout_loader(data, self.settings.data, self.settings.evaluate.batch_size)
        rows: list[tuple[Tensor, Tensor, Tensor]] = []
        skipped: Skipped = {}
        for batch in self.report.progress(loader, total=len(loader), description="batches"):
            skipped |= batch.skipped
            if not len(batch.index):
                continue
            images = self.embedder.encode_images(batch.images)
            rows.append((batch.index, images, self.embedder.encode_tokens(batch.tokens) if with_texts else images[:, :0]))
        first = next(iter(skipped.values()), "the dataset is empty")
        if not rows:
            raise DataError(f"none of the {len(data)} images to evaluate on is usable: {first}")
        if skipped:
            self.report.text(f"{len(skipped)} of {len(data)} images are unusable and were left out, e.g. {first}")
        index, images, texts = (torch.cat(part) for part in zip(*rows, strict=True))
        if lost := int((~(images.isfinite().all(1) & texts.isfinite().all(1))).sum()):
            self.report.text(f"{lost} of {len(index)} images have non-finite embeddings, or their texts do; they count as never found")
        return index, images, texts


def class_table(result: Accuracy) -> dict[str, Any]:
    """A table for plotly: classes, number of images, and the share of them that was found."""
    rows = sorted(result.per_class.items())
    columns = [[name for name, _ in rows], [count for _, (count, _) in rows], [f"{share:.3f}" for _, (_, share) in rows]]
    return {"data": [{"type": "table", "header": {"values": ["class", "images", "found"]}, "cells": {"values": columns}}], "layout": {}}
