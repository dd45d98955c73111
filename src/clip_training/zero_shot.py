"""Zero-shot classification: classes as words, templates that turn them into sentences, labels, and accuracy."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import torch
from open_clip import IMAGENET_CLASSNAMES, OPENAI_IMAGENET_TEMPLATES, SIMPLE_IMAGENET_TEMPLATES, build_zero_shot_classifier
from torch import Tensor

from harness.errors import ParameterError
from harness.params import nearest
from harness.torch.scores import above_and_tied, best_of
from harness.yaml_file import read_yaml

from .config import CLASS_SETS
from .model import Clip
from .retrieval import chance_of
from .texts import lines_of, text_of

TEMPLATES: dict[str, Sequence[str | Callable[[str], str]]] = {
    "openai": OPENAI_IMAGENET_TEMPLATES,
    "simple": SIMPLE_IMAGENET_TEMPLATES,
    "photo": ("a photo of a {}.",),
    "name": ("{}",),
}
"""The paper's 80 templates, the 7 that its notebook found sufficient, a single one, and the bare name."""
TOP = (1, 5)
MARKED = (".yaml", ".yml", ".json")
"""Suffixes of files of classes with a form; any other file is a list of lines."""


@dataclass(frozen=True)
class ClassSet:
    """A set of classes, of which an image shows one or several.

    Templates are filled with the first word of a class. Any of its words in a caption names the class.
    """

    name: str
    words: dict[str, tuple[str, ...]]
    """By the class's name, which is also that of its row in the table and of its sub-folder."""

    def labels(self, caption: str) -> set[int]:
        """The classes that a caption names: whole words in upper or lower case, including plurals in -s and -es."""
        return {number for number, pattern in enumerate(self.patterns) if pattern.search(caption)}

    @property
    def patterns(self) -> list[re.Pattern[str]]:
        return [word_pattern(words) for words in self.words.values()]


def word_pattern(words: Sequence[str]) -> re.Pattern[str]:
    phrases = "|".join(r"\s+".join(map(re.escape, word.split())) for word in words)
    return re.compile(rf"(?<!\w)(?:{phrases})(?:e?s)?(?!\w)", re.IGNORECASE)


def read_classes(source: str, encoding: str = "utf-8") -> ClassSet:
    """A set of classes: `imagenet`, one of config.CLASS_SETS, or a file.

    A YAML or JSON file holds a list of names, or a mapping of names to words. Any other file is a list of one class per line, in which
    blank lines and those that begin with # say nothing; `encoding` is its encoding.

    Raises:
        ParameterError: when there is no such file, or it has other content; also when two classes are the same but for upper case.
    """
    if source == "imagenet":
        return ClassSet(source, {name: (name,) for name in dict.fromkeys(IMAGENET_CLASSNAMES)})
    path = CLASS_SETS.get(source, Path(source))
    if not path.is_file():
        names = ["imagenet", *CLASS_SETS]
        raise ParameterError([f"zero_shot.classes={source}: neither a file nor one of {', '.join(names)}{nearest(source, names)}"])
    marked = path.suffix.lower() in MARKED
    try:
        stated = read_yaml(path) if marked else listed(path, encoding)
    except (OSError, ValueError) as error:
        raise ParameterError([f"zero_shot.classes={source}: {error}"]) from error
    words = words_of(stated)
    if words and (alike := names_alike([*stated])):
        raise ParameterError([f"zero_shot.classes={source}: {len(alike)} classes are repeated: {'; '.join(alike[:3])}"])
    if len(words) < 2:
        form = "a YAML or JSON list of at least two classes, or a mapping of classes to words"
        raise ParameterError([f"zero_shot.classes={source}: must be {form if marked else 'at least two classes, one per line'}"])
    return ClassSet(path.stem, words)


def listed(path: Path, encoding: str) -> list[str]:
    """The lines of a file, without comments."""
    return [line for line in lines_of(text_of(path.read_bytes(), encoding)) if not line.startswith("#")]


def names_alike(names: Sequence[Any]) -> list[str]:
    """The names that are there several times, also with other upper case or spaces, each in all its forms."""
    forms: dict[str, list[str]] = {}
    for name in map(str, names):
        forms.setdefault(" ".join(name.split()).casefold(), []).append(name)
    return [" = ".join(several) for several in forms.values() if len(several) > 1]


def words_of(stated: Any) -> dict[str, tuple[str, ...]]:
    """Words by class; empty when `stated` has another form.

    Raises:
        ParameterError: for a word that YAML reads as a number, a date, or yes and no: templates need words.
    """
    if isinstance(stated, list):
        stated = {name: name for name in stated}
    if not isinstance(stated, dict):
        return {}
    listed = {str(name): words if isinstance(words, list) else [words] for name, words in stated.items()}
    if strange := [word for words in listed.values() for word in words if isinstance(word, int | float | date)]:
        example = strange[0]
        what = f"{example} is of the type {type(example).__name__} in YAML, and no word, so it names no class in a sentence"
        raise ParameterError(
            [f"zero_shot.classes: {what}; write words (for numbers of classes: {example}: word), or '{example}' in quotes"]
        )
    if any(not words or not all(isinstance(word, str) and word.strip() for word in words) for words in listed.values()):
        return {}
    return {name: tuple(words) for name, words in listed.items()}


def read_templates(source: str) -> Sequence[str | Callable[[str], str]]:
    """Templates: a key of TEMPLATES, a template itself, or a file with one template per line. `{}` stands for the class.

    Raises:
        ParameterError: for a template without exactly one `{}`, or a file that does not exist or is not UTF-8.
    """
    if source in TEMPLATES:
        return TEMPLATES[source]
    path = Path(source)
    if "{" in source or "}" in source:
        templates = [source]
    elif not path.is_file():
        raise ParameterError([f"zero_shot.templates={source}: must be one of {', '.join(TEMPLATES)}, a sentence with {{}}, or a file"])
    else:
        try:
            templates = lines_of(text_of(path.read_bytes()))
        except (OSError, ValueError) as error:
            raise ParameterError([f"zero_shot.templates={source}: cannot be read: {error}"]) from error
    wrong = [line for line in templates if line.count("{}") != 1 or re.search("[{}]", line.replace("{}", ""))]
    if wrong or not templates:
        what = wrong[0] if wrong else "the file is empty"
        raise ParameterError([f"zero_shot.templates={source}: each template needs one {{}} for the class, and no other braces: {what}"])
    return templates


def classifier(clip: Clip, classes: ClassSet, templates: Sequence[str | Callable[[str], str]], device: torch.device) -> Tensor:
    """(D, C) unit embeddings of the classes, each the normalised mean over its templates."""
    names = [words[0] for words in classes.words.values()]

    def tokenize(texts: Sequence[str]) -> Tensor:
        return torch.stack([clip.tokenize(text) for text in texts])

    return build_zero_shot_classifier(clip.model, tokenize, names, templates, num_classes_per_batch=10, device=device)


@dataclass(frozen=True)
class Accuracy:
    """Accuracy over images that show one class or several."""

    top: dict[int, float]
    """By k: share of images with one of their classes among the k best."""
    chance: dict[int, float]
    """By k: the same for a random order."""
    per_class: dict[str, tuple[int, float]]
    """By class: the number of images that show it, and the share of them with it among the m best, where the image shows m classes."""
    best: Tensor
    """(N,) the best class; -1 where none has a finite score."""

    @property
    def mean_per_class(self) -> float:
        shares = [share for count, share in self.per_class.values() if count]
        return sum(shares) / len(shares)


def accuracy(scores: Tensor, labels: Sequence[set[int]], names: Sequence[str]) -> Accuracy:
    """Rank all classes for each image.

    A wrong class with the same score as a right one counts as ranked before it, as does a wrong class whose score is not finite. A right
    class whose score is not finite is never found.

    Args:
        scores: (N, C).
        labels: the classes that each image shows, at least one.
        names: of the classes.
    """
    scores = scores.cpu()
    pairs = torch.tensor([(row, label) for row, those in enumerate(labels) for label in sorted(those)])
    rows, shown = pairs[:, 0], torch.zeros(scores.shape, dtype=torch.bool)
    shown[rows, pairs[:, 1]] = True
    several = shown.sum(1)
    before = sum(above_and_tied(scores, shown))
    own, others = scores[rows, pairs[:, 1], None], scores[rows]
    earlier = torch.where(shown[rows], others > own, ~(others.isfinite() & (others < own)))
    hits = own[:, 0].isfinite() & (earlier.sum(1) < several[rows])
    found = torch.zeros(len(names)).index_add_(0, pairs[:, 1], hits.float()).tolist()
    counts = shown.sum(0).tolist()
    return Accuracy(
        {k: float((before < k).double().mean()) for k in TOP},
        {k: sum(chance_of(len(names), count, k) for count in several.tolist()) / len(labels) for k in TOP},
        {name: (count, hit / count if count else 0.0) for name, count, hit in zip(names, counts, found, strict=True)},
        best_of(scores)[:, 0],
    )
