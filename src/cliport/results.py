"""Results files in the original's format and under its names, safe for several evaluators at once.

{eval_task}-{agent}-n{n}-[multi-]results-{mode}.json = {checkpoint: {"episodes": [[reward, info], ..], "mean_reward": x, ..}}
info = {"<body>": [[x, y, z], [quaternion x, y, z, w], [extents]], .., "lang_goal": instruction}, after the last action; lengths in meters

In addition to the original's two keys an entry has `mean_reward_interval`, `success` (the share of episodes that are solved, see
`scoring`), `success_interval`, `weights`: the origin of the agent's frozen weights, and `facts`: what else the simulator said after each
episode's last action. The intervals are 95% confidence intervals.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from harness.errors import DataError
from harness.files import write_json
from harness.numbers import finite

from .confidence import bootstrap, wilson
from .data.codec import plain
from .scoring import is_solved
from .sim.poses import Pose

LOCK_SECONDS = 60.0
"""How long to wait for another evaluator's write."""


@dataclass(frozen=True)
class EpisodeResult:
    """The result of one scene."""

    reward: float
    info: Mapping[str, Any]
    """The bodies and the instruction: see `info_of`."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """The simulator's own info."""


def info_of(bodies: Mapping[int, tuple[Pose, Sequence[float]]], instruction: str) -> dict[str, Any]:
    """The original's info of a step: position, quaternion and extents of every body by its number, and the instruction."""
    return {**{str(body): [*pose, size] for body, (pose, size) in bodies.items()}, "lang_goal": instruction}


def file_name(eval_task: str, agent: str, n: int | str, mode: str, multi: bool) -> str:
    """A results file's name; `multi` for an agent that was trained on several tasks."""
    return f"{eval_task}-{agent}-n{n}-{'multi-' if multi else ''}results-{mode}.json"


def summary(results: Sequence[Sequence[EpisodeResult]], weights: str) -> dict[str, Any]:
    """An entry of the file.

    Args:
        results: one list per repeat with a result per scene. Intervals are over scenes: a scene's repeats are averaged first.
        weights: the origin of the agent's frozen weights.
    """
    rewards = np.array([[result.reward for result in repeat] for repeat in results])
    solved = np.array([[is_solved(result.reward) for result in repeat] for repeat in results]).mean(0)
    once = len(results) == 1
    interval = wilson(int(solved.sum()), solved.size) if once else bootstrap(solved.tolist())
    return {
        "episodes": [[result.reward, plain(result.info)] for repeat in results for result in repeat],
        "mean_reward": float(rewards.mean()),
        "mean_reward_interval": list(bootstrap(rewards.mean(0).tolist())),
        "success": float(solved.mean()),
        "success_interval": list(interval),
        "weights": weights,
        "facts": [plain(result.facts) for repeat in results for result in repeat],
    }


def read(file: Path) -> dict[str, dict[str, Any]]:
    """The entries of a results file by checkpoint; empty if there is no file.

    Raises:
        DataError: when it is not a results file.
    """
    if not file.exists():
        return {}
    try:
        entries = json.loads(file.read_text())
        if not all(
            isinstance(entry["mean_reward"], int | float | None) and isinstance(entry["episodes"], list) for entry in entries.values()
        ):
            raise ValueError("an entry lacks mean_reward or episodes")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{file} is not a results file: {type(error).__name__}: {error}; move it away to evaluate again") from error
    return dict(entries)


def add(file: Path, checkpoint: str, entry: Mapping[str, Any]) -> None:
    """Add one checkpoint's entry to the file and keep the entries of other evaluators."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(file):
        write_json(file, {**read(file), checkpoint: dict(entry)})


@contextmanager
def exclusive(file: Path) -> Iterator[None]:
    """Hold the exclusive right to write `file`.

    Raises:
        DataError: when another process holds it for longer than LOCK_SECONDS.
    """
    beside = file.with_name(f".{file.name}.lock")
    lock = FileLock(beside, timeout=LOCK_SECONDS)
    try:
        lock.acquire()
    except Timeout:
        raise DataError(f"{file}: another evaluator has held the lock for {LOCK_SECONDS:g} s") from None
    try:
        yield
    finally:
        beside.unlink(missing_ok=True)  # while held: a waiting process notices and locks a new file
        lock.release()


def best_checkpoint(folder: Path, eval_task: str, agent: str, multi: bool) -> str | None:
    """The checkpoint with the highest mean reward, in the validation results with the most scenes; None without results."""
    pattern = re.escape(file_name(eval_task, agent, "@", "val", multi)).replace("@", r"(\d+)")
    files = [(int(match[1]), path) for path in folder.glob("*.json") if (match := re.fullmatch(pattern, path.name))]
    for _, file in sorted(files, reverse=True):
        means = {name: entry["mean_reward"] for name, entry in read(file).items() if entry["mean_reward"] is not None}
        if numbers := {name: mean for name, mean in means.items() if finite(mean)}:
            return max(numbers, key=numbers.__getitem__)
    return None
