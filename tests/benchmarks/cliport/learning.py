"""Whether an agent learns, and learns what it is told: a small one in scenes that it has not seen, against two others.

The *twin* is trained as the agent is, but every sample has another one's instruction; a task without language has none. The
*untrained* agent has the weights that both began with. All share one frozen CLIP, which is trained before by the workload `clip` on
renders of tabletop that have nothing to do with the tasks. Everything is made by the commands that users type, `config=small_cliport`
of clip and `config=small_train` of cliport, each by one thread, two side by side.

CLIPORT_BENCH_FOLDER=FOLDER keeps what is made there, and takes what a benchmark of the same commit, broken off or not, has left there.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.cliport import found_by
from benchmarks.programs import environment, run_workload
from benchmarks.table import Row, more_is_better

TEXT = """
The small agent (`config=small_train`) in scenes that it has not seen; these rows take over an hour. The alternative is its twin, trained
alike but for the instructions: each sample has another one's. Where there is no language, it is the untrained agent. Packing's reward does
not tell agent and twin apart: an episode has ten tries, and what lies in the box before it is asked for counts once it is, so whoever packs
everything packs what was asked for. The picks tell them apart.
"""
TASKS = {"put-block-in-bowl-seen-colors": 260, "packing-seen-google-objects-seq": 120, "place-red-in-green": 260}
"""Demonstrations to learn from; one of the second task has two to five actions."""
WITHOUT_LANGUAGE = {"place-red-in-green"}
STAND_INS = {"packing-seen-google-objects-seq": "scanned objects have stand-ins, put together from solids"}
VALIDATION, SCENES = 20, 100
PAIRS = 3000
"""Of tabletop, a sixth of which is held out."""
KINDS = {
    "trained": {},
    "twin": {"train__instructions": "shuffled"},
    "untrained": {"train__n_steps": 1, "train__lr": 1e-30},  # less than the rounding of any weight
}
NAMES = {"twin": "twin of shuffled instructions", "untrained": "untrained agent"}


@dataclass(frozen=True)
class Bench:
    """Where everything is."""

    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def clip(self) -> Path:
        """The frozen CLIP's weights."""
        return next((self.folder / "clip" / "train").rglob("weights.pt"))

    def run(self, workload: str, place: Path, command: str, **settings: object) -> float:
        """A command of a workload by one thread, its files in `place`; the CPU minutes that it took with all its processes.

        What has been run before is not run again: its minutes are what it took then.
        """
        taken = place / f"{command}.json"
        if not taken.exists():
            shutil.rmtree(place / command, ignore_errors=True)  # of a run that was broken off
            one = environment(OMP_NUM_THREADS="1", CUDA_VISIBLE_DEVICES="")
            usage = run_workload(workload, place / f"{command}.log", one, command=command, output_dir=place / command, **settings)
            taken.write_text(json.dumps({"cpu_minutes": usage.cpu_s / 60}))
        return float(json.loads(taken.read_text())["cpu_minutes"])

    def make_clip(self) -> float:
        """Train the frozen CLIP; the CPU minutes that it took."""
        place = self.folder / "clip"
        self.run("tabletop", place, "render", config="pairs", n=PAIRS)
        pairs = next((place / "render").rglob("heldout")).parent
        return self.run("clip", place, "train", dataset_path=pairs, config="small_cliport")

    def make_demos(self, task: str, mode: str, count: int) -> None:
        given = {"task": task, "mode": mode, "n": count, "data_dir": self.data, "debug_images": 0}
        self.run("cliport", self.folder / "demos" / task / mode, "demos", **given)

    def train(self, task: str, kind: str) -> float:
        """Train an agent of a kind; the CPU minutes that it took."""
        loop = {"train__task": task, "train__n_demos": TASKS[task], "train__n_val": VALIDATION, **KINDS[kind]}
        given = {"dataset_path": self.data, "config": "small_train", "model__clip_weights": self.clip}
        return self.run("cliport", self.folder / "agents" / task / kind, "train", **given, **loop)

    def checkpoint(self, task: str, kind: str) -> Path:
        """Where an agent's training ended."""
        (found,) = (self.folder / "agents" / task / kind / "train").rglob("checkpoints/last.ckpt")
        return found

    def rewards(self, task: str, kind: str) -> list[float]:
        """What the last step of an agent's training earns, in each scene."""
        place = self.folder / "agents" / task / kind
        model = {"model_path": self.checkpoint(task, kind), "model__clip_weights": self.clip, "train_demos": TASKS[task]}
        scenes = {"dataset_path": self.data, "eval_task": task, "mode": "test", "n_demos": SCENES, "debug_images": 0}
        self.run("cliport", place, "eval", **model, **scenes, save_path=place / "eval" / "results")
        found = [float(reward) for reward, _ in results_in(place / "eval")["episodes"]]
        print(f"{task}, {kind}: mean reward {sum(found) / len(found):.3f}", flush=True)
        return found

    def picks(self, task: str, kind: str) -> list[float]:
        """1 or 0 for each scene: whether what the demonstrator picked in a step of it is what the agent picks there, see `picks`."""
        found: list[float] = found_by("picks", self.data, task, SCENES, self.checkpoint(task, kind), self.clip)["hits"]
        return found

    def learned_from(self, task: str) -> list[str]:
        """What the agent rests on, stand-ins included."""
        clip = f"a small one, trained on {PAIRS * 5 // 6:,} renders of tabletop in {self.make_clip():.1f} CPU min"
        return [
            f"{TASKS[task]} demonstrations, {self.train(task, 'trained'):.1f} CPU min of training",
            f"OpenAI's CLIP has a stand-in: {clip}",
            *([STAND_INS[task]] if task in STAND_INS else []),
        ]


def kinds_of(task: str) -> list[str]:
    return [kind for kind in KINDS if kind != "twin" or task not in WITHOUT_LANGUAGE]


def compared(metric: str, unit: str, found: dict[str, list[float]], over: str, *more: str) -> Row:
    """The trained agent beside its twin, or beside the untrained one where there is no twin, by what each has in the same scenes."""
    ours, *others = found
    means = {kind: sum(values) / len(values) for kind, values in found.items()}
    against = "; ".join(f"against the {NAMES[kind]}, {means[kind]:.2f}: {advantage(found[ours], found[kind])}" for kind in others)
    return more_is_better(metric, means[ours], means[others[0]], unit, f"{against} (paired 95% intervals)", over, *more)


def results_in(folder: Path) -> dict[str, Any]:
    """The one entry of the one results file below a folder."""
    from cliport.results import read

    (file,) = folder.rglob("results/*.json")
    (entry,) = read(file).values()
    return entry


def advantage(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """By how much rewards in the same scenes differ in the mean, with the interval of the paired differences."""
    from cliport.confidence import bootstrap

    differences = [one - other for one, other in zip(ours, theirs, strict=True)]
    low, high = bootstrap(differences)
    shown = "" if low > 0 else ", NOT SHOWN: the interval has 0 in it"
    return f"{sum(differences) / len(differences):+.2f} [{low:.2f}, {high:.2f}]{shown}"


def finish(pending: Sequence[Future[Any]]) -> None:
    """Wait for all; the first failure is raised."""
    for one in pending:
        one.result()


def rows() -> list[Row]:
    kept = os.environ.get("CLIPORT_BENCH_FOLDER")
    with nullcontext(kept) if kept else tempfile.TemporaryDirectory() as place, ThreadPoolExecutor(2) as pool:
        bench = Bench(Path(place).absolute())
        recorded = [(task, *mode) for task, demos in TASKS.items() for mode in (("train", demos), ("val", VALIDATION), ("test", SCENES))]
        finish([pool.submit(bench.make_clip), *(pool.submit(bench.make_demos, *demos) for demos in recorded)])
        finish([pool.submit(bench.train, task, kind) for task in TASKS for kind in kinds_of(task)])
        earned = {task: {kind: pool.submit(bench.rewards, task, kind) for kind in kinds_of(task)} for task in TASKS}
        picked = {task: {kind: pool.submit(bench.picks, task, kind) for kind in kinds_of(task)} for task in TASKS}
        made = []
        for task in TASKS:
            rewards, picks = ({kind: found.result() for kind, found in pending[task].items()} for pending in (earned, picked))
            over = f"{SCENES} unseen scenes"
            made.append(compared(task, "mean reward", rewards, over, *bench.learned_from(task)))
            over = f"{SCENES} steps, one of each of these scenes: whether the agent picks what the demonstrator picked"
            made.append(compared(task, "share of right picks", picks, over, *bench.learned_from(task)))
        return made
