"""The base class of tasks: goals in order, their rewards and their instructions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cliport.sim.poses import Pose, apply, yaw_of
from cliport.sim.shapes import Shape

from ..data.episode import NO_INSTRUCTION
from ..errors import NoRoomError, TaskError
from ..scoring import SOLVED
from .colors import palette
from .differences import Difference
from .goal import Goal, Piece, remainder
from .oracle import Oracle

if TYPE_CHECKING:
    from cliport.sim.environment import Environment

SCENES = 20
"""Number of draws of a scene before it is given up because it does not fit."""
COMPLETE = 0.01
"""A goal is complete if its score is nearer than this to its reward, however large that is."""


class Task:
    """Base class of all tasks. A subclass builds its scene and states its goals in `build`; the rest is the same for all.

    Rewards, and when an episode ends, follow the original's rules (cliport/cliport at commit 2be5c47).

    Args:
        name: the task's name.
        mode: "train", "val" or "test".
        split: "seen", "unseen", "full" or "".
    """

    ee = "suction"
    lift: float | None = None
    """Height in meters at which the gripper drags a piece across the table; None to carry it high above everything."""
    max_steps = 10
    """Actions that an episode may have. `build` may set it: it is read after the reset."""
    position_tolerance = 0.01
    """Horizontal distance in meters below which a piece is in place."""
    angle_tolerance = float(np.radians(15))
    """Difference of yaw in radians below which a piece is in place."""
    assets: Path | None = None
    """Folder of the scanned objects; None for stand-ins. Only tasks with named objects look at it."""
    sixdof = False
    """Whether the oracle tilts pieces. Scores look at x, y and yaw alone in any case."""

    # The rules in words, for `rules`

    scene: Sequence[str] = ()
    """What is on the table: counts, sizes in meters, and what is fixed."""
    clutter = "none"
    """What is on the table and not asked for."""
    aim: Sequence[str] = ()
    """The goals in order, each with its reward, and what may go where."""
    templates: Sequence[str] = ()
    """The instructions."""
    steps = ""
    """How many steps an episode may have, where it depends on the scene; else `max_steps`."""
    inside = ""
    """For goals of zones: which share of what counts inside what."""
    ends = ""
    """What ends an episode besides reward, steps and time, if it is not that all goals are complete."""
    differs: Sequence[Difference] = ()
    """What differs from CLIPort's task of this name; goes into every `info`, too."""

    def __init__(self, name: str, mode: str, split: str) -> None:
        self.name, self.mode, self.split = name, mode, split
        self.clear()

    @property
    def objects(self) -> str:
        """What the named objects are: "scans" or "stand-ins"; empty for a task without such objects."""
        shown = "objects" in self.vocabulary(self.mode)
        return ("scans" if self.assets else "stand-ins") if shown else ""

    def clear(self) -> None:
        self.goals: list[Goal] = []
        self.finished = 0
        self.earned = 0.0
        self.paid = 0.0

    # The scene

    def vocabulary(self, mode: str) -> dict[str, Sequence[str]]:
        """The names from which a scene of this mode is drawn, by kind: "colours", "shapes" or "objects"."""
        return {"colours": palette(self.split, mode)} if self.split else {}

    def build(self, env: Environment) -> None:
        """Add the scene's bodies and append its goals, drawing only from `env.rng`.

        Raises:
            NoRoomError: when something does not fit; the scene is then drawn again.
        """
        raise NotImplementedError

    def reset(self, env: Environment) -> None:
        """Build the scene. One that does not fit is removed and drawn again from the same generator, up to `SCENES` times."""
        self.env = env
        for _ in range(SCENES):
            self.clear()
            try:
                self.build(env)
            except NoRoomError:
                for body in [body for bodies in env.objects.values() for body in bodies]:
                    env.remove(body)
            else:
                return
        raise TaskError(f"{self.name}: none of {SCENES} scenes drawn with seed {env.seed} fits on the table")

    def free_pose(self, env: Environment, size: Sequence[float]) -> Pose:
        """A free pose for an object of this size: see `Environment.random_pose`.

        Raises:
            NoRoomError: when there is none.
        """
        found = env.random_pose(size)
        if found is None:
            raise NoRoomError(f"no room for an object of {size[0]:.2f} x {size[1]:.2f} m")
        return found

    def put(
        self,
        env: Environment,
        shape: Shape,
        color: Sequence[float] | None = None,
        category: str = "rigid",
        size: Sequence[float] | None = None,
    ) -> int:
        """Add a shape at a free pose for an object of `size`, by default the shape's, and return its body number."""
        return env.add(shape, self.free_pose(env, size or shape.size), category, color)

    def scored(self, env: Environment) -> None:
        """Called after an action has been scored, before the images are taken."""

    # The score

    @property
    def lang_goals(self) -> list[str]:
        """The instructions of all goals, in order."""
        return [goal.instruction for goal in self.goals]

    @property
    def goal(self) -> Goal | None:
        """The current goal; None if all are complete."""
        return self.goals[self.finished] if self.finished < len(self.goals) else None

    def language(self) -> str:
        """The instruction of the current goal, or that the task is completed."""
        return self.goal.instruction if self.goal is not None else NO_INSTRUCTION

    def done(self) -> bool:
        return self.goal is None or self.paid > SOLVED

    def reward(self) -> tuple[float, dict[str, Any]]:
        """The reward since the last call, in [-1, 1], and entries for `info`. A complete episode earns 1 in total.

        Only the current goal is scored. Partial progress on it is paid too, and taken back if it is undone: the reward is the change of
        the total. At most one goal becomes complete, and the next one is scored from the next call on; what is complete stays paid.
        """
        reward = 0.0
        if self.goal is not None:
            score = self.goal.reward * self.score(self.goal)
            total = self.earned + score
            reward, self.paid = total - self.paid, total
            if abs(self.goal.reward - score) < COMPLETE:
                self.earned += self.goal.reward
                self.finished += 1
        return reward, {"goals": self.finished, **({"differs": [found.short for found in self.differs]} if self.differs else {})}

    def score(self, goal: Goal) -> float:
        """The share of a goal that has been reached, in [0, 1]."""
        if goal.zone is None:
            return sum(self.at_target(goal, number, piece) for number, piece in enumerate(goal.pieces)) / len(goal.pieces)
        points = np.concatenate([apply(self.env.pose(body), own) for body, own in goal.points.items()])
        return float(goal.zone.holds(points).mean())

    def at_target(self, goal: Goal, number: int, piece: Piece) -> bool:
        """Whether a piece is at any target that it may go to, whatever else is there."""
        here = self.env.pose(piece.body)
        return any(self.in_place(here, goal.targets[target], piece.symmetry) for target in np.flatnonzero(goal.matches[number]).tolist())

    def in_place(self, here: Pose, target: Pose, symmetry: float) -> bool:
        """Whether a pose is at a target: by the horizontal distance, and by the yaw up to the piece's symmetry.

        Heights and tilts do not matter, in six degrees of freedom neither. A pose that is not finite is nowhere.
        """
        away = float(np.linalg.norm(here[0][:2] - target[0][:2]))
        turn = remainder(yaw_of(target) - yaw_of(here), symmetry)
        return away < self.position_tolerance and abs(turn) < self.angle_tolerance

    def oracle(self, env: Environment) -> Oracle:
        """The task's oracle, a policy with access to the simulator's state."""
        return Oracle(self, env)
