"""How often the oracles solve their tasks: the README's table."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .task import COMPLETE, Task

if TYPE_CHECKING:
    from cliport.sim.environment import Environment


@dataclass(frozen=True)
class Episode:
    """What one episode of an oracle came to."""

    reward: float
    actions: int
    seconds: float
    """CPU time."""

    @property
    def solved(self) -> bool:
        return self.reward > COMPLETE


def play(env: Environment, task: Task, seed: int) -> Episode:
    """One episode of a task by its oracle, without images."""
    began = time.process_time()
    env.reset(task, seed, observe=False)
    oracle, total, actions = task.oracle(env), 0.0, 0
    while actions < task.max_steps and not task.done() and (action := oracle.act()) is not None:
        _, reward, _, _ = env.step(action, observe=False)
        total, actions = total + reward, actions + 1
    return Episode(total, actions, time.process_time() - began)


def table(episodes: Iterable[tuple[str, Sequence[Episode]]]) -> Iterable[str]:
    """The lines of a Markdown table, each as soon as its task is through."""
    yield "| task | solved by the oracle | mean reward | actions | CPU s an episode |"
    yield "|---|---|---|---|---|"
    for name, found in episodes:
        count = len(found)
        reward, actions, seconds = (sum(values) / count for values in zip(*((e.reward, e.actions, e.seconds) for e in found), strict=True))
        solved = f"{sum(episode.solved for episode in found)} of {count}"
        yield f"| {name} | {solved} | {reward:.3f} | {actions:.1f} | {seconds:.2f} |"
