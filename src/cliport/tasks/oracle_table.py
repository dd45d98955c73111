"""A table of how the oracle fares in its tasks."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import TaskError
from ..generation import executor, simulator
from ..scoring import is_solved
from . import make
from .paper import published
from .task import Task

if TYPE_CHECKING:
    from cliport.sim.environment import Environment


@dataclass(frozen=True)
class OracleResult:
    """The result of one episode played by an oracle."""

    reward: float
    actions: int
    seconds: float
    """CPU time."""

    @property
    def solved(self) -> bool:
        return is_solved(self.reward)


def play(env: Environment, task: Task, seed: int) -> OracleResult:
    """Let the oracle play one episode of its task, without images. A scene that cannot be built counts as one without a reward."""
    began = time.process_time()
    total, actions = 0.0, 0
    try:
        env.reset(task, seed, observe=False)
    except TaskError:
        return OracleResult(0.0, 0, time.process_time() - began)
    oracle, done = task.oracle(env), task.done()
    while actions < task.max_steps and not done and (action := oracle.act()) is not None:
        _, reward, done, _ = env.step(action, observe=False)
        total, actions = total + reward, actions + 1
    return OracleResult(total, actions, time.process_time() - began)


def play_seed(name: str, mode: str, seed: int) -> OracleResult:
    """One episode in this process's simulator, which renders nothing."""
    return play(simulator("", False, "tiny", None), make(name, mode), seed)


def played(tasks: Sequence[Task], seeds: Sequence[int], workers: int) -> Iterator[tuple[str, list[OracleResult]]]:
    """The episodes of each task in order, played by as many processes. The result does not depend on their number."""
    jobs = [(task.name, task.mode, seed) for task in tasks for seed in seeds]
    with executor(workers) as pool:
        try:
            results = (pool.map if workers > 1 else map)(play_seed, *zip(*jobs, strict=True))
            for task in tasks:
                yield task.name, list(itertools.islice(results, len(seeds)))
        finally:
            pool.shutdown(cancel_futures=True)


def table(episodes: Iterable[tuple[str, Sequence[OracleResult]]]) -> Iterator[str]:
    """The lines of a Markdown table, each as soon as its task is finished, and the mean of all tasks."""
    yield "| task | mean reward x 100 | solved | actions | CPU s per episode | CLIPort's agent |"
    yield "|---|---|---|---|---|---|"
    means = []
    for name, found in episodes:
        count = len(found)
        reward, actions, seconds = (sum(values) / count for values in zip(*((e.reward, e.actions, e.seconds) for e in found), strict=True))
        solved = f"{sum(episode.solved for episode in found)} of {count}"
        means.append(reward)
        score = published(name)
        agent = "" if score is None else f"{score:.1f}"
        yield f"| {name} | {100 * reward:.1f} | {solved} | {actions:.1f} | {seconds:.2f} | {agent} |"
    yield f"| mean of {len(means)} tasks | {100 * sum(means) / len(means):.1f} | | | | |"
