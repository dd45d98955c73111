"""Results files, in the original's format and by its names, safe for several evaluators at once.

{eval_task}-{agent}-n{n}-[multi-]results-{mode}.json = {checkpoint: {"episodes": [[reward, info], ..], "mean_reward": x, ..}}

Beside the original's two keys an entry has `mean_reward_interval`, `success` (the share of episodes with a reward above 0.99),
`success_interval`, both of 95%, and `weights`: where the agent's frozen weights come from.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from harness.errors import DataError
from harness.files import write_json
from harness.numbers import finite

from .data.codec import plain
from .data.episode import is_solved
from .intervals import bootstrap, wilson

PATIENCE = 60.0
"""Seconds to wait for another evaluator's write."""


@dataclass(frozen=True)
class Outcome:
    """What came of one scene."""

    reward: float
    info: Mapping[str, Any]


def file_name(eval_task: str, agent: str, n: int | str, mode: str, multi: bool) -> str:
    """A results file's name; `multi` for an agent that learned several tasks."""
    return f"{eval_task}-{agent}-n{n}-{'multi-' if multi else ''}results-{mode}.json"


def summary(outcomes: Sequence[Sequence[Outcome]], weights: str) -> dict[str, Any]:
    """An entry of the file.

    Args:
        outcomes: of each repeat, of each scene. Repeats of a scene are no scenes of their own: the intervals are over scenes.
    """
    rewards = np.array([[outcome.reward for outcome in repeat] for repeat in outcomes])
    solved = np.array([[is_solved(outcome.reward) for outcome in repeat] for repeat in outcomes]).mean(0)
    once = len(outcomes) == 1
    interval = wilson(int(solved.sum()), solved.size) if once else bootstrap(solved.tolist())
    return {
        "episodes": [[outcome.reward, plain(outcome.info)] for repeat in outcomes for outcome in repeat],
        "mean_reward": float(rewards.mean()),
        "mean_reward_interval": list(bootstrap(rewards.mean(0).tolist())),
        "success": float(solved.mean()),
        "success_interval": list(interval),
        "weights": weights,
    }


def read(file: Path) -> dict[str, dict[str, Any]]:
    """The entries of a results file by checkpoint; none where there is no file.

    Raises:
        DataError: when it is no results file.
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
        raise DataError(f"{file}: is no results file: {type(error).__name__}: {error}; move it away to evaluate anew") from error
    return dict(entries)


def add(file: Path, checkpoint: str, entry: Mapping[str, Any]) -> None:
    """Put one checkpoint's entry into the file; what other evaluators have put there stays."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(file):
        write_json(file, {**read(file), checkpoint: dict(entry)})


@contextmanager
def exclusive(file: Path) -> Iterator[None]:
    """Be the only one who writes `file`.

    Raises:
        DataError: when another process keeps it for longer than PATIENCE.
    """
    beside = file.with_name(f".{file.name}.lock")
    lock = FileLock(beside, timeout=PATIENCE)
    try:
        lock.acquire()
    except Timeout:
        raise DataError(f"{file}: another evaluator has kept it locked for {PATIENCE:g} s") from None
    try:
        yield
    finally:
        beside.unlink(missing_ok=True)  # while it is held: whoever waits for it notices and begins again
        lock.release()


def best_checkpoint(folder: Path, eval_task: str, agent: str, multi: bool) -> str | None:
    """The checkpoint with the highest mean reward in the validation's results with the most scenes, or None without any."""
    pattern = re.escape(file_name(eval_task, agent, "@", "val", multi)).replace("@", r"(\d+)")
    files = [(int(match[1]), path) for path in folder.glob("*.json") if (match := re.fullmatch(pattern, path.name))]
    for _, file in sorted(files, reverse=True):
        means = {name: entry["mean_reward"] for name, entry in read(file).items() if entry["mean_reward"] is not None}
        if numbers := {name: mean for name, mean in means.items() if finite(mean)}:
            return max(numbers, key=numbers.__getitem__)
    return None
