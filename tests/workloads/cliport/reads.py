"""Runs of cliport's commands and branches that its smoke run does not go through, for the check that each reads its settings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

TASK = "put-block-in-bowl-seen-colors"
FILM = {"record.save_video": True, "record.video_height": 64, "record.video_width": 64, "record.fps": 5}
SMALL = {
    "train.task": TASK,
    "train.agent": "transporter",
    "train.n_demos": 1,
    "train.n_val": 1,
    "train.n_steps": 1,
    "train.n_rotations": 4,
    "train.workers": 0,
    "train.debug_images": 0,
    "model.size": "small",
    "model.clip_weights": "random",
}


def runs(folder: Path) -> Iterator[dict[str, Any]]:
    data = folder / "data"
    yield {"command": "demos", "task": TASK, "n": 1, "n_val": 1, "data_dir": data, "renderer": "tiny", **FILM}
    yield {"command": "train", "dataset_path": data, **SMALL}
    trained = folder / "outputs" / "further-2"
    yield {"command": "finetune", "dataset_path": data, "init_from": trained, **SMALL}
    found = {"model_path": trained / "checkpoints", "checkpoint_type": "last"}
    yield {"command": "eval", "dataset_path": data, **found, "eval_task": TASK, "mode": "val", "n_demos": 1, "renderer": "tiny"}
