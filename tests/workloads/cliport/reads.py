"""Runs of cliport's commands and branches that its smoke run does not go through, for the check that each reads its settings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

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
    yield {
        "command": "eval",
        "dataset_path": data,
        "eval_task": TASK,
        "n_demos": 1,
        **evaluated(trained / "checkpoints", folder / "results"),
    }
    yield {"command": "predict", "folder": scene(folder / "scene"), "init_from": trained, "instruction": "do it", "debug_images": 1}


def scene(folder: Path) -> Path:
    """A height map of an empty table."""
    folder.mkdir()
    Image.fromarray(np.full((320, 160, 3), 90, np.uint8)).save(folder / "color.png")
    np.save(folder / "heights.npy", np.zeros((320, 160), np.float32))
    return folder


def evaluated(checkpoints: Path, results: Path) -> dict[str, Any]:
    """Settings of an evaluation that finds the results of the checkpoint that it means, so that nothing is left to simulate."""
    results.mkdir()
    (results / f"{TASK}-cliport-n1-results-val.json").write_text(json.dumps({"last.ckpt": {"episodes": [], "mean_reward": 0.0}}))
    return {"model_path": checkpoints, "checkpoint_type": "last", "save_path": results}
