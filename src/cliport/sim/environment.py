"""The simulator as a task and an agent see it. STUB of the API: the signatures stand, the bodies are being written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np

from .action import Action
from .observation import Observation
from .poses import Pose
from .shapes import Shape


class Task(Protocol):
    """What the environment asks of a task."""

    name: str
    ee: str
    """ "suction" or "spatula"."""

    def reset(self, env: Environment) -> None:
        """Build the scene with `env.add...`, drawing from `env.rng` alone. The environment waits for rest afterwards."""

    def reward(self) -> tuple[float, dict[str, Any]]:
        """Reward earned since the last call, and facts about it."""

    def done(self) -> bool: ...

    def language(self) -> str:
        """The instruction of the current step."""


class Environment:
    """One simulated table in one PyBullet client.

    Args:
        assets: folder with the robot's files, instead of the packaged one.
        disp: open PyBullet's window (DisplayError where there is no display).
        hz: simulation steps per simulated second.
        record: called with a uint8 (H, W, 3) frame of the presentation camera during motion, see `Recorder`.
        renderer: "auto" (EGL where it works, else TinyRenderer), "egl" or "tiny".
    """

    client: int
    """PyBullet's client: every call takes physicsClientId=env.client."""
    rng: np.random.Generator
    """The episode's generator, made of its seed: the only source of chance for task and oracle."""
    seed: int
    ee: str
    objects: dict[str, list[int]]
    """Body numbers: "rigid" can be grasped and is waited for; "fixed" does not move; "deformable" (beads of a rope) can be grasped."""
    info: dict[str, Any]
    """renderer, task, seed, lang_goal; after a step also grasped, timed_out, steps (simulation steps), ik (solves)."""

    def __init__(
        self,
        assets: Path | str | None = None,
        disp: bool = False,
        hz: int = 240,
        record: Callable[[np.ndarray], None] | None = None,
        renderer: str = "auto",
    ) -> None:
        raise NotImplementedError

    def reset(self, task: Task, seed: int, observe: bool = True) -> Observation:
        """A fresh world with `task`'s scene, settled. With observe=False nothing is rendered and the Observation is empty."""
        raise NotImplementedError

    def step(self, action: Action | None, observe: bool = True) -> tuple[Observation, float, bool, dict[str, Any]]:
        """Do `action` (None: nothing), wait for rest, and return (observation, task.reward(), task.done(), info)."""
        raise NotImplementedError

    def observe(self) -> Observation:
        """Render the three cameras now."""
        raise NotImplementedError

    def look_down(self) -> tuple[np.ndarray, np.ndarray]:
        """Exact heights (float32 metres) and body numbers (int32, -1 outside) of shape IMAGE_SHAPE, seen straight from above by rays.

        For oracles: independent of the renderer. Visual-only bodies (zones, decals, lines) are not in it; the robot is not either.
        """
        raise NotImplementedError

    def occupied(self) -> np.ndarray:
        """bool IMAGE_SHAPE: the pixels under any added body (zones, stands, ropes included)."""
        raise NotImplementedError

    def random_pose(self, size: Sequence[float], margin: float = 0.0) -> Pose | None:
        """A pose for a thing of `size` (x, y, z): anywhere free with any yaw, z = size[2] / 2; None where nothing is free.

        Free: a circle around the thing's rectangle, widened by `margin`, overlaps no added body and not the workspace's border.
        """
        raise NotImplementedError

    def add(
        self,
        shape: Shape,
        pose: Pose,
        category: str = "rigid",
        color: Sequence[float] | None = None,
        mass: float | None = None,
    ) -> int:
        """Put a shape on the table; returns its body number. "fixed" has no mass. `color` RGB in [0, 1] replaces the shape's own."""
        raise NotImplementedError

    def add_rope(self, points: np.ndarray, radius: float = 0.005, color: Sequence[float] = (0.8, 0.8, 0.8)) -> list[int]:
        """A chain of beads at points (N, 3); returns their body numbers in order. Neighbours keep their distance. Category deformable."""
        raise NotImplementedError

    def remove(self, body: int) -> None:
        raise NotImplementedError

    def pose(self, body: int) -> Pose:
        raise NotImplementedError

    def set_pose(self, body: int, pose: Pose) -> None:
        raise NotImplementedError

    def size(self, body: int) -> tuple[float, float, float]:
        """The extents of the body's shape in its own frame."""
        raise NotImplementedError

    def set_color(self, body: int, color: Sequence[float]) -> None:
        raise NotImplementedError

    def settle(self, limit: int = 1000) -> bool:
        """Simulate until nothing moves or `limit` steps are over; whether it came to rest."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Environment:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
