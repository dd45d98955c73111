"""Pictures of scenes of a task as files, by the simulator's own cameras or by another one in each scene, and the true poses.

python -m benchmarks.cliport.photographs FOLDER TASK SCENES own|other  (in the image's environment; the last line is JSON)

Depth is in whole millimetres, as depth cameras give it. Each scene is that of a seed of mode=test.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cliport.sim.cameras import CAMERAS, Camera, looking
from cliport.sim.environment import Environment
from cliport.sim.poses import quaternion_from_euler
from cliport.sim.studio import studio
from cliport.tasks import FIRST_SEED, make

MIDDLE = (0.5, 0.0, 0.0)
SHAPE = (960, 1280)


def drawn(rng: np.random.Generator) -> Camera:
    """A camera anywhere before the table that sees all of it."""
    away, around, up = rng.uniform(1.15, 1.35), rng.uniform(-1.6, 1.6), rng.uniform(0.85, 1.2)
    x, y, z = MIDDLE + away * np.array([math.cos(up) * math.cos(around), math.cos(up) * math.sin(around), math.sin(up)])
    return replace(looking((float(x), float(y), float(z)), MIDDLE, focal=float(rng.uniform(780, 900))), shape=SHAPE)


def described(camera: Camera) -> dict[str, Any]:
    """A camera's calibration, as a scene's folder has it."""
    rows, columns = camera.shape
    return {
        "fx": camera.focal,
        "fy": camera.focal,
        "cx": (columns - 1) / 2,
        "cy": (rows - 1) / 2,
        "width": columns,
        "height": rows,
        "position": list(camera.position),
        "quaternion": quaternion_from_euler(*camera.euler).tolist(),
    }


def photographed(env: Environment, camera: Camera, folder: Path, name: str) -> None:
    """The files of one view."""
    env.arrange()
    color, depth, _ = studio(env.renderer).photograph(camera)
    Image.fromarray(color).save(folder / f"color{name}.png")
    Image.fromarray(np.rint(depth * 1000).astype(np.uint16)).save(folder / f"depth{name}.png")
    (folder / f"camera{name}.json").write_text(json.dumps(described(camera)))


def photographs(folder: Path, task_name: str, scenes: int, other: bool) -> list[list[dict[str, Any]]]:
    """Write the scenes below `folder`; position, quaternion and extents of each piece that is to be picked, scene by scene."""
    truths = []
    with Environment() as env:
        for number in range(scenes):
            task = make(task_name, "test")
            env.reset(task, FIRST_SEED["test"] + 2 * number, observe=False)
            place = folder / f"{number:03d}"
            place.mkdir(parents=True)
            cameras = [drawn(np.random.default_rng(number))] if other else CAMERAS
            for position, camera in enumerate(cameras):
                photographed(env, camera, place, "" if other else f"_{position}")
            (place / "instruction.txt").write_text(task.language())
            goal = task.goal
            assert goal is not None
            here = [(env.pose(piece.body), env.size(piece.body)) for piece in goal.pieces]
            truths.append([{"position": at.tolist(), "quaternion": turn.tolist(), "size": list(size)} for (at, turn), size in here])
    return truths


if __name__ == "__main__":
    where, name, count, kind = sys.argv[1:]
    print(json.dumps({"truths": photographs(Path(where), name, int(count), kind == "other")}))
