"""One training step of the faithful size, against the original's way (`original.training_step`).

Each path runs in a process of its own; a step has one sample, the paper's sizes and random weights, which take as long as others.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.cliport import PYTHON, found_by
from benchmarks.table import Row, less_is_better

TEXT = """
One training step with one sample. `rotated features` (`model.rotate=features`) encodes the image once and turns the features, where the
original encodes every turned crop.
"""
SIZE = os.environ.get("CLIPORT_BENCH_SIZE", "faithful")
"""`small` tries the benchmark itself; its ratios say nothing."""
LR = 1e-4


def sample() -> Any:
    """A smooth random view, heights up to 10 cm, with its instruction, and what to do."""
    import torch

    from cliport.agents import SIZES
    from cliport.agents.batch import Batch

    height, coarse = SIZES[SIZE]["height"], torch.rand(1, 4, 20, 10, generator=torch.Generator().manual_seed(0))
    view = torch.nn.functional.interpolate(coarse, (height, height // 2), mode="bilinear")
    image = torch.cat([view[:, :3], (view[:, 3:] / 10).expand(-1, 3, -1, -1)], 1)
    pick, place = torch.tensor([[height // 4, height // 8]]), torch.tensor([[height // 2, height // 3]])
    return Batch(image, ["put the red block in a green bowl"], pick, torch.zeros(1), place, torch.tensor([1.2]))


def step_ours(rotate: str) -> tuple[Any, Any, float, float]:
    """Scores of pick and place, loss and CPU seconds of one step."""
    import torch

    from cliport.agents.agent import losses_of

    agent, batch = make_agent(rotate), sample()
    optimiser = torch.optim.Adam(agent.parameters(), lr=LR, fused=True)
    agent.language(batch)  # an instruction is encoded when it is first met
    begun = time.process_time()
    pick, place = agent.pick_logits(batch), agent.place_logits(batch, batch.pick)
    attn, trans = losses_of(pick, place, batch)
    (attn + trans).sum().backward()
    optimiser.step()
    optimiser.zero_grad()
    return pick.detach(), place.detach(), float((attn + trans).detach()), time.process_time() - begun


def step_original() -> tuple[Any, Any, float, float]:
    from benchmarks.cliport.original.training_step import TheOriginalsWay

    way, batch = TheOriginalsWay(make_agent("crops"), LR), sample()
    begun = time.process_time()
    pick, place, loss = way.step(batch)
    return pick, place, loss, time.process_time() - begun


def make_agent(rotate: str) -> Any:
    from cliport.agents import SIZES, AgentConfig, build
    from cliport.agents.frozen import Weights

    options = {**SIZES[SIZE], "rotate": rotate, "pad_pick": True}
    return build(AgentConfig(**options), Weights("random"), say=lambda _: None)


WAYS = {"ours": lambda: step_ours("crops"), "ours, features": lambda: step_ours("features"), "original": step_original}


def child(way: str, path: Path) -> None:
    """Take one step, and write its scores and what it took."""
    import torch

    pick, place, loss, seconds = WAYS[way]()
    torch.save({"pick": pick, "place": place}, path)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"cpu_s": seconds, "loss": loss, "peak_gib": peak}))


def difference(folder: Path) -> float:
    """The largest difference of any score of pick or place, ours and the original's, as a share of the largest score."""
    program = (
        "import sys, torch; a, b = (torch.load(path, weights_only=True) for path in sys.argv[1:]); "
        "print(max(float((a[key] - b[key]).abs().max() / b[key].abs().max()) for key in a))"
    )
    paths = [str(folder / "ours.pt"), str(folder / "original.pt")]
    return float(subprocess.run([str(PYTHON), "-c", program, *paths], check=True, stdout=subprocess.PIPE, text=True).stdout)


def rows() -> list[Row]:
    """`training step` computes what the original does; `rotated features` is another model, and is compared in time alone."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        ours, features, original = (found_by("training_step", way, folder / f"{way}.pt") for way in WAYS)
        away = difference(folder)
    print(f"scores differ by {away:.1e} of the largest; losses {ours['loss']:.6f} and {original['loss']:.6f}", flush=True)

    def note(mine: dict[str, Any], same: str) -> str:
        return f"{same}; peak memory {mine['peak_gib']:.1f} against {original['peak_gib']:.1f} GiB"

    return [
        less_is_better(
            "training step", ours["cpu_s"], original["cpu_s"], "CPU s", note(ours, f"scores differ by {away:.0e} of the largest")
        ),
        less_is_better("training step, rotated features", features["cpu_s"], original["cpu_s"], "CPU s", note(features, "another model")),
    ]


if __name__ == "__main__":
    child(sys.argv[1], Path(sys.argv[2]))
