"""Agent by agent of the original: what loads, and how far its numbers are from ours, as a Markdown table.

python tests/workloads/cliport/agents/original_table.py [AGENT ...]

Differences are the largest one of any value, as a share of the largest value; attention and transport are also given as validation
computes them. Takes some minutes and 4 GiB; agents without numbers in the fixtures have their names and sizes compared alone.
"""

from __future__ import annotations

import gc
import math
import sys
import tempfile
from pathlib import Path

import numpy as np
from numbers_of_original import KEYS, Numbers, Ran, made, matched, run

COUNTED = ("running_mean", "running_var", "num_batches_tracked")
COLUMNS = ("agent", "parameters", "keys matched", "attention", "transport", "streams", "validation", "argmax", "poses of `act`")


def row(name: str) -> str:
    _, unmatched = matched(name)
    parameters = sum(math.prod(shape) for key, shape in KEYS[name].items() if not key.endswith(COUNTED))
    cells = [name, f"{parameters:,}", f"{len(KEYS[name]) - len(unmatched)} of {len(KEYS[name])}"]
    numbers = Numbers(name)
    return "| " + " | ".join(cells + (compared(name, numbers) if numbers.maps else ["", "", "", "", "", ""])) + " |"


def compared(name: str, numbers: Numbers) -> list[str]:
    with tempfile.TemporaryDirectory() as words:
        ran = run(made(name, Path(words)), numbers)
    away = {key: numbers.difference(key, ran.maps[key]) for key in numbers.maps}
    streams = [value for key, value in away.items() if "stream" in key or "fusion" in key]
    checked = [f"{away[key]:.0e}" for key in ("attn_validation", "trans_validation") if key in away]
    return [
        f"{away['attn']:.0e}",
        f"{away['trans']:.0e}",
        f"{max(streams):.0e}" if streams else "",
        ", ".join(checked),
        "same" if same_best(numbers, ran) else "DIFFERS",
        "same" if same_poses(numbers, ran) else "DIFFER",
    ]


def same_best(numbers: Numbers, ran: Ran) -> bool:
    best = {key: np.unravel_index(ran.maps[key].argmax(), ran.maps[key].shape) for key in ("attn", "trans")}
    return all(list(map(int, pixel)) == numbers[f"{key}_argmax"].tolist() for key, pixel in best.items())


def same_poses(numbers: Numbers, ran: Ran) -> bool:
    poses = {"act_pose0": ran.action.pick, "act_pose1": ran.action.place}
    return all(np.allclose(np.concatenate(pose), numbers[key], atol=1e-7) for key, pose in poses.items())


if __name__ == "__main__":
    print(f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|", flush=True)
    for agent in sys.argv[1:] or sorted(KEYS.keys() - {"clip"}, key=lambda name: (not Numbers(name).maps, name)):
        print(row(agent), flush=True)
        gc.collect()
