"""Small scenes for the simulator's tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cliport.sim.action import Action
from cliport.sim.environment import Environment
from cliport.sim.poses import Pose, pose
from cliport.sim.shapes import Shape, bowl, box, letter

RED, GREEN, BLUE = (0.9, 0.1, 0.1), (0.1, 0.6, 0.2), (0.2, 0.3, 0.9)


class Scene:
    """A task that says and wants nothing; `build` puts things on the table."""

    name = "scene"
    lift: float | None = None

    def __init__(self, build: Callable[[Environment], Any] = lambda env: None, ee: str = "suction") -> None:
        self.build, self.ee = build, ee
        self.built: Any = None

    def reset(self, env: Environment) -> None:
        self.built = self.build(env)

    def reward(self) -> tuple[float, dict[str, Any]]:
        return 0.25, {"fact": 7}

    def scored(self, env: Environment) -> None:
        pass

    def done(self) -> bool:
        return False

    def language(self) -> str:
        return "do as you like"


def block_and_bowl(env: Environment) -> tuple[int, int]:
    """A block, a bowl, and two letters in the way, somewhere."""
    basin = put(env, bowl(), "fixed", GREEN)
    block = put(env, box(), "rigid", RED)
    for name in ("star", "letter R shape"):
        put(env, letter(name), "rigid", BLUE)
    return block, basin


def put(env: Environment, shape: Shape, category: str, color: Sequence[float]) -> int:
    where = env.random_pose(shape.size)
    assert where is not None
    return env.add(shape, where, category, color)


def onto(env: Environment, body: int, place: Sequence[float], yaw: float = 0.0) -> Action:
    """Take a body by the middle of its top, and put that at `place`."""
    x, y, z = env.pose(body)[0]
    turn = pose(place, (0, 0, np.sin(yaw / 2), np.cos(yaw / 2)))
    return Action(pose((x, y, z + env.size(body)[2] / 2)), turn)


def poses(env: Environment) -> list[Pose]:
    """Of everything that was added."""
    return [env.pose(body) for bodies in env.objects.values() for body in bodies]


def bits(env: Environment) -> bytes:
    """The same of two tables exactly when everything lies at the same place to the last bit."""
    return b"".join(np.concatenate(place).tobytes() for place in poses(env))
