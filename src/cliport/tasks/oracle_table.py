"""A table of how often the oracles solve their tasks."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..scoring import is_solved
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
    """Let the oracle play one episode of its task, without images."""
    began = time.process_time()
    env.reset(task, seed, observe=False)
    oracle, total, actions = task.oracle(env), 0.0, 0
    while actions < task.max_steps and not task.done() and (action := oracle.act()) is not None:
        _, reward, _, _ = env.step(action, observe=False)
        total, actions = total + reward, actions + 1
    return OracleResult(total, actions, time.process_time() - began)


def table(episodes: Iterable[tuple[str, Sequence[OracleResult]]]) -> Iterable[str]:
    """The lines of a Markdown table, each as soon as its task is finished."""
    yield "| task | solved by the oracle | mean reward | actions | CPU s per episode |"
    yield "|---|---|---|---|---|"
    for name, found in episodes:
        count = len(found)
        reward, actions, seconds = (sum(values) / count for values in zip(*((e.reward, e.actions, e.seconds) for e in found), strict=True))
        solved = f"{sum(episode.solved for episode in found)} of {count}"
        yield f"| {name} | {solved} | {reward:.3f} | {actions:.1f} | {seconds:.2f} |"
