"""The base class of tasks: goals in order, their rewards and their instructions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cliport.sim.poses import Pose, angle_between, apply, yaw_of
from cliport.sim.shapes import Shape

from ..errors import NoRoomError, TaskError
from ..scoring import SOLVED
from .colors import palette
from .goal import Goal, remainder
from .oracle import Oracle, PickPlace
from .rules import Difference

if TYPE_CHECKING:
    from cliport.sim.environment import Environment

SCENES = 20
"""Number of draws of a scene before it is given up because it does not fit."""
COMPLETE = 0.99
"""Share of a goal that counts as all of it."""


class Task:
    """Base class of all tasks. A subclass builds its scene and states its goals in `build`; the rest is the same for all.

    Args:
        name: the task's name.
        mode: "train", "val" or "test".
        split: "seen", "unseen", "full" or "".
    """

    ee = "suction"
    lift: float | None = None
    """Height in meters at which the gripper drags a piece across the table; None to carry it high above everything."""
    max_steps = 10
    position_tolerance = 0.01
    """Largest horizontal distance in meters at which a piece is in place, as in the original."""
    height_tolerance = 0.02
    """Largest vertical distance in meters; the original ignores heights."""
    angle_tolerance = np.radians(15)
    sixdof = False
    """Whether poses are compared and reached in all six degrees of freedom."""
    teacher: type[Oracle] = PickPlace
    """The class of the task's oracle."""

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
            self.goals, self.finished, self.earned, self.paid = [], 0, 0.0, 0.0
            try:
                self.build(env)
            except NoRoomError:
                for body in [body for bodies in env.objects.values() for body in bodies]:
                    env.remove(body)
            else:
                return
        raise TaskError(f"{self.name}: none of {SCENES} scenes drawn with seed {env.seed} fits on the table")

    def free_pose(self, env: Environment, size: Sequence[float], margin: float = 0.01) -> Pose:
        """A free pose for an object of this size.

        Raises:
            NoRoomError: when there is none.
        """
        found = env.random_pose(size, margin)
        if found is None:
            raise NoRoomError(f"no room for an object of {size[0]:.2f} x {size[1]:.2f} m")
        return found

    def put(self, env: Environment, shape: Shape, color: Sequence[float] | None = None, category: str = "rigid") -> int:
        """Add a shape at a free pose and return its body number."""
        return env.add(shape, self.free_pose(env, shape.size), category, color)

    # The score

    @property
    def lang_goals(self) -> list[str]:
        """The instructions of all goals, in order."""
        return [goal.instruction for goal in self.goals]

    @property
    def goal(self) -> Goal | None:
        """The current goal; None if all are reached."""
        return self.goals[self.finished] if self.finished < len(self.goals) else None

    def language(self) -> str:
        """The instruction of the current goal, or of the last one if all are reached."""
        return self.goals[min(self.finished, len(self.goals) - 1)].instruction

    def done(self) -> bool:
        return self.goal is None or self.paid > SOLVED

    def reward(self) -> tuple[float, dict[str, Any]]:
        """The reward since the last call, in [-1, 1], and entries for `info`. A complete episode earns 1 in total.

        Partial progress on the current goal is paid too, and taken back if it is undone: the reward is the change of the total.
        """
        share = 0.0
        while self.goal is not None:
            share = self.score(self.goal)
            if share < COMPLETE:
                break
            self.earned += self.goal.reward
            share = 0.0
            self.advance()
        total = self.earned + (share * self.goal.reward if self.goal is not None else 0.0)
        reward, self.paid = total - self.paid, total
        return reward, {"goals": self.finished, **({"differs": [found.short for found in self.differs]} if self.differs else {})}

    def advance(self) -> None:
        """Go on to the next goal."""
        self.finished += 1

    def score(self, goal: Goal) -> float:
        """The share of a goal that has been reached, in [0, 1]."""
        if goal.zone is None:
            return len(self.matched(goal)) / len(goal.pieces)
        points = np.concatenate([apply(self.env.pose(body), own) for body, own in goal.points.items()])
        return float(goal.zone.holds(points).mean())

    def matched(self, goal: Goal) -> dict[int, int]:
        """Pieces in place and their targets, by number. Without `goal.replace`, a target counts once."""
        found: dict[int, int] = {}
        for number, piece in enumerate(goal.pieces):
            here = self.env.pose(piece.body)
            for target in np.flatnonzero(goal.matches[number]).tolist():
                taken = not goal.replace and target in found.values()
                if not taken and self.in_place(here, goal.targets[target], piece.symmetry):
                    found[number] = target
                    break
        return found

    def in_place(self, here: Pose, target: Pose, symmetry: float) -> bool:
        """Whether a pose matches a target within the task's tolerances, given the piece's symmetry."""
        offset = here[0] - target[0]
        if np.linalg.norm(offset[:2]) > self.position_tolerance or abs(offset[2]) > self.height_tolerance:
            return False
        turn = remainder(yaw_of(target) - yaw_of(here), symmetry)
        if not self.sixdof:
            return abs(turn) <= float(self.angle_tolerance)
        return angle_between(here[1], target[1]) <= float(self.angle_tolerance)

    def oracle(self, env: Environment) -> Oracle:
        """The task's oracle, a policy with access to the simulator's state."""
        return self.teacher(self, env)
