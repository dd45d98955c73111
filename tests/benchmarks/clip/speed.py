"""Training by our program and by open_clip's, on the same model, pairs, batches and precision, each in a process of its own.

Speed is that of the epochs after the first: the CPU seconds of a long run less those of a short one. Loading is included, and so
are the children that load. The pictures are drawn; what is on them makes no difference here.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.clip import PYTHON, environment
from benchmarks.programs import Usage, used
from benchmarks.table import Row, more_is_better
from registry.environment import Layer, build, layer_named

TEXT = """
Training by our program and by open_clip's, on the same model, pairs, batches and precision, loading included. The speed is that of the
epochs after the first.
"""

PICTURE = 256
"""Side of the pictures in pixels."""
TABLE = "filepath\ttitle"


@dataclass(frozen=True)
class Case:
    """A model, and how much of it is measured."""

    model: str
    pairs: int
    batch_size: int
    epochs: tuple[int, int]
    """Of the short and the long run."""
    precision: str = "fp32"

    @property
    def name(self) -> str:
        return self.model if self.precision == "fp32" else f"{self.model}, {self.precision}"


CASES = (
    Case("tabletop-tiny", 512, 64, (1, 9)),
    Case("ViT-B-32", 64, 32, (1, 3)),
    Case("ViT-B-32", 64, 32, (1, 3), "bf16"),
)
TRIAL = (Case("tabletop-tiny", 64, 16, (1, 2)),)
"""With CLIP_BENCH_SIZE=small, which tries the benchmark itself; its ratios say nothing."""
PRECISIONS = {"fp32": "fp32", "bf16": "amp_bf16"}
"""Ours, by open_clip's names."""


Program = Callable[[Case, int, Path, Path, Path], Usage]
"""Trains for epochs on the pairs of a table, in a folder, by an interpreter."""


def draw_pairs(folder: Path, count: int) -> Path:
    """Pictures of rectangles with a caption each, and the table of them that open_clip's program reads; returns the table."""
    rng, lines = np.random.default_rng(0), [TABLE]
    for part, number in (("train", count), ("heldout", 8)):
        (folder / part).mkdir(parents=True)
        for index in range(number):
            pixels = np.full((PICTURE, PICTURE, 3), rng.integers(256, size=3), np.uint8)
            for _ in range(8):
                (top, left), (height, width) = rng.integers(PICTURE, size=2), rng.integers(20, 120, size=2)
                pixels[top : top + height, left : left + width] = rng.integers(256, size=3)
            file = folder / part / f"{part}-{index:05d}.jpg"
            Image.fromarray(pixels).save(file)
            caption = f"picture {index} with rectangles"
            file.with_suffix(".txt").write_text(caption + "\n")
            if part == "train":
                lines.append(f"{file}\t{caption}")
    table = folder / "train.tsv"
    table.write_text("\n".join(lines) + "\n")
    return table


def ours(case: Case, epochs: int, table: Path, folder: Path, python: Path) -> Usage:
    settings = {
        "model.name": case.model,
        "dataset_path": table.parent,
        "output_dir": folder,
        "data.workers": 1,
        "optim.lr": 1e-4,
        "optim.warmup": 1,
        "train.epochs": epochs,
        "train.batch_size": case.batch_size,
        "train.precision": case.precision,
        "train.validate_every": 1000,
        "train.debug_images": 0,
    }
    program = [python, "-m", "clip_training.train", *(f"{key}={value}" for key, value in settings.items())]
    return used(program, folder / "log.txt", environment())


def open_clips(case: Case, epochs: int, table: Path, folder: Path, python: Path) -> Usage:
    options = {
        "--model": case.model,
        "--dataset-type": "csv",
        "--train-data": table,
        "--logs": folder,
        "--workers": 1,
        "--lr": 1e-4,
        "--warmup": 1,
        "--epochs": epochs,
        "--batch-size": case.batch_size,
        "--precision": PRECISIONS[case.precision],
        "--save-frequency": 0,
    }
    program = [python, "-m", "benchmarks.clip.open_clip_program", *(str(part) for option in options.items() for part in option)]
    return used(program, folder / "log.txt", environment())


def rows() -> list[Row]:
    """One for each model and precision, peak memory in its note."""
    clip = layer_named("clip")
    python = build(Layer("open-clip-train", Path(__file__).with_name("requirements.txt"), (clip, *clip.below))).python
    cases = TRIAL if os.environ.get("CLIP_BENCH_SIZE") == "small" else CASES
    return [compared(case, {ours: PYTHON, open_clips: python}) for case in cases]


def compared(case: Case, programs: dict[Program, Path]) -> Row:
    speeds, peaks = [], []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        table = draw_pairs(folder / "pairs", case.pairs)
        for program, python in programs.items():
            short, long = (run(program, case, epochs, table, folder, python) for epochs in case.epochs)
            speeds.append((case.epochs[1] - case.epochs[0]) * case.pairs / (long.cpu_s - short.cpu_s))
            peaks.append(long.peak_gib)
    note = f"batches of {case.batch_size}; peak memory {peaks[0]:.2f} against {peaks[1]:.2f} GiB"
    return more_is_better(case.name, *speeds, "pairs per CPU s", note)


def run(program: Program, case: Case, epochs: int, table: Path, folder: Path, python: Path) -> Usage:
    own = folder / f"{program.__name__}-{epochs}"
    own.mkdir()
    usage = program(case, epochs, table, own, python)
    print(f"{case.name}, {epochs} epochs, {program.__name__}: {usage.cpu_s:.1f} CPU s, {usage.peak_gib:.2f} GiB", flush=True)
    return usage
