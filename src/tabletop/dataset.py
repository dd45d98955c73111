"""Writing a dataset of scenes in one of `tabletop.formats`. Two files are part of every format:

scenes.jsonl      one line per scene: objects with pose, box and visible pixels, relations, camera, captions
manifest.json     written last: format, settings, and the digest of scenes.jsonl
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

import pybullet
from PIL import Image

from harness.errors import ParameterError
from harness.files import write_json
from harness.report import Report

from .config import RenderConfig
from .formats import FORMATS, Format, Sample
from .formats.format import box_of
from .language import relations
from .scene import make_scene

SCENES_PER_PROCESS = 256
"""Scenes after which a process ends: each leaves about 1.4 MB behind."""
CHUNK = 4
"""Scenes handed to a process at a time."""
UNSEEN = (
    "The multiset of (colour, shape) pairs in a held-out scene occurs in no scene of train; "
    "single colours, shapes, pairs and relations do. Which part a multiset belongs to is decided by its SHA-256."
)


def render(settings: RenderConfig, seed: int, output: Path, report: Report) -> Path:
    """Render the dataset below `output` and return its folder, which appears complete or not at all.

    Scene `i` depends only on (seed, i) and the settings, not on the number of processes.

    Raises:
        ParameterError: for contradictory settings, listing all contradictions.
        SceneError: when the settings leave no room for a scene.
    """
    problems = list(settings.problems())
    if problems:
        raise ParameterError(problems)
    folder, unfinished = output / settings.dataset_name, output / f".{settings.dataset_name}.unfinished"
    for stale in (unfinished, folder):
        shutil.rmtree(stale, ignore_errors=True)
    unfinished.mkdir(parents=True)
    layout = FORMATS[settings.format](unfinished, settings, seed)
    notes = []
    digest = hashlib.sha256()
    jobs = [(settings, seed, index, part, unfinished) for index, part in settings.scenes()]
    shown = set(range(0, settings.n, -(-settings.n // settings.debug_images))) if settings.debug_images else set()
    with (unfinished / "scenes.jsonl").open("wb") as labels, mapping(settings.workers or len(os.sched_getaffinity(0)), settings.n) as each:
        for number, (record, note) in enumerate(report.progress(each(write_scene, jobs), total=settings.n, description="scenes")):
            line = (json.dumps(record) + "\n").encode()
            labels.write(line)
            digest.update(line)
            notes.append((record["part"], note))
            if number in shown:
                show(record, note, layout, report)
    manifest = {
        "format": f"tabletop-{settings.format}/1",
        "scenes": settings.sizes,
        "unseen": UNSEEN,
        "seed": seed,
        "settings": {key: value for key, value in dataclasses.asdict(settings).items() if key not in ("workers", "debug_images")},
        "scenes.jsonl": f"sha256:{digest.hexdigest()}",
        **layout.finish(notes),
    }
    write_json(unfinished / "manifest.json", manifest)
    unfinished.rename(folder)
    report.text(f"{settings.n} scenes ({', '.join(f'{size} {part}' for part, size in settings.sizes.items())}): {folder}")
    return folder


@contextmanager
def mapping(workers: int, count: int) -> Iterator[Any]:
    """An ordered map of `count` scenes over `workers` new processes, or a few scenes in this one.

    PyBullet never frees the meshes of a scene, so that a process ends after SCENES_PER_PROCESS scenes, and another takes its place.
    """
    if workers == 1 and count <= SCENES_PER_PROCESS:
        yield map
        return
    with multiprocessing.get_context("spawn").Pool(workers, maxtasksperchild=SCENES_PER_PROCESS // CHUNK) as pool:
        yield lambda function, items: pool.imap(function, items, chunksize=CHUNK)


@lru_cache
def client() -> int:
    """This process's physics client."""
    return int(pybullet.connect(pybullet.DIRECT))


def write_scene(job: tuple[RenderConfig, int, int, str, Path]) -> tuple[dict[str, Any], Any]:
    """Make one scene, write its files, and return its record in scenes.jsonl and the format's note about it."""
    settings, seed, index, part, folder = job
    layout = FORMATS[settings.format](folder, settings, seed)
    sample = make_sample(settings, seed, index, part, layout)
    files, note = layout.write(sample)
    return describe(sample, files), note


def make_sample(settings: RenderConfig, seed: int, index: int, part: str, layout: Format) -> Sample:
    """Scene number `index` of a dataset, in one of its parts."""
    scene = make_scene(
        client(),
        [seed, index],
        heldout=part != "train",
        objects=(settings.min_objects, settings.max_objects),
        camera=(settings.image_size, settings.supersampling),
        aspect=layout.aspect(index),
        shapes=settings.shapes,
        varied=settings.varied,
        hard=settings.hard,
    )
    return Sample(scene, index, part, seed, settings)


def describe(sample: Sample, files: dict[str, str]) -> dict[str, Any]:
    """The exact labels of a scene. Boxes are [x, y, width, height] in pixels, positions in meters, quaternions x y z w."""
    scene = sample.scene
    return {
        "name": sample.stem,
        "part": sample.part,
        **files,
        "captions": sample.captions(),
        "objects": [
            {
                "number": thing.number,
                **dataclasses.asdict(thing.kind),
                "position": thing.position,
                "orientation": thing.orientation,
                "box": box_of(sample.covered(thing)),
                "pixels": int(sample.covered(thing).sum()),
            }
            for thing in scene.things
        ],
        "relations": [[relation.subject.number, relation.name, relation.object.number] for relation in relations(scene)],
        "camera": {**dataclasses.asdict(scene.camera), "view": scene.camera.view, "projection": scene.camera.projection},
    }


def show(record: dict[str, Any], note: Any, layout: Format, report: Report) -> None:
    """Report a scene with its labels."""
    with Image.open(layout.root / record["image"]) as image:
        picture = layout.picture(image, record, note)
    report.image("scenes", f"{record['part']} {record['name']}", picture, 0)
