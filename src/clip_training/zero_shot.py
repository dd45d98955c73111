"""Zero-shot classification: classes as words, templates that make sentences of them, labels, and how often the best class is right."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from open_clip import IMAGENET_CLASSNAMES, OPENAI_IMAGENET_TEMPLATES, SIMPLE_IMAGENET_TEMPLATES, build_zero_shot_classifier
from torch import Tensor

from harness.errors import ParameterError
from harness.params import nearest
from harness.torch.scores import above_and_tied, best_of

from .model import Clip
from .retrieval import chance_of

OWN = Path(__file__).parent / "classes"
TEMPLATES: dict[str, Sequence[str | Callable[[str], str]]] = {
    "openai": OPENAI_IMAGENET_TEMPLATES,
    "simple": SIMPLE_IMAGENET_TEMPLATES,
    "photo": ("a photo of a {}.",),
    "name": ("{}",),
}
"""The paper's 80, the 7 of them that its notebook found to be enough, one, and none."""
KS = (1, 5)


@dataclass(frozen=True)
class ClassSet:
    """Classes that exclude each other, or of which an image shows several.

    The first word of a class is what templates are filled with; any of its words in a caption names it.
    """

    name: str
    words: dict[str, tuple[str, ...]]
    """By the class's own name: a row of the table, a sub-folder."""

    def labels(self, caption: str) -> set[int]:
        """The classes that a caption names, by whole words in any case, plurals in -s and -es included."""
        return {number for number, pattern in enumerate(self.patterns) if pattern.search(caption)}

    @property
    def patterns(self) -> list[re.Pattern[str]]:
        return [word_pattern(words) for words in self.words.values()]


def word_pattern(words: Sequence[str]) -> re.Pattern[str]:
    phrases = "|".join(r"\s+".join(map(re.escape, word.split())) for word in words)
    return re.compile(rf"(?<!\w)(?:{phrases})(?:e?s)?(?!\w)", re.IGNORECASE)


def read_classes(source: str) -> ClassSet:
    """Classes by name: `imagenet`, one of classes/ beside this file, or a YAML file: a list of names, or a mapping of a name to words.

    Raises:
        ParameterError: where there is no such file, or it holds something else.
    """
    if source == "imagenet":
        return ClassSet(source, {name: (name,) for name in dict.fromkeys(IMAGENET_CLASSNAMES)})
    known = {path.stem: path for path in sorted(OWN.glob("*.yaml"))}
    path = known.get(source, Path(source))
    if not path.is_file():
        names = ["imagenet", *known]
        raise ParameterError([f"zero_shot.classes={source}: neither a file nor one of {', '.join(names)}{nearest(source, names)}"])
    try:
        stated = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ParameterError([f"zero_shot.classes={source}: cannot be read: {error}"]) from error
    words = words_of(stated)
    if len(words) < 2:
        raise ParameterError([f"zero_shot.classes={source}: must be a YAML list of two classes or more, or a mapping of classes to words"])
    return ClassSet(path.stem, words)


def words_of(stated: Any) -> dict[str, tuple[str, ...]]:
    """Words by class; nothing where what is stated has another form."""
    if isinstance(stated, list):
        stated = {name: name for name in stated}
    if not isinstance(stated, dict):
        return {}
    listed = {str(name): words if isinstance(words, list) else [words] for name, words in stated.items()}
    if any(not words or not all(isinstance(word, str) and word.strip() for word in words) for words in listed.values()):
        return {}
    return {name: tuple(words) for name, words in listed.items()}


def read_templates(source: str) -> Sequence[str | Callable[[str], str]]:
    """A key of TEMPLATES, a template itself, or a file of one template per line; `{}` is where the class goes.

    Raises:
        ParameterError: for a template without its `{}`.
    """
    if source in TEMPLATES:
        return TEMPLATES[source]
    if "{}" in source:
        return [source]
    path = Path(source)
    if not path.is_file():
        raise ParameterError([f"zero_shot.templates={source}: write one of {', '.join(TEMPLATES)}, a sentence with {{}} in it, or a file"])
    templates = [line.strip() for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
    wrong = [line for line in templates if line.count("{}") != 1 or line.replace("{}", "").count("{")]
    if wrong or not templates:
        raise ParameterError([f"zero_shot.templates={source}: each line needs one {{}}: {wrong[0] if wrong else 'there is none'}"])
    return templates


def classifier(clip: Clip, classes: ClassSet, templates: Sequence[str | Callable[[str], str]], device: torch.device) -> Tensor:
    """(D, C) unit embeddings of the classes, each the mean of its templates' embeddings."""
    names = [words[0] for words in classes.words.values()]

    def tokenize(texts: Sequence[str]) -> Tensor:
        return torch.stack([clip.tokenize(text) for text in texts])

    return build_zero_shot_classifier(clip.model, tokenize, names, templates, num_classes_per_batch=10, device=device)


@dataclass(frozen=True)
class Accuracy:
    """How well classes were told apart, over images that show one class or several."""

    top: dict[int, float]
    """By k: share of the images one of whose classes is among the k best."""
    chance: dict[int, float]
    """The same for a random order."""
    per_class: dict[str, tuple[int, float]]
    """How many images show a class, and the share of those with it among their m best, m being how many classes the image shows."""
    best: Tensor
    """(N,) the best class; -1 where none has a score."""

    @property
    def mean_per_class(self) -> float:
        shares = [share for count, share in self.per_class.values() if count]
        return sum(shares) / len(shares)


def accuracy(scores: Tensor, labels: Sequence[set[int]], names: Sequence[str]) -> Accuracy:
    """Rank all classes for each image. A wrong class that scores the same as a right one counts as ranked before it.

    So does one whose score is not finite; a right one whose score is not finite is never found.

    Args:
        scores: (N, C).
        labels: the classes that each image shows, one at least.
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
        {k: float((before < k).double().mean()) for k in KS},
        {k: sum(chance_of(len(names), count, k) for count in several.tolist()) / len(labels) for k in KS},
        {name: (count, hit / count if count else 0.0) for name, count, hit in zip(names, counts, found, strict=True)},
        best_of(scores)[:, 0],
    )
