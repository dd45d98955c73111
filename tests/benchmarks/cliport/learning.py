"""Whether an agent learns, and learns what it is told: a small one in scenes that it has not seen, against two others.

The *twin* is trained as the agent is, but every sample has another one's instruction; the *untrained* one has the weights that both
began with. All three share one frozen CLIP, which is trained before by the workload `clip` on renders of tabletop that have nothing
to do with the tasks. Everything is made by the commands that users type: `config=small_cliport` of clip and `config=small_train` of
cliport, each by one thread, two side by side. CLIPORT_BENCH_DATA=FOLDER keeps the demonstrations there, where the next run finds them.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.programs import environment, render_pairs, run_workload
from benchmarks.table import Row

TASKS = {"put-block-in-bowl-seen-colors": 260, "packing-seen-google-objects-seq": 120}
"""Demonstrations to learn from; one of the second task has two to five actions."""
VALIDATION, SCENES = 20, 100
PAIRS = 3000
"""Of tabletop, a sixth of which is held out."""
KINDS = {
    "trained": {},
    "twin": {"train__instructions": "shuffled"},
    "untrained": {"train__n_steps": 1, "train__lr": 1e-30},  # less than the rounding of any weight
}


@dataclass(frozen=True)
class Trial:
    """An agent's rewards, one of each scene, and what its training took."""

    rewards: list[float]
    cpu_minutes: float

    @property
    def mean(self) -> float:
        return sum(self.rewards) / len(self.rewards)


@dataclass(frozen=True)
class Bench:
    """Where demonstrations are, where runs leave their files, and the frozen CLIP."""

    data: Path
    folder: Path

    @property
    def clip(self) -> Path:
        return self.folder / "clip" / "weights.pt"

    def run(self, workload: str, place: Path, command: str, **settings: object) -> float:
        """A command of a workload by one thread, its files in `place`; the CPU minutes that it took with all its processes."""
        one = environment(OMP_NUM_THREADS="1", CUDA_VISIBLE_DEVICES="")
        return run_workload(workload, place / f"{command}.log", one, command=command, output_dir=place / command, **settings).cpu_s / 60

    def make_clip(self) -> float:
        """Train the frozen CLIP; the CPU minutes that it took."""
        pairs = render_pairs(self.folder, "tabletop-pairs", PAIRS)
        place = self.folder / "training-of-clip"
        minutes = self.run("clip", place, "train", dataset_path=pairs, config="small_cliport")
        self.clip.parent.mkdir()
        next(place.rglob("weights.pt")).rename(self.clip)  # the run's own, or its copy among the artifacts
        print(f"the frozen CLIP: {minutes:.1f} CPU min of training", flush=True)
        return minutes

    def make_demos(self, task: str) -> None:
        for mode, count in (("train", TASKS[task]), ("val", VALIDATION), ("test", SCENES)):
            given = {"task": task, "mode": mode, "n": count, "data_dir": self.data, "debug_images": 0}
            self.run("cliport", self.folder / task / mode, "demos", **given)

    def trial(self, task: str, kind: str) -> Trial:
        """Train an agent of a kind, and evaluate what its last step left."""
        place, demos = self.folder / task / kind, TASKS[task]
        loop = {"train__task": task, "train__n_demos": demos, "train__n_val": VALIDATION, **KINDS[kind]}
        given = {"dataset_path": self.data, "config": "small_train", "model__clip_weights": self.clip}
        minutes = self.run("cliport", place, "train", **given, **loop)
        (checkpoint,) = place.rglob("checkpoints/last.ckpt")
        given = {"dataset_path": self.data, "model_path": checkpoint, "train_demos": demos}
        self.run("cliport", place, "eval", **given, eval_task=task, mode="test", n_demos=SCENES, debug_images=0)
        entry = results_in(place / "eval")
        trial = Trial([float(reward) for reward, _ in entry["episodes"]], minutes)
        print(f"{task}, {kind}: mean reward {trial.mean:.3f}; {trial.cpu_minutes:.1f} CPU min of training", flush=True)
        return trial


def results_in(folder: Path) -> dict[str, Any]:
    """The one entry of the one results file below a folder."""
    from cliport.results import read

    (file,) = folder.rglob("results/*.json")
    (entry,) = read(file).values()
    return entry


def advantage(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """By how much rewards in the same scenes differ in the mean, with the interval of the paired differences."""
    from cliport.intervals import bootstrap

    differences = [one - other for one, other in zip(ours, theirs, strict=True)]
    low, high = bootstrap(differences)
    shown = "" if low > 0 else ", NOT SHOWN: the interval has 0 in it"
    return f"{sum(differences) / len(differences):+.2f} [{low:.2f}, {high:.2f}]{shown}"


def row(task: str, trials: dict[str, Trial], clip_minutes: float) -> Row:
    ours, twin, untrained = trials["trained"], trials["twin"], trials["untrained"]
    unit = (
        f"mean reward in {SCENES} unseen scenes, against the twin of shuffled instructions: {advantage(ours.rewards, twin.rewards)}; "
        f"against the untrained agent, {untrained.mean:.2f}: {advantage(ours.rewards, untrained.rewards)}; paired 95% intervals; "
        f"{TASKS[task]} demonstrations, {ours.cpu_minutes:.1f} CPU min of training; OpenAI's CLIP has a stand-in: a small one, trained "
        f"on {PAIRS * 5 // 6:,} renders of tabletop in {clip_minutes:.1f} CPU min"
    )
    return Row(f"learning, {task}: reward", ours.mean, twin.mean, ours.mean / twin.mean if twin.mean else None, unit)


def rows() -> list[Row]:
    with tempfile.TemporaryDirectory() as place, ThreadPoolExecutor(2) as pool:
        folder = Path(place)
        bench = Bench(Path(os.environ.get("CLIPORT_BENCH_DATA") or folder / "data").absolute(), folder)
        made = [pool.submit(bench.make_demos, task) for task in TASKS]
        clip_minutes = pool.submit(bench.make_clip).result()
        for demos in made:
            demos.result()
        pending = {task: {kind: pool.submit(bench.trial, task, kind) for kind in KINDS} for task in TASKS}
        return [row(task, {kind: trial.result() for kind, trial in trials.items()}, clip_minutes) for task, trials in pending.items()]
