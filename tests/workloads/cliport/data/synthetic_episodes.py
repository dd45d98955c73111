"""Episodes drawn without a simulator: coloured boxes on a table, one of which moves in each step."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from cliport.data.codec import encode
from cliport.data.episode import Episode, Step
from cliport.data.store import opened
from cliport.sim.action import Action
from cliport.sim.constants import IMAGE_SHAPE
from cliport.sim.observation import HeightMap


def view_of(boxes: np.ndarray, colors: np.ndarray) -> HeightMap:
    """Boxes (N, 2) of 12 pixels' side, 2 to 6 cm high, on a grey table."""
    color = np.full((*IMAGE_SHAPE, 3), 120, np.uint8)
    height, mask = np.zeros(IMAGE_SHAPE, np.float32), np.zeros(IMAGE_SHAPE, np.int32)
    for number, (row, column) in enumerate(boxes, 1):
        place = np.s_[row : row + 12, column : column + 12]
        color[place], height[place], mask[place] = colors[number - 1], 0.02 * number + 1.234e-5, number + 3
    return HeightMap(color, height, mask)


def episode_of(seed: int, task: str = "put-block-in-bowl-seen-colors", actions: int = 3) -> Episode:
    """A solved episode; each action is worth the same."""
    rng = np.random.default_rng(seed)
    boxes, colors = rng.integers(0, 140, (3, 2)), rng.integers(0, 256, (3, 3))
    steps = []
    for step in range(actions):
        poses = [(rng.uniform(-0.5, 0.5, 3), np.array([0.0, 0.0, np.sin(a), np.cos(a)])) for a in rng.uniform(-1, 1, 2)]
        info = {"lang_goal": f"move box {step} of {seed}", "steps": step}
        steps.append(Step(view_of(boxes, colors), Action(*poses), 1 / actions if step else 0.0, info))
        boxes[step % 3] = rng.integers(0, 140, 2)
    final = Step(view_of(boxes, colors), None, 1 / actions, {"lang_goal": "done solving"})
    return Episode(task, seed, (*steps, final))


def stored(data_dir: Path, *episodes: Episode, task: str = "put-block-in-bowl-seen-colors", mode: str = "train") -> Path:
    """A folder of demonstrations with these episodes."""
    folder = data_dir / f"{task}-{mode}"
    with opened(folder, task, mode) as store:
        for episode in episodes:
            store.add(episode.seed, episode.actions, episode.reward, encode(episode))
    return folder


def pickled(folder: Path, index: int, seed: int, **fields: Any) -> None:
    """Write fields in the original's layout."""
    for field, value in fields.items():
        path = folder / field / f"{index:06d}-{seed}.pkl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(value))
