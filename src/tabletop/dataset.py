"""The data set `tabletop-pairs`: folders of images and captions matched by stem, with exact labels beside them.

train/images/000000.png     train/captions/000000.txt      one caption per line
heldout/images/000500.png   heldout/captions/000500.txt    object combinations that train never shows
masks/000000.png            instance numbers, uint8, 0 is the table
scenes.jsonl                one line per scene: objects with pose, box and visible pixels, relations, camera
manifest.json               written last: what the set is, its settings, and the digest of scenes.jsonl
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import multiprocessing
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pybullet
from PIL import Image

from harness.errors import ParameterError
from harness.files import write_json
from harness.report import Report
from training.pictures import Line, captioned

from .config import RenderConfig
from .language import captions, relations
from .scene import Scene, Thing, make_scene

UNSEEN = (
    "The multiset of (colour, shape) pairs in a held-out scene occurs in no scene of train; "
    "single colours, shapes, pairs and relations do. Which part a multiset belongs to is decided by its SHA-256."
)


def render(settings: RenderConfig, seed: int, output: Path, report: Report) -> Path:
    """Render the data set below `output` and return its folder, which appears whole or not at all.

    Scene `i` is a function of (seed, i) and the settings, whatever the number of worker processes.
    """
    if settings.min_objects > settings.max_objects:
        raise ParameterError([f"min_objects={settings.min_objects} is above max_objects={settings.max_objects}"])
    folder, unfinished = output / "tabletop-pairs", output / ".tabletop-pairs.unfinished"
    for stale in (unfinished, folder):
        shutil.rmtree(stale, ignore_errors=True)
    heldout = round(settings.n * settings.heldout)
    jobs = [(settings, seed, index, index >= settings.n - heldout, unfinished) for index in range(settings.n)]
    for part in ("train/images", "train/captions", "heldout/images", "heldout/captions", "masks"):
        (unfinished / part).mkdir(parents=True)
    digest = hashlib.sha256()
    with (unfinished / "scenes.jsonl").open("wb") as labels, mapping(settings.workers or len(os.sched_getaffinity(0))) as each:
        for record in report.progress(each(write_scene, jobs), total=settings.n, description="scenes"):
            line = (json.dumps(record) + "\n").encode()
            labels.write(line)
            digest.update(line)
            show(record, unfinished, settings, report)
    manifest = {
        "format": "tabletop-pairs/1",
        "scenes": {"train": settings.n - heldout, "heldout": heldout},
        "unseen": UNSEEN,
        "seed": seed,
        "settings": {key: value for key, value in dataclasses.asdict(settings).items() if key not in ("workers", "debug_images")},
        "scenes.jsonl": f"sha256:{digest.hexdigest()}",
    }
    write_json(unfinished / "manifest.json", manifest)
    unfinished.rename(folder)
    report.text(f"{settings.n} scenes, {heldout} of them held out: {folder}")
    return folder


@contextmanager
def mapping(workers: int) -> Iterator[Any]:
    """An ordered map over `workers` fresh processes, or in this one."""
    if workers == 1:
        yield map
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield lambda function, items: pool.imap(function, items, chunksize=4)


@lru_cache
def client() -> int:
    """This process's physics server."""
    return int(pybullet.connect(pybullet.DIRECT))


def write_scene(job: tuple[RenderConfig, int, int, bool, Path]) -> dict[str, Any]:
    """Make one scene, write its files and return its line of scenes.jsonl."""
    settings, seed, index, heldout, folder = job
    scene = make_scene(
        client(),
        [seed, index],
        heldout=heldout,
        objects=(settings.min_objects, settings.max_objects),
        camera=(settings.image_size, settings.supersampling),
    )
    part, stem = "heldout" if heldout else "train", f"{index:06d}"
    lines = captions(scene, np.random.default_rng([seed, index, 1]), settings.captions)
    Image.fromarray(scene.photograph.image).save(folder / part / "images" / f"{stem}.png", compress_level=4)
    Image.fromarray(scene.photograph.mask).save(folder / "masks" / f"{stem}.png")
    (folder / part / "captions" / f"{stem}.txt").write_text("\n".join(lines) + "\n")
    return describe(scene, part, stem, lines)


def describe(scene: Scene, part: str, stem: str, lines: list[str]) -> dict[str, Any]:
    """Exact labels of a scene. Boxes are [x, y, width, height] in pixels, positions metres, quaternions x y z w."""
    return {
        "name": stem,
        "part": part,
        "image": f"{part}/images/{stem}.png",
        "mask": f"masks/{stem}.png",
        "captions": lines,
        "objects": [label(thing, scene.photograph.mask == thing.number) for thing in scene.things],
        "relations": [[relation.subject.number, relation.name, relation.object.number] for relation in relations(scene)],
        "camera": {**dataclasses.asdict(scene.camera), "view": scene.camera.view, "projection": scene.camera.projection},
    }


def label(thing: Thing, mask: np.ndarray) -> dict[str, Any]:
    ys, xs = np.nonzero(mask)
    left, top = int(xs.min()), int(ys.min())
    return {
        "number": thing.number,
        **dataclasses.asdict(thing.kind),
        "position": thing.position,
        "orientation": thing.orientation,
        "box": [left, top, int(xs.max()) + 1 - left, int(ys.max()) + 1 - top],
        "pixels": int(mask.sum()),
    }


def show(record: dict[str, Any], folder: Path, settings: RenderConfig, report: Report) -> None:
    """Report some scenes, spread over the set, with their captions."""
    index, every = int(record["name"]), -(-settings.n // max(1, settings.debug_images))
    if settings.debug_images and index % every == 0:
        with Image.open(folder / record["image"]) as image:
            picture = captioned(image, [Line(f"- {text}") for text in record["captions"]])
        report.image("scenes", f"{record['part']} {record['name']}", picture, 0)
