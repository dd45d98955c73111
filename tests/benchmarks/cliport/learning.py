"""Whether an agent learns, and learns what it is told: a small one in scenes that it has not seen, against two others.

The *twin* is trained as the agent is, but every sample has another one's instruction; the *untrained* one has the weights that both
began with. All are made by the workload's own commands with `configs/cliport/small_train.yaml`, each by one thread, two side by
side. CLIPORT_BENCH_DATA=FOLDER keeps the demonstrations there, where the next run finds them.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.cliport import PYTHON, ROOT, environment
from benchmarks.table import Row

ENTRY = ROOT / "clearml_tasks" / "cliport" / "clearml_train.py"
TASKS = {"put-block-in-bowl-seen-colors": 260, "stack-block-pyramid-seq-seen-colors": 100}
"""Demonstrations to learn from; one of the second task has six actions."""
VALIDATION, SCENES = 20, 40
KINDS = {
    "trained": [],
    "twin": ["train.instructions=shuffled"],
    "untrained": ["train.n_steps=1", "train.lr=1e-30"],  # less than the rounding of any weight
}


@dataclass(frozen=True)
class Trial:
    """An agent's rewards, one of each scene, and what its training took."""

    rewards: list[float]
    cpu_minutes: float
    weights: str
    """Where the frozen ones come from, in words."""

    @property
    def mean(self) -> float:
        return sum(self.rewards) / len(self.rewards)


def command(log: Path, *arguments: str) -> float:
    """Run one of the workload's commands by one thread; the CPU seconds that it took with all its processes."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as file:
        program = [str(PYTHON), str(ENTRY), *arguments]
        process = subprocess.Popen(program, env=environment() | {"OMP_NUM_THREADS": "1"}, stdout=file, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)  # or Popen would wait for it again
    if process.returncode:
        raise SystemExit(f"error: {' '.join(arguments)} ended with {process.returncode}:\n{log.read_text()[-3000:]}")
    return usage.ru_utime + usage.ru_stime


def make_demos(data: Path, folder: Path, task: str) -> None:
    for mode, count in (("train", TASKS[task]), ("val", VALIDATION), ("test", SCENES)):
        options = [f"task={task}", f"mode={mode}", f"n={count}", f"data_dir={data}", "debug_images=0"]
        command(folder / f"demos-{mode}.log", "command=demos", f"output_dir={folder / mode}", *options)


def make_trial(data: Path, folder: Path, task: str, kind: str) -> Trial:
    """Train an agent of a kind, and evaluate what its last step left."""
    demos = TASKS[task]
    given = [f"dataset_path={data}", "config=small_train", f"output_dir={folder / 'trained'}"]
    options = [f"train.task={task}", f"train.n_demos={demos}", f"train.n_val={VALIDATION}", *KINDS[kind]]
    seconds = command(folder / "train.log", "command=train", *given, *options)
    (checkpoint,) = (folder / "trained").rglob("checkpoints/last.ckpt")
    given = [f"dataset_path={data}", f"model_path={checkpoint}", f"output_dir={folder / 'evaluated'}"]
    options = [f"eval_task={task}", "mode=test", f"n_demos={SCENES}", f"train_demos={demos}", "debug_images=0"]
    command(folder / "eval.log", "command=eval", *given, *options)
    entry = results_in(folder / "evaluated")
    trial = Trial([float(reward) for reward, _ in entry["episodes"]], seconds / 60, entry["weights"])
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


def row(task: str, trials: dict[str, Trial]) -> Row:
    ours, twin, untrained = trials["trained"], trials["twin"], trials["untrained"]
    unit = (
        f"mean reward in {SCENES} unseen scenes, against the twin of shuffled instructions: {advantage(ours.rewards, twin.rewards)}; "
        f"against the untrained agent, {untrained.mean:.2f}: {advantage(ours.rewards, untrained.rewards)}; paired 95% intervals; "
        f"{TASKS[task]} demonstrations, {ours.cpu_minutes:.1f} CPU min of training; a stand-in: {ours.weights}"
    )
    return Row(f"learning, {task}: reward", ours.mean, twin.mean, ours.mean / twin.mean if twin.mean else None, unit)


def rows() -> list[Row]:
    with tempfile.TemporaryDirectory() as place, ThreadPoolExecutor(2) as pool:
        folder = Path(place)
        data = Path(os.environ.get("CLIPORT_BENCH_DATA") or folder / "data").absolute()
        list(pool.map(lambda task: make_demos(data, folder / task, task), TASKS))
        pending = {task: {kind: pool.submit(make_trial, data, folder / task / kind, task, kind) for kind in KINDS} for task in TASKS}
        return [row(task, {kind: trial.result() for kind, trial in trials.items()}) for task, trials in pending.items()]
