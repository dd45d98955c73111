"""What 200 steps learn with each data type of AdamW's statistics and of the text tower's weights, against fp32, over several seeds.

The runs of a seed have the same pairs in the same order and the same initial weights: their differences are those of the data types.
The interval is Student's, of the difference from fp32 over the seeds.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from math import sqrt
from pathlib import Path
from statistics import mean, stdev

from benchmarks.clip.learning import COMMON, TRIAL, Bench
from benchmarks.table import Row

TEXT = """
`tabletop-tiny` after 200 steps of 64 pairs on renders of tabletop, by data type of AdamW's statistics (`optim.state_dtype`) and of the text
tower's weights (`optim.text_weights`); the alternative is fp32. Where the interval in the notes contains 0, there is no difference to see.
"""
SEEDS = (0, 1) if TRIAL else (0, 1, 2, 3, 4)
SCENES, STEPS, BATCH = (60, 4, 16) if TRIAL else (1200, 200, 64)
T = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78}
"""97.5 % quantile of Student's t by the number of seeds."""
STATES = {
    "bf16 statistics": {"optim.state_dtype": "bf16"},
    "int8 statistics": {"optim.state_dtype": "int8"},
    "bf16 text weights": {"optim.text_weights": "bf16"},
    "int8 statistics, bf16 text weights": {"optim.state_dtype": "int8", "optim.text_weights": "bf16"},
}


def rows() -> list[Row]:
    """`<state>, <measure>`: the mean over the seeds, beside it fp32's."""
    with tempfile.TemporaryDirectory() as place:
        bench = Bench(Path(place))
        pairs = bench.render("tabletop-pairs", SCENES)
        reference = measured(bench, "fp32", pairs, {})
        return [
            row(f"{name}, {what}", ours, reference[what], lower=what == "held-out loss")
            for name, settings in STATES.items()
            for what, ours in measured(bench, name.replace(" ", "-").replace(",", ""), pairs, settings).items()
        ]


def measured(bench: Bench, name: str, pairs: Path, settings: dict[str, str]) -> dict[str, list[float]]:
    """The final held-out loss and recall of each seed."""
    found: dict[str, list[float]] = {"held-out loss": [], "recall@5": []}
    loop = {"optim.lr": 1e-3, "optim.warmup": STEPS // 10, "train.epochs": STEPS, "train.max_steps": STEPS, "train.batch_size": BATCH}
    for seed in SEEDS:
        run = f"{name}-{seed}"
        bench.clip("train", run, pairs, **{"model.name": "tabletop-tiny", "seed": seed}, **loop, **COMMON, **settings)
        found["held-out loss"].append(bench.first_and_last(run, "loss", "held out")[1])
        found["recall@5"].append(bench.first_and_last(run, "recall@5", "image to text")[1])
    return found


def row(metric: str, ours: Sequence[float], fp32: Sequence[float], *, lower: bool) -> Row:
    differences = [one - other for one, other in zip(ours, fp32, strict=True)]
    half = T[len(differences)] * stdev(differences) / sqrt(len(differences))
    note = f"difference {mean(differences):+.3f} ± {half:.3f} (95 %, {len(differences)} seeds)"
    better, worse = (mean(fp32), mean(ours)) if lower else (mean(ours), mean(fp32))
    return Row(metric, mean(ours), mean(fp32), better / worse if worse else None, "loss" if lower else "share", (note,))
