"""Sherlock's files in Sherlock's folders: regions of images, each with a clue and an inference from it.

sherlock_dataset/sherlock_train_v1_1.json                      records
sherlock_dataset/sherlock_val_with_split_idxs_v1_1.json        records with the number of their retrieval split
sherlock_dataset/image_url2auto_bboxes.json                    boxes that a detector might propose, by image
val_{retrieval,localization,comparison}/                       the leaderboard's instances and answers (see `leaderboard`)
test_{retrieval,localization,comparison}_public/               instances only: the original does not publish the answers of test
vcr1images/tabletop_0000/000000@0.jpg                          every other image has the format of film, the others have `aspect`
vg/images/VG_100K/2.jpg     vg/images/VG_100K_2/4.jpg

As in the original, the last parts of an image's URL are its path below vcr1images and vg/images. The host name can never exist.
Texts are made by rules (see `tabletop.deduction`), as are "auto" boxes and the judgments of the comparison.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from harness.torch.pictures import Line, captioned

from ..deduction import Observation, observations
from . import leaderboard
from .format import Format, Sample, box_of
from .leaderboard import Case

HOST = "http://tabletop.invalid"
WIDE = 2.35  # width divided by height of film
CERTAIN = 3.0  # an annotator's highest confidence
NOTE = "clues, inferences, auto boxes and judgements come from rules, not from annotators"


class Sherlock(Format):
    def aspect(self, index: int) -> float:
        return WIDE if is_film(index) else self.settings.aspect

    def write(self, sample: Sample) -> tuple[dict[str, str], dict[str, Any]]:
        path, url = place(sample.index)
        self.save_photograph(sample, path)
        height, width = sample.scene.photograph.mask.shape
        image = {"url": url, "width": width, "height": height}
        rng = np.random.default_rng([self.seed, sample.index, 2])
        found = observations(sample.scene)
        boxes = {thing.number: box_of(sample.covered(thing)) for thing in sample.scene.things}
        cases = [
            Case(
                image=image,
                region=[named(boxes[number]) for number in observation.things],
                clue=observation.clue,
                inference=observation.inference,
                number=number,
                identity=identity(self.seed, sample.index, number),
                truths=sorted({other.inference for other in found if set(other.things) == set(observation.things)}),
            )
            for number, observation in enumerate(chosen(found, rng, self.settings.captions))
        ]
        return {"image": path}, {"cases": cases, "proposals": proposals(list(boxes.values()), width, height, rng)}

    def finish(self, notes: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
        cases = {part: [case for owner, note in notes if owner == part for case in note["cases"]] for part in self.settings.sizes}
        proposed = {note["cases"][0].image["url"]: note["proposals"] for _, note in notes}
        train = [record(case) for case in cases["train"]]
        splits = leaderboard.splits(cases["val"])
        inside = {case.identity: number for number, members in enumerate(splits) for case in members}
        val = [record(case) | {"split_idx": inside[case.identity]} for case in cases["val"]]
        self.save_json("sherlock_dataset/sherlock_train_v1_1.json", train)
        self.save_json("sherlock_dataset/sherlock_val_with_split_idxs_v1_1.json", val)
        self.save_json("sherlock_dataset/image_url2auto_bboxes.json", proposed)
        for part, suffix in (("val", ""), ("test", "_public")):
            for task, name, instances, answers in leaderboard.tests(cases[part], proposed, self.seed):
                stem = f"{part}_{task}{suffix}/{part}_{name}"
                self.save_json(f"{stem}_instances.json", instances)
                self.save_json(f"{stem}_instance_ids.json", sorted(instance["test_id"] for instance in instances))
                if part == "val":
                    self.save_json(f"{stem}_answer_key.json", answers)
        return {"records": {part: len(members) for part, members in cases.items()}, "note": NOTE}

    def picture(self, image: Image.Image, record: dict[str, Any], note: dict[str, Any]) -> Image.Image:
        """The first region, highlighted, with its clue and inference."""
        case = note["cases"][0]
        overlay = Image.new("RGBA", image.size)
        for box in case.region:
            left, top = box["left"], box["top"]
            corners = [left, top, left + box["width"] - 1, top + box["height"] - 1]
            ImageDraw.Draw(overlay).rectangle(corners, fill="#ff05cd3c", outline="#05ff37ff", width=3)
        highlighted = Image.alpha_composite(image.convert("RGBA"), overlay)
        return captioned(highlighted, [Line(f"clue: {case.clue}"), Line(f"inference: {case.inference}")])


def is_film(index: int) -> bool:
    """Whether a scene is among VCR's images, which come from films; the others are among Visual Genome's."""
    return index % 2 == 0


def place(index: int) -> tuple[str, str]:
    """An image's path below the root, and its URL."""
    if is_film(index):
        path = f"vcr1images/tabletop_{index // 100:04d}/{index:06d}@0.jpg"
        return path, f"{HOST}/{path}"
    path = f"{'VG_100K' if index % 4 == 1 else 'VG_100K_2'}/{index + 1}.jpg"
    return f"vg/images/{path}", f"{HOST}/{path}"


def identity(*numbers: int) -> str:
    """An ID of 32 hexadecimal digits."""
    return hashlib.sha256(repr(numbers).encode()).hexdigest()[:32]


def named(box: Sequence[int]) -> dict[str, int]:
    return dict(zip(("left", "top", "width", "height"), box, strict=True))


def chosen(found: Sequence[Observation], rng: np.random.Generator, count: int) -> list[Observation]:
    """Up to `count` random observations, each of a different region; arrangements come before single objects."""
    drawn = sorted((found[i] for i in rng.permutation(len(found))), key=lambda observation: -len(observation.things))
    regions = {frozenset(observation.things): observation for observation in reversed(drawn)}
    return [observation for observation in drawn if observation in regions.values()][:count]


def proposals(boxes: Sequence[Sequence[int]], width: int, height: int, rng: np.random.Generator) -> list[dict[str, int]]:
    """What a detector might propose: each box with its edges moved by up to a seventh of its size, and two random boxes."""
    corners = np.array([[left, top, left + wide, top + high] for left, top, wide, high in boxes], float)
    corners += rng.uniform(-1 / 7, 1 / 7, corners.shape) * np.tile(corners[:, 2:] - corners[:, :2], 2)
    noise = np.sort(rng.uniform(0, 1, (2, 2, 2)), axis=1).reshape(2, 4) * [width, height, width, height]
    limits = np.array([width, height, width, height])
    found = np.rint(np.concatenate([corners, noise]).clip(0, limits)).astype(int)
    sides = (found[:, 2:] - found[:, :2]).clip(1)
    starts = np.minimum(found[:, :2], limits[:2] - sides)
    return [named(box) for box in np.concatenate([starts, sides], axis=1).tolist()]


def record(case: Case) -> dict[str, Any]:
    """A record in Sherlock's form."""
    return {
        "inputs": {"image": case.image, "bboxes": case.region, "clue": case.clue, "confidence": CERTAIN, "obs_idx": case.number},
        "targets": {"inference": case.inference},
        "instance_id": case.identity,
    }
