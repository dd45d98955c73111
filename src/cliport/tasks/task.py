"""What a task is: goals in order, what they are worth, and the words that ask for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cliport.sim.poses import Pose, angle_between, apply, yaw_of
from cliport.sim.shapes import Shape

from ..errors import NoRoomError, TaskError
from ..scoring import SOLVED
from .goal import Goal, remainder
from .oracle import Oracle, PickPlace

if TYPE_CHECKING:
    from cliport.sim.environment import Environment

SCENES = 20
"""How often a scene that does not fit is drawn again."""
COMPLETE = 0.99
"""Share of a goal that counts as all of it."""


class Task:
    """Base of all tasks. A subclass builds its scene and states its goals in `build`; the rest is the same for all.

    Args:
        name: the task's name.
        mode: "train", "val" or "test".
        split: "seen", "unseen", "full" or "".
    """

    ee = "suction"
    lift: float | None = None
    """Metres above the table at which the gripper drags a piece across; None to carry it high above everything."""
    max_steps = 10
    position_tolerance = 0.01
    """Metres on the table within which a piece is in place; the original's."""
    height_tolerance = 0.02
    """Metres above or below; the original does not look at heights."""
    angle_tolerance = np.radians(15)
    sixdof = False
    """Whether poses are compared and reached with their tilt."""
    teacher: type[Oracle] = PickPlace
    """Of its oracle."""
    note: str | None = None
    """What every info has to say about this task."""

    def __init__(self, name: str, mode: str, split: str) -> None:
        self.name, self.mode, self.split = name, mode, split
        self.goals: list[Goal] = []
        self.finished = 0
        self.earned = 0.0
        self.paid = 0.0

    # The scene

    def build(self, env: Environment) -> None:
        """Add the scene's bodies and append its goals, drawing from `env.rng` alone.

        Raises:
            NoRoomError: when something does not fit; the scene is then drawn anew.
        """
        raise NotImplementedError

    def reset(self, env: Environment) -> None:
        """Build the scene; one that does not fit is cleared away and drawn again from the same stream, `SCENES` times at most."""
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
        raise TaskError(f"{self.name}: no scene that fits in {SCENES} draws with seed {env.seed}")

    def place(self, env: Environment, size: Sequence[float], margin: float = 0.01) -> Pose:
        """A free pose for a thing of this size, or NoRoomError."""
        found = env.random_pose(size, margin)
        if found is None:
            raise NoRoomError(f"no room for a thing of {size[0]:.2f} x {size[1]:.2f} m")
        return found

    def put(self, env: Environment, shape: Shape, color: Sequence[float] | None = None, category: str = "rigid") -> int:
        """Add a shape somewhere free; its body."""
        return env.add(shape, self.place(env, shape.size), category, color)

    # The score

    @property
    def lang_goals(self) -> list[str]:
        """The instructions of all goals, in order."""
        return [goal.instruction for goal in self.goals]

    @property
    def goal(self) -> Goal | None:
        """The goal to reach now; None when all are reached."""
        return self.goals[self.finished] if self.finished < len(self.goals) else None

    def language(self) -> str:
        """The instruction of the current step; the last one's when there is nothing left to do."""
        return self.goals[min(self.finished, len(self.goals) - 1)].instruction

    def done(self) -> bool:
        return self.goal is None or self.paid > SOLVED

    def reward(self) -> tuple[float, dict[str, Any]]:
        """What was earned since the last call, in [-1, 1], and facts about it. A complete episode earns 1."""
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
        return reward, {"goals": self.finished, **({"objects": self.note} if self.note else {})}

    def advance(self) -> None:
        """The current goal has been reached: go on to the next."""
        self.finished += 1

    def score(self, goal: Goal) -> float:
        """The share of a goal that is reached, in [0, 1]."""
        if goal.zone is None:
            return len(self.matched(goal)) / len(goal.pieces)
        points = np.concatenate([apply(self.env.pose(body), own) for body, own in goal.points.items()])
        return float(goal.zone.holds(points).mean())

    def matched(self, goal: Goal) -> dict[int, int]:
        """Pieces in place and their targets, by their numbers in the goal. Without `replace` a target counts once."""
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
        """Whether a pose equals a target up to the task's tolerances and the piece's symmetry."""
        offset = here[0] - target[0]
        if np.linalg.norm(offset[:2]) > self.position_tolerance or abs(offset[2]) > self.height_tolerance:
            return False
        turn = remainder(yaw_of(target) - yaw_of(here), symmetry)
        if not self.sixdof:
            return abs(turn) <= float(self.angle_tolerance)
        return angle_between(here[1], target[1]) <= float(self.angle_tolerance)

    def oracle(self, env: Environment) -> Oracle:
        """A policy that knows the simulator's state."""
        return self.teacher(self, env)
