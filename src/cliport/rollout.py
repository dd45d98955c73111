"""One episode in the simulator, controlled by an oracle or an agent."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .data.episode import Episode, Step
from .sim.action import Action
from .sim.environment import Environment
from .sim.fusion import fuse
from .sim.observation import HeightMap, Observation

if TYPE_CHECKING:
    from .tasks.task import Task

Policy = Callable[[Observation, HeightMap, str], Action | None]
"""The action for the cameras' images, the height map fused from them, and the instruction; None gives up."""


def roll_out(
    environment: Environment, task: Task, seed: int, policy: Policy, say: Callable[[str], None] | None = None, geometry: str = "exact"
) -> Episode:
    """Play the scene of `seed` until the task is done, the policy gives up, or the task's step limit is reached.

    Args:
        say: receives the instruction of each step before its action.
        geometry: geometry of the height maps, see `cliport.sim.fusion`.
    """
    observation, reward, steps = environment.reset(task, seed), 0.0, []
    info = dict(environment.info)
    for _ in range(task.max_steps):
        view, instruction = fuse(observation, geometry=geometry), str(info.get("lang_goal", ""))
        if say:
            say(instruction)
        action = policy(observation, view, instruction)
        if action is None:
            break
        steps.append(Step(view, action, reward, info))
        observation, reward, done, info = environment.step(action)
        info = dict(info)
        if done:
            break
    steps.append(Step(fuse(observation, geometry=geometry), None, reward, info))
    return Episode(task.name, seed, tuple(steps))


def oracle(environment: Environment, task: Task) -> Policy:
    """The task's own scripted solution."""
    scripted = task.oracle(environment)
    return lambda observation, view, instruction: scripted.act(observation)
