"""A short training run for tests: in this process, or as a program that can be killed.

python runs.py DATA OUTPUT [key=value ...]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from scenes import TASK
from support.training import job_in, taken

from cliport.config import TrainConfig
from cliport.train import train
from harness.report import Recorder
from harness.settings import merge
from harness.world import rank

SHORT = {
    "train.task": TASK,
    "train.agent": "transporter",
    "train.n_demos": 6,
    "train.n_val": 3,
    "train.n_steps": 12,
    "train.lr": 1e-3,
    "train.lr_decay": 0.5,
    "train.workers": 0,
    "train.batch_size": 2,
    "train.n_rotations": 4,
    "train.report_every": 1,
    "train.checkpoint_every": 4,
    "train.validate_every": 6,
    "train.save_steps": [5],
    "train.debug_images": 2,
    "model.size": "small",
    "model.clip_weights": "random",
}


class Talking(Recorder):
    """Says each step, so that a test knows when to kill."""

    def scalar(self, title: str, series: str, value: float, step: int) -> None:
        super().scalar(title, series, value, step)
        if (title, series) == ("loss", "tr"):
            print(f"step {step}", flush=True)


def settings_of(options: dict[str, Any], schema: type = TrainConfig) -> Any:
    """Settings of a short run; options are keys with `__` for the dot."""
    return merge(schema, None, {**SHORT, **{key.replace("__", "."): value for key, value in options.items()}}.items())


def run(data: Path, output: Path, report: Recorder | None = None, seed: int = 0, **options: Any) -> dict[str, torch.Tensor]:
    """Train, and return the final parameters. `options` are settings, and `resume` and `init_from`."""
    paths = taken(options)
    kept = train(job_in(output, settings_of(options), data, report, seed, **paths))
    return torch.load(kept / "last.ckpt", weights_only=True)["state_dict"]


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Whether all parameters are equal to the last bit."""
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


if __name__ == "__main__":
    given = dict(argument.split("=") for argument in sys.argv[3:])
    report, (data, output) = Talking(), map(Path, sys.argv[1:3])
    run(data, output, report, **{key: int(value) if value.isdigit() else value for key, value in given.items()})
    torch.save(report.scalars, output / f"scalars-{rank()}.pt")
