"""`command=evaluate`: image-text retrieval and zero-shot classification by any model that was trained here or elsewhere.

python -m clip_training.evaluate folder=pairs model.name=ViT-B-32 model.pretrained=weights.pt zero_shot.classes=[tabletop_colours]
"""

from __future__ import annotations

if __name__ == "__main__":  # before PyTorch is imported: what is wrong with a line is told at once
    from harness.entry import enter

    enter("clip", "evaluate", __doc__)

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from harness import Job
from harness.errors import DataError, ParameterError
from harness.files import write_json
from harness.report import Report
from harness.torch.decoding import image_suffixes
from harness.torch.pictures import RIGHT, WRONG, Line, captioned, sheet
from harness.torch.seeds import seed_everything

from .config import EvaluateConfig
from .gallery import COLUMNS, WIDTH, gallery
from .kinds import load_clip
from .loading import datasets, heldout_loader
from .model import Clip, normalised
from .pairs import HeldOut, Sample, Skipped, Unusable, as_tensor, read_image
from .retrieval import KS, retrieval
from .sources import Folder
from .zero_shot import Accuracy, ClassSet, accuracy, classifier, read_classes, read_templates

HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def evaluate(job: Job) -> dict[str, Any]:
    """Evaluate a model on pairs or on folders of classes, report it and return it; it is also written to the run's results.json.

    Args:
        job: its settings are an EvaluateConfig, its dataset is pairs in any form that can be trained on, or one sub-folder of images
            for each class, or None where `data` names them, and its `init_from` a file to take weights from.

    Raises:
        HarnessError: for settings, data or weights that do not do.
    """
    settings, folder = job.settings, job.dataset
    seed_everything(job.seed)
    templates = read_templates(settings.zero_shot.templates)
    sets = [read_classes(source) for source in settings.zero_shot.classes]
    clip = load_clip(settings.model, job.init_from, encoders=(settings.image, settings.text))
    source = str(job.init_from or settings.model.pretrained)
    if not source:
        job.report.text(f"{clip.name} has random weights: model.pretrained or init_from says which others to take")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    clip.model.to(device).eval()
    evaluation = Evaluation(clip, settings, device, job.report)
    results: dict[str, Any] = {"model": clip.name, "weights": source or "random", "precision": settings.evaluate.precision}
    with torch.inference_mode():
        if of_classes(folder, settings):
            results |= evaluation.of_class_folders(ClassFolders(folder, clip, sets[0] if sets else None), templates)
        else:
            results |= evaluation.of_pairs(heldout_of(clip, settings, folder, job.seed), sets, templates)
    write_json(job.output_dir / "results.json", results)
    job.report.artifact("results", results)
    job.report.flush()
    return results


def of_classes(folder: Path | None, settings: EvaluateConfig) -> bool:
    """Whether the data are folders of classes: as stated, or where nothing but images lies in sub-folders."""
    if folder is None or settings.evaluate.data != "auto":
        return settings.evaluate.data == "classes"
    suffixes = image_suffixes()
    files = Folder(folder).names()
    return bool(files) and all(name.suffix.lower() in suffixes and len(name.parts) > 1 for name in files)


def heldout_of(clip: Clip, settings: EvaluateConfig, folder: Path | None, seed: int) -> HeldOut:
    """The pairs that training on this data holds out, or all of them.

    Raises:
        ParameterError: when all are asked for of a LightningDataModule, which has its own part to be validated on.
    """
    training, heldout = datasets(clip, SimpleNamespace(data=settings.data, train=settings.evaluate), folder, seed)
    if settings.evaluate.pairs == "all":
        if settings.data.module:
            raise ParameterError(["evaluate.pairs=all: means nothing with data.module, whose validation pairs are evaluated"])
        heldout.pairs = [*training.pairs, *heldout.pairs]
    return heldout


class ClassFolders(Dataset[Sample | Skipped]):
    """Images in one sub-folder for each class, as they are evaluated; unreadable ones are left out.

    Raises:
        DataError: when there are fewer than two classes.
        ParameterError: when a sub-folder is none of the classes.
    """

    def __init__(self, folder: Path | None, clip: Clip, classes: ClassSet | None) -> None:
        if folder is None:
            raise ParameterError(["evaluate.data=classes: needs a folder of them: dataset_id, or dataset_path=FOLDER"])
        suffixes = image_suffixes()
        names = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
        if len(names) < 2:
            raise DataError(f"{folder} holds {len(names)} sub-folders; zero-shot classification needs one for each of two classes or more")
        self.classes = classes or ClassSet("folders", {name: (name.replace("_", " "),) for name in names})
        number = {name: place for place, name in enumerate(self.classes.words)}
        if strangers := [name for name in names if name not in number]:
            shown = ", ".join(strangers[:4])
            raise ParameterError([f"zero_shot.classes: {len(strangers)} sub-folders of {folder} are none of {self.classes.name}: {shown}"])
        found = [(folder / name / path, number[name]) for name in names for path in Folder(folder / name).names()]
        found = [(path, label) for path, label in found if path.suffix.lower() in suffixes]
        self.paths, self.labels = [path for path, _ in found], [label for _, label in found]
        self.transform, self.nothing = clip.transform, torch.empty(0, dtype=torch.int64)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Sample | Skipped:
        try:
            image = read_image(self.paths[index])
        except Unusable as error:
            return {index: str(error)}
        return Sample(index, as_tensor(self.transform(image)), self.nothing, {})


@dataclass
class Evaluation:
    """A model under evaluation."""

    clip: Clip
    settings: EvaluateConfig
    device: torch.device
    report: Report

    def of_pairs(self, heldout: HeldOut, sets: list[ClassSet], templates: Any) -> dict[str, Any]:
        """Recall both ways, and for each set of classes the accuracy on the pairs whose caption names one of them."""
        index, images, texts = self.embedded(heldout, with_texts=True)
        indices = index.tolist()
        captions = [heldout.caption(i) for i in indices]
        found = retrieval(images, texts, captions)
        for (direction, k), value in found.recall.items():
            self.report.scalar(f"recall@{k}", direction, value, 0)
        for k, value in found.chance.items():
            self.report.scalar(f"recall@{k}", "chance", value, 0)
        said = ", ".join(
            f"recall@{k} {found.recall['image to text', k]:.3f} / {found.recall['text to image', k]:.3f} (chance {found.chance[k]:.3f})"
            for k in KS
        )
        self.report.text(f"image to text / text to image over {len(indices)} pairs: {said}")
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
        """Accuracy on the images whose caption names a class; an image that shows several is right with any of them."""
        named = [classes.labels(caption) for caption in captions]
        kept = [row for row, labels in enumerate(named) if labels]
        if not kept:
            raise DataError(f"zero_shot.classes={classes.name}: no caption names one of {', '.join(list(classes.words)[:6])} ...")
        scores = images[kept] @ self.classifier(classes, templates)
        result = accuracy(scores, [named[row] for row in kept], list(classes.words))
        return self.reported(classes, result, len(kept), len(captions) - len(kept))

    def of_class_folders(self, folders: ClassFolders, templates: Any) -> dict[str, Any]:
        index, images, _ = self.embedded(folders, with_texts=False)
        labels = [folders.labels[i] for i in index.tolist()]
        scores = images @ self.classifier(folders.classes, templates)
        result = accuracy(scores, [{label} for label in labels], list(folders.classes.words))
        if count := self.settings.evaluate.debug_images:
            self.report.image("images with best classes", "gallery", class_gallery(folders, count, index.tolist(), result), 0)
        name = folders.classes.name
        return {"zero-shot": {name: self.reported(folders.classes, result, len(labels), len(folders) - len(labels))}}

    def classifier(self, classes: ClassSet, templates: Any) -> Tensor:
        with self.precision():
            return classifier(self.clip, classes, templates, self.device).float()

    def reported(self, classes: ClassSet, result: Accuracy, count: int, left_out: int) -> dict[str, Any]:
        """Tell an accuracy: curves, a line, and a table by class."""
        title = f"zero-shot {classes.name}"
        for k, value in result.top.items():
            self.report.scalar(title, f"top-{k}", value, 0)
            self.report.scalar(title, f"chance of top-{k}", result.chance[k], 0)
        said = ", ".join(f"top-{k} {value:.3f} (chance {result.chance[k]:.3f})" for k, value in result.top.items())
        self.report.text(f"{title}: {said} over {count} images, {left_out} left out; mean over classes {result.mean_per_class:.3f}")
        self.report.plot(title, "by class", class_table(result))
        return {
            "images": count,
            "left out": left_out,
            "top": {str(k): value for k, value in result.top.items()},
            "chance": {str(k): value for k, value in result.chance.items()},
            "mean per class": result.mean_per_class,
            "per class": {name: {"images": number, "found": share} for name, (number, share) in result.per_class.items()},
        }

    def embedded(self, data: Dataset[Any], *, with_texts: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Indices (N,), and unit embeddings (N, D) of images and, if asked for, texts; N is what could be read.

        Raises:
            DataError: when that is nothing.
        """
        loader = heldout_loader(data, self.settings.data, self.settings.evaluate.batch_size)
        mean, std = (values.view(3, 1, 1).to(self.device) for values in (self.clip.mean, self.clip.std))
        rows: list[tuple[Tensor, Tensor, Tensor]] = []
        skipped: Skipped = {}
        for batch in self.report.progress(loader, total=len(loader), description="batches"):
            skipped |= batch.skipped
            if not len(batch.index):
                continue
            with self.precision():
                images = self.clip.model.encode_image(normalised(batch.images.to(self.device), mean, std), normalize=True)
                texts = self.clip.model.encode_text(batch.tokens.to(self.device), normalize=True) if with_texts else images[:, :0]
            rows.append((batch.index, images.float(), texts.float()))
        first = next(iter(skipped.values()), "there is none")
        if not rows:
            raise DataError(f"none of the {len(data)} images to evaluate on can be read: {first}")
        if skipped:
            self.report.text(f"{len(skipped)} of {len(data)} images cannot be used and were left out, e.g. {first}")
        index, images, texts = (torch.cat(part) for part in zip(*rows, strict=True))
        if lost := int((~(images.isfinite().all(1) & texts.isfinite().all(1))).sum()):
            self.report.text(f"{lost} of {len(index)} images or their texts have embeddings that are not finite: they are never found")
        return index, images, texts

    def precision(self) -> AbstractContextManager[Any]:
        half = HALVES.get(self.settings.evaluate.precision)
        return torch.autocast(self.device.type, half) if half else nullcontext()


def class_table(result: Accuracy) -> dict[str, Any]:
    """A table for plotly: classes, images, and how many of those were found."""
    rows = sorted(result.per_class.items())
    columns = [[name for name, _ in rows], [count for _, (count, _) in rows], [f"{share:.3f}" for _, (_, share) in rows]]
    return {"data": [{"type": "table", "header": {"values": ["class", "images", "found"]}, "cells": {"values": columns}}], "layout": {}}


def class_gallery(folders: ClassFolders, count: int, indices: list[int], result: Accuracy) -> Image.Image:
    """A sheet of `count` images spread over the data, each with its best class, and its own where that is wrong."""
    names, best = list(folders.classes.words), result.best.tolist()
    pictures = []
    for place in range(0, len(indices), max(1, len(indices) // count))[:count]:
        index = indices[place]
        said, right = names[best[place]] if best[place] >= 0 else "(no score is finite)", names[folders.labels[index]]
        lines = [Line(said, RIGHT if said == right else WRONG, said == right), *([] if said == right else [Line(f"({right})")])]
        pictures.append(captioned(folders.transform(read_image(folders.paths[index])), lines, WIDTH))
    return sheet(pictures, COLUMNS)
