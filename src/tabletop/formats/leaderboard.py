"""Sherlock's three tests: which inference belongs to a region, which region to an inference, and how well inferences fit a region.

A test consists of instances, each of which a model has to score, and of answers, in the form that the published scorers read.

retrieval      every region with every inference of a split; the answer names the two records
localization   every inference with every region of its image ("gt", one is correct) and every proposed box ("auto", judged by overlap)
comparison     ten inferences for a region, each judged twice; here 3 if the rules derive it from the region, otherwise 1
"""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

SPLIT = 50  # records per retrieval split, whose instances are all pairs of them; the original has about 1000
CANDIDATES = 10  # inferences compared for a region
FITS, DOES_NOT = 3.0, 1.0

Box = dict[str, int]
"""left, top, width and height in pixels."""


@dataclass(frozen=True)
class Case:
    """A record: a region of an image, a clue in it, and an inference from it."""

    image: dict[str, Any]
    """url, width and height."""
    region: list[Box]
    clue: str
    inference: str
    number: int
    """Its number among the records of its image."""
    identity: str
    truths: list[str]
    """Every inference that the rules derive from the region."""


Test = tuple[str, str, list[dict[str, Any]], dict[str, Any]]


def tests(cases: Sequence[Case], proposed: Mapping[str, Sequence[Box]], seed: int) -> Iterator[Test]:
    """All tests: task, name of its files, instances and answers."""
    for number, members in enumerate(splits(cases)):
        yield "retrieval", f"retrieval_{number}", *retrieval(members)
    yield "localization", "localization", *localization(cases, proposed)
    yield "comparison", "comparison", *comparison(cases, np.random.default_rng([seed, 3]))


def splits(cases: Sequence[Case]) -> list[list[Case]]:
    """Groups of up to SPLIT cases, of sizes that differ by one at most.

    An inference that occurred twice in a split would be correct for two regions, but count as correct for one. So equal inferences are
    dealt out one after the other to different groups.
    """
    often = Counter(case.inference for case in cases)
    count = max(-(-len(cases) // SPLIT), *often.values(), 0)
    groups: list[list[Case]] = [[] for _ in range(count)]
    for number, case in enumerate(sorted(cases, key=lambda case: (-often[case.inference], case.inference))):
        groups[number % count].append(case)
    return groups


def retrieval(cases: Sequence[Case]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    pairs = list(itertools.product(cases, cases))
    instances = [instance("retrieval", seen, seen.region, told.inference, told.identity) for seen, told in pairs]
    answers = {each["test_id"]: [seen.identity, told.identity] for each, (seen, told) in zip(instances, pairs, strict=True)}
    return instances, answers


def localization(cases: Sequence[Case], proposed: Mapping[str, Sequence[Box]]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    instances, answers = [], {}
    for url, grouped in itertools.groupby(cases, key=lambda case: str(case.image["url"])):
        members = list(grouped)
        for case, (number, other) in itertools.product(members, enumerate(members)):
            instances.append(instance("localization", case, other.region, case.inference, f"gt {number}"))
            answer = {"type": "gt", "bbox_idx": number, "correct": other is case, "IoU": overlap(case.region, other.region)}
            answers[instances[-1]["test_id"]] = answer | {"image": url, "inst_id": case.identity}
        for case, (number, box) in itertools.product(members, enumerate(proposed[url])):
            instances.append(instance("localization", case, [box], case.inference, f"auto {number}"))
            answer = {"type": "auto", "bbox_idx": number, "IoU": overlap(case.region, [box])}
            answers[instances[-1]["test_id"]] = answer | {"image": url, "inst_id": case.identity}
    return instances, answers


def comparison(cases: Sequence[Case], rng: np.random.Generator) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    instances, places, annotations = [], {}, []
    for case in cases:
        others = [other for other in cases if other is not case]
        drawn = [others[i] for i in rng.permutation(len(others))[: CANDIDATES - 1]]
        judged = []
        for candidate in (case, *drawn):
            instances.append(instance("comparison", case, case.region, candidate.inference, candidate.identity))
            places[instances[-1]["test_id"]] = {"Input_iid": case.identity, "candidate": candidate.identity}
            judgement = FITS if candidate.inference in case.truths else DOES_NOT
            judged.append({"source_iid": candidate.identity, "annot1": judgement, "annot2": judgement})
        annotations.append({"Input_iid": case.identity, "candidates": judged})
    return instances, {"test_id_map": places, "annotations": annotations}


def instance(task: str, case: Case, region: Sequence[Box], inference: str, what: str) -> dict[str, Any]:
    """A triple of image, region and inference to be scored; `what` distinguishes it from the case's others in this task."""
    test_id = hashlib.sha256(f"{task} {case.identity} {what}".encode()).hexdigest()[:32]
    return {"image": case.image, "region": region, "inference": inference, "test_id": test_id, "extra_info": {"task": task}}


def overlap(one: Sequence[Box], other: Sequence[Box]) -> float:
    """Intersection over union of the areas covered by two lists of boxes."""
    areas = [*one, *other]
    width, height = (max(box[start] + box[length] for box in areas) for start, length in (("left", "width"), ("top", "height")))
    covered = np.zeros((2, height, width), bool)
    for layer, boxes in zip(covered, (one, other), strict=True):
        for box in boxes:
            layer[box["top"] : box["top"] + box["height"], box["left"] : box["left"] + box["width"]] = True
    return float(covered.all(0).sum() / covered.any(0).sum())
