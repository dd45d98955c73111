"""What a task is: goals in order, what they are worth, and the words that ask for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from cliport.sim.poses import Pose, angle_between, apply, inverse, yaw_of
from cliport.sim.shapes import Shape

from .errors import NoRoom, TaskError

if TYPE_CHECKING:
    from cliport.sim.environment import Environment

    from .oracle import Oracle

FULL_TURN = 2 * np.pi
SCENES = 20
"""How often a scene that does not fit is drawn again."""
COMPLETE = 0.99
"""Share of a goal, or of a task, that counts as all of it."""


@dataclass(frozen=True)
class Piece:
    """A body that shall be moved. After a turn by `symmetry` radians about z it looks the same; 0 means after any turn."""

    body: int
    symmetry: float = FULL_TURN


@dataclass(frozen=True)
class Zone:
    """A rectangle of `sides` (x, y) metres around a pose on the table, open upwards to the workspace's height."""

    middle: Pose
    sides: tuple[float, float]

    def holds(self, points: np.ndarray) -> np.ndarray:
        """Which of the points (..., 3) in metres are inside, (...) bool."""
        own = np.abs(apply(inverse(self.middle), points)[..., :2])
        return (own <= np.array(self.sides) / 2).all(-1)


@dataclass(frozen=True)
class Goal:
    """One step of a task: these pieces shall stand at these targets, or lie in a zone.

    With a zone, the score is the share of `points` inside it, and targets are only where the oracle puts things; without, it is the
    share of pieces at a target that matches them.
    """

    pieces: Sequence[Piece]
    targets: Sequence[Pose]
    matches: np.ndarray
    """bool (pieces, targets): which piece may go where."""
    reward: float
    instruction: str
    replace: bool = False
    """Whether several pieces may share a target."""
    zone: Zone | None = None
    points: Mapping[int, np.ndarray] = field(default_factory=dict)
    """For the zone: points (P, 3) of each body in its own frame, in metres."""

    @property
    def metric(self) -> str:
        return "pose" if self.zone is None else "zone"


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
            NoRoom: when something does not fit; the scene is then drawn anew.
        """
        raise NotImplementedError

    def reset(self, env: Environment) -> None:
        """Build the scene; one that does not fit is cleared away and drawn again from the same stream, `SCENES` times at most."""
        self.env = env
        for _ in range(SCENES):
            self.goals, self.finished, self.earned, self.paid = [], 0, 0.0, 0.0
            try:
                self.build(env)
            except NoRoom:
                for body in [body for bodies in env.objects.values() for body in bodies]:
                    env.remove(body)
            else:
                return
        raise TaskError(f"{self.name}: no scene that fits in {SCENES} draws with seed {env.seed}")

    def place(self, env: Environment, size: Sequence[float], margin: float = 0.01) -> Pose:
        """A free pose for a thing of this size, or NoRoom."""
        found = env.random_pose(size, margin)
        if found is None:
            raise NoRoom(f"no room for a thing of {size[0]:.2f} x {size[1]:.2f} m")
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
        return self.goal is None or self.paid > COMPLETE

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
        return angle_between(here[1], target[1]) <= self.angle_tolerance

    def oracle(self, env: Environment) -> Oracle:
        """A policy that knows the simulator's state."""
        from .oracle import PickPlace

        return PickPlace(self, env)


def remainder(angle: float, symmetry: float) -> float:
    """The smallest turn equal to `angle` up to multiples of `symmetry`, in radians; 0 when any turn looks the same."""
    return float((angle + symmetry / 2) % symmetry - symmetry / 2) if symmetry > 0 else 0.0


def any_to_any(pieces: Sequence[Any], targets: Sequence[Any]) -> np.ndarray:
    """A match matrix where every piece may go to every target."""
    return np.ones((len(pieces), len(targets)), bool)


def grid(size: Sequence[float], share: float = 0.9) -> np.ndarray:
    """27 points (27, 3) spread over the middle `share` of a box of extents `size`."""
    steps = np.array([-0.5, 0.0, 0.5]) * share
    return np.stack(np.meshgrid(steps, steps, steps), -1).reshape(-1, 3) * np.asarray(size)
