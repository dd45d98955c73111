"""Whether an agent picks the thing that a demonstrator picked, in one step of each scene that was recorded for testing.

python -m benchmarks.cliport.picks DATA TASK SCENES CHECKPOINT CLIP  (in the image's environment; the last line is JSON)
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch

from cliport.agents import load
from cliport.agents.frozen import Weights
from cliport.data.reader import open_demonstrations
from cliport.sim.pixels import position_to_pixel


def hits(data: Path, task: str, scenes: int, checkpoint: Path, clip: str) -> list[int]:
    """1 or 0 for each scene: whether the pick is on the same body of the height map's mask as the demonstrator's."""
    torch.set_num_threads(1)
    agent = load(checkpoint, weights=Weights(clip), say=lambda _: None)
    source = open_demonstrations(data, task, "test", scenes, cache=0)
    found = []
    for episode in range(scenes):
        step = int(np.random.default_rng(episode).integers(source.lengths[episode]))
        sample = source.sample(episode, step)
        mask = sample.view.mask
        found.append(int(mask[agent.act(sample.view, sample.instruction).pick] == mask[position_to_pixel(sample.action.pick[0])]))
    return found


if __name__ == "__main__":
    folder, name, count, file, weights = sys.argv[1:]
    print(json.dumps({"hits": hits(Path(folder), name, int(count), Path(file), weights)}))
