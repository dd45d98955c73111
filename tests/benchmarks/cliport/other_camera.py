"""Whether `predict` finds what it should pick in pictures of cameras that the agent has never seen through, by the scenes' true poses.

CLIPORT_BENCH_FOLDER=FOLDER keeps what is made there, as for `learning`, whose agent it is.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from benchmarks.cliport import found_by
from benchmarks.cliport.learning import SCENES, TASKS, VALIDATION, Bench
from benchmarks.table import Row, more_is_better

TEXT = """
The same small agent asked by `command=predict` in pictures that were written as files: colours, depth in whole millimetres, a camera's
calibration. In each scene another single camera, at a place, with a focal length and a resolution that the simulator's three do not have,
against those three in the same scenes. A pick is right if it is within a centimetre of a piece that the instruction means, by that piece's
true pose and extents; demonstrators pick anywhere on a piece, so its middle is a stricter measure.
"""
TASK = "place-red-in-green"
NEAR = 0.01
"""Metres."""
KINDS = {"other": "one other camera per scene", "own": "the simulator's three cameras"}


def answers(bench: Bench, kind: str) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """What the agent answers in each scene, and the pieces that are right."""
    place = bench.folder / "photographs" / kind
    truths = place / "truths.json"
    if not truths.exists():
        truths.parent.mkdir(parents=True, exist_ok=True)
        found = found_by("photographs", place / "scenes", TASK, SCENES, kind)["truths"]
        truths.write_text(json.dumps(found))
    given = {"folder": place / "scenes", "init_from": bench.checkpoint(TASK, "trained"), "model__clip_weights": bench.clip}
    bench.run("cliport", place, "predict", **given, debug_images=0)
    (file,) = (place / "predict").glob("cliport/*/answers/answers.json")  # the artifacts have a copy
    return list(zip(json.loads(file.read_text())["answers"], json.loads(truths.read_text()), strict=True))


def distances(answer: dict[str, Any], pieces: Sequence[dict[str, Any]]) -> tuple[float, float]:
    """Metres from the pick to the nearest of the pieces, 0 within it, and horizontally to the nearest middle of one."""
    import numpy as np

    pick = np.array(answer["pick"]["position"])
    outside, middle = [], []
    for piece in pieces:
        x, y, z, w = piece["quaternion"]
        away = pick - piece["position"]
        vector = -np.array([x, y, z])  # the inverse rotation
        own = away + 2 * w * np.cross(vector, away) + 2 * np.cross(vector, np.cross(vector, away))
        outside.append(float(np.linalg.norm(np.maximum(np.abs(own) - np.array(piece["size"]) / 2, 0))))
        middle.append(float(np.linalg.norm(away[:2])))
    return min(outside), min(middle)


def rows() -> list[Row]:
    kept = os.environ.get("CLIPORT_BENCH_FOLDER")
    with nullcontext(kept) if kept else tempfile.TemporaryDirectory() as place:
        bench = Bench(Path(place).absolute())
        bench.make_clip()
        for mode, count in (("train", TASKS[TASK]), ("val", VALIDATION)):
            bench.make_demos(TASK, mode, count)
        bench.train(TASK, "trained")
        found = {kind: [distances(*one) for one in answers(bench, kind)] for kind in KINDS}
        shares = {kind: [sum(each[number] < NEAR for each in found[kind]) / SCENES for number in (0, 1)] for kind in KINDS}
        notes = (f"against {KINDS['own']}", f"{SCENES} unseen scenes of {TASK}", *bench.learned_from(TASK))
        return [
            more_is_better(f"picks within 1 cm of {what}", shares["other"][number], shares["own"][number], "share", *notes)
            for number, what in enumerate(("the right piece", "its middle"))
        ]
