"""A short training run for tests: in this process, or as a program that can be killed.

python runs.py FOLDER OUTPUT MODEL [key=value ...]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from support.training import job_in, taken

from clip_training.config import TrainConfig
from clip_training.train import train
from harness.report import Recorder
from harness.settings import merge
from harness.torch.weights import read_weights

BRIEF = {
    "data.workers": 0,
    "data.keep_in_memory": True,
    "train.batch_size": 15,
    "train.report_every": 1,
    "train.checkpoint_every": 3,
}
"""Of a short run of any kind."""
SHORT = {**BRIEF, "optim.lr": 3e-3, "optim.warmup": 3, "train.epochs": 4, "train.validate_every": 2}


class Talking(Recorder):
    """Says each step, so that a test knows when to kill."""

    def scalar(self, title: str, series: str, value: float, step: int) -> None:
        super().scalar(title, series, value, step)
        if (title, series) == ("loss", "train"):
            print(f"step {step}", flush=True)


def run(folder: Path, output: Path, model: Path, report: Recorder | None = None, seed: int = 0, **options: Any) -> dict[str, torch.Tensor]:
    """Train, and return the final weights. `options` are settings with `__` for the dot, and `resume` and `init_from`."""
    paths = taken(options)
    stated = {"model.name": str(model), **SHORT, **{key.replace("__", "."): value for key, value in options.items()}}
    settings = merge(TrainConfig, None, stated.items())
    return read_weights(train(job_in(output, settings, folder, report, seed, **paths)))


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Whether all weights are equal to the last bit."""
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


if __name__ == "__main__":
    given = dict(argument.split("=") for argument in sys.argv[4:])
    run(*map(Path, sys.argv[1:4]), Talking(), **{key: float(value) if "." in value else int(value) for key, value in given.items()})
