"""Which of a run's scalars is its main metric, and for which scalars a smaller value is better.

A workload declares this in workload.yaml, and its runs store it as JSON in the user property `metrics` of their task. Without a
declaration, the words in a scalar's name decide.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any

PROPERTY = "metrics"
KEYS = ("main", "lower", "higher")

# Names of common measures, in words. If a scalar's name contains several, the last one counts: "accuracy/loss" is a loss.
_LOWER = """
    loss, losses, error, errors, err, cost, regret, negative log likelihood, neg log likelihood, nll, cross entropy, crossentropy, bce,
    perplexity, ppl, bpc, bpb, bits per byte, bits per character, bits per dim, kl, kld, divergence, brier, ece, calibration error,
    mae, mape, smape, mse, rmse, msle, rmsle, l1, l2, epe, distance, dist, edit distance, chamfer, hausdorff, hd95, assd,
    wer, cer, ter, der, eer, fpr, fnr, false positive, false positives, false negative, false negatives, false alarm, miss rate,
    fid, kid, fvd, fad, lpips, mean rank, median rank, meanr, medr, latency, time, seconds per step
"""
_HIGHER = """
    accuracy, acc, precision, recall, sensitivity, specificity, f1, auc, auroc, auprc, roc, ap, map, ar, mar, iou, miou, dice, kappa, mcc,
    psnr, ssim, snr, bleu, rouge, meteor, cider, spice, ndcg, mrr, reciprocal rank, r2, correlation, pearson, spearman, similarity,
    likelihood, log likelihood, elbo, success, reward, return, win rate, throughput, per second
"""


def _phrases(text: str) -> set[tuple[str, ...]]:
    return {tuple(phrase.split()) for phrase in text.split(",")}


_KNOWN = dict.fromkeys(_phrases(_HIGHER), False) | dict.fromkeys(_phrases(_LOWER), True)
_LONGEST = max(map(len, _KNOWN))


def words(name: str) -> Iterator[str]:
    """The words of a name in lower case, split at anything but letters and digits, and in camelCase unless the whole is known (mIoU)."""
    for part in re.findall(r"[^\W_]+", name):
        if (part.lower(),) in _KNOWN:
            yield part.lower()
        else:
            yield from (word.lower() for word in re.findall(r"[A-Z]+(?![a-z])\d*|[A-Z]?[a-z]+\d*|[^\Wa-zA-Z]+", part))


def guessed_lower(name: str) -> bool:
    """Whether a smaller value is better, according to the last known measure in a scalar's name; False if there is none."""
    found, lower, start = list(words(name)), False, 0
    while start < len(found):
        sizes = range(min(_LONGEST, len(found) - start), 0, -1)
        size = next((size for size in sizes if tuple(found[start : start + size]) in _KNOWN), None)
        if size is not None:
            lower = _KNOWN[tuple(found[start : start + size])]
        start += size or 1
    return lower


@dataclass(frozen=True)
class Metrics:
    """A declaration of metrics. Names are `title/series`; a `*` matches anything."""

    main: tuple[str, ...] = ()
    """The main metric of a run is the first of these that it has reported."""
    lower: tuple[str, ...] = ()
    higher: tuple[str, ...] = ()

    @classmethod
    def of(cls, stated: Any) -> Metrics:
        """From the mapping in workload.yaml.

        Raises:
            ValueError: listing all problems, one per line.
        """
        problems = problems_of_metrics(stated)
        if problems:
            raise ValueError("\n".join(problems))
        return cls(**{key: _listed(value) for key, value in (stated or {}).items()})

    @classmethod
    def read(cls, stated: str | None) -> Metrics:
        """From a task's property; empty if somebody has overwritten it with something else."""
        try:
            return cls.of(json.loads(stated or "{}"))
        except ValueError:
            return cls()

    def stated(self) -> str:
        """The value of a task's property."""
        return json.dumps({key: names for key, names in asdict(self).items() if names})

    def lower_is_better(self, name: str) -> bool:
        for patterns, lower in ((self.lower, True), (self.higher, False)):
            if any(_matches(pattern, name) for pattern in patterns):
                return lower
        return guessed_lower(name)

    def main_of(self, names: Iterable[str]) -> str | None:
        """The main metric among these scalars."""
        return next((name for name in self.main_first(names) if self._rank(name) < len(self.main)), None)

    def main_first(self, names: Iterable[str]) -> list[str]:
        """The names sorted, main metrics first."""
        return sorted(names, key=lambda name: (self._rank(name), name))

    def _rank(self, name: str) -> int:
        return next((place for place, pattern in enumerate(self.main) if _matches(pattern, name)), len(self.main))


def problems_of_metrics(stated: Any) -> list[str]:
    """All problems of a declaration of metrics."""
    if stated is None:
        return []
    if not isinstance(stated, dict):
        return [f"metrics is {stated!r}; must be a mapping with {', '.join(KEYS)}"]
    problems = [f"metrics: unknown key {key!r}; allowed: {', '.join(KEYS)}" for key in stated if key not in KEYS]
    for key in KEYS:
        value = stated.get(key, [])
        if not all(isinstance(name, str) and "/" in name for name in (value if isinstance(value, list) else [value])):
            problems.append(
                f"metrics.{key} is {value!r}; must be title/series as reported by the run, or a list of such names; * matches anything"
            )
    if not problems and (both := sorted(set(_listed(stated.get("lower", []))) & set(_listed(stated.get("higher", []))))):
        problems.append(f"metrics: {', '.join(both)} cannot be both lower and higher")
    return problems


def _listed(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _matches(pattern: str, name: str) -> bool:
    return fnmatchcase(name, re.sub(r"[\[?]", r"[\g<0>]", pattern))  # only the star is special
